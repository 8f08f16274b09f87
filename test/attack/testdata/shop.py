"""A shop that trusts its visitors: every page puts what it is sent into its SQL as it is, and shows the errors.

It serves on a loopback port of its own choice, which it prints, until its standard input ends. For tests only.
"""

import json
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PRODUCTS = [(1, "lamp", 20), (2, "chair", 45), (3, "table", 120), (4, "union jack mug", 8), (5, "O'Brien's select tea", 6)]
BASKETS = [("a1b2", 1), ("a1b2", 4), ("c3d4", 2)]


def database():
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.execute("CREATE TABLE product (id INTEGER, name TEXT, price INTEGER)")
    db.execute("CREATE TABLE user (name TEXT, password TEXT)")
    db.execute("CREATE TABLE basket (owner TEXT, product INTEGER)")
    db.executemany("INSERT INTO product VALUES (?, ?, ?)", PRODUCTS)
    db.execute("INSERT INTO user VALUES ('ada', 'correct horse battery staple')")
    db.executemany("INSERT INTO basket VALUES (?, ?)", BASKETS)
    return db


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    db, lock = database(), threading.Lock()

    def do_GET(self):
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        if url.path == "/product":
            self.show("SELECT id, name, price FROM product WHERE id = " + query.get("id", "0"))
        elif url.path == "/search":
            self.show("SELECT id, name, price FROM product WHERE name LIKE '%" + query.get("name", "") + "%'")
        elif url.path == "/basket":
            self.show("SELECT id, name, price FROM product JOIN basket ON product = id WHERE owner = '" + self.cookie("basket") + "'")
        else:
            self.page("<p>welcome</p>")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        if self.path == "/login":
            form = {k: v[0] for k, v in parse_qs(body, keep_blank_values=True).items()}
            self.show("SELECT name FROM user WHERE name = '%s' AND password = '%s'" % (form.get("user", ""), form.get("password", "")))
        elif self.path == "/api/search":
            try:
                wanted = str(json.loads(body)["q"])
            except (ValueError, KeyError, TypeError):
                self.page("<p>no JSON</p>")
                return
            self.show("SELECT id, name, price FROM product WHERE name LIKE '%" + wanted + "%'")
        else:
            self.page("<p>thank you</p>")

    def cookie(self, name):
        """The value of a cookie, percent-encoding undone, as many applications do."""
        for pair in self.headers.get("Cookie", "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return unquote(value)
        return ""

    def show(self, sql):
        try:
            with self.lock:
                rows = self.db.execute(sql).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as e:
            self.page("<p>database error: %s: %s</p>" % (type(e).__name__, e))
            return
        self.page("<p>%d found</p><ul>%s</ul>" % (len(rows), "".join("<li>%s</li>" % " ".join(map(str, r)) for r in rows)))

    def page(self, text):
        data = ("<html><body><h1>Shop</h1>%s</body></html>" % text).encode("utf-8", "replace")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Shop", "open")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("shop at 127.0.0.1:%d" % server.server_address[1], flush=True)
    sys.stdin.read()


main()
