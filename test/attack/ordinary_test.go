package attack

import (
	"fmt"
	"net/url"
	"testing"

	"gatehouse/internal/testkit"
)

// said is what people really write, and what looks a little like SQL.
var said = []string{
	"O'Brien", "D'Angelo", "L'Oréal", "rock 'n' roll", "it's the cat's pyjamas",
	"union jack", "union jack mug", "western union", "select a size", "select all that apply", "please select from the list",
	"drop by the table", "order by phone", "where is my order?", "update my address", "insert coin and or press start",
	"black and white", "this or that", "1 and 2", "size 10 or 12", "5' 11\" tall", "AND", "like new", "having fun",
	"lamp -- the red one", "50% off", "salt & pepper", "C# in a nutshell", "2 + 2 = 4", "a<b", "(new)", "No. 5; boxed",
	"I would like to order the table; the delivery should be between 9 and 12, or after 17:00. Don't ring, it's broken!",
}

// visit sends ordinary requests to the pages of the shop, and wants the shop itself to answer.
func visit(t *testing.T, addr string) {
	t.Helper()
	for _, text := range said {
		escaped := url.QueryEscape(text)
		form := "user=" + escaped + "&password=" + escaped
		json := fmt.Sprintf(`{"q":%q,"limit":5}`, text)
		for _, request := range []string{
			get("/search?name=" + escaped),
			get("/search?name=" + url.PathEscape(text)),
			get("/basket", "Cookie: basket=a1b2; last="+url.PathEscape(text)),
			post("/login", "application/x-www-form-urlencoded", form),
			post("/api/search", "application/json", json),
		} {
			if r := testkit.Exchange(t, addr, request); r.StatusCode != 200 || r.Get("X-Shop") != "open" {
				t.Errorf("%s\nis ordinary, and was answered %s", request, r.Status)
			}
		}
	}
	for _, id := range []string{"1", "5", "0", "-1", "007", ""} {
		if r := testkit.Exchange(t, addr, get("/product?id="+id)); r.StatusCode != 200 {
			t.Errorf("product %q is answered %s", id, r.Status)
		}
	}
}

func get(target string, lines ...string) string { return message("GET", target, "", lines) }

func post(target, kind, body string) string {
	return message("POST", target, body, []string{"Content-Type: " + kind, fmt.Sprintf("Content-Length: %d", len(body))})
}

// message is a request of a browser.
func message(method, target, body string, lines []string) string {
	text := method + " " + target + " HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: " + agent + "\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n"
	for _, line := range lines {
		text += line + "\r\n"
	}
	return text + "Connection: close\r\n\r\n" + body
}
