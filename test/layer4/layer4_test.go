package layer4

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

func TestBytesGoBothWaysUntilBothHaveEnded(t *testing.T) {
	a, b := newBackend(t, &backend{name: "a"}), newBackend(t, &backend{name: "b"})
	addr := testkit.FreeAddr(t)
	g := start(t, fmt.Sprintf(`
listeners: [{name: sql, address: %q, protocol: tcp}]
backendPools: [{name: db, targets: [%q, %q]}]
backendSettings: [{name: db, protocol: tcp}]
rules: [{name: sql, listener: sql, backendPool: db, backendSettings: db}]
`, addr, a.addr, b.addr))
	seen := map[string]bool{}
	for range 4 {
		c := dial(t, addr, nil)
		for i := range 3 {
			name, rest, _ := strings.Cut(c.ask(fmt.Sprint("hello ", i)), " ")
			seen[name] = true
			if rest != fmt.Sprint("hello ", i) {
				t.Fatalf("got %q", rest)
			}
		}
		// The backend has more to say when the client has not.
		c.Conn.(*net.TCPConn).CloseWrite()
		if got := c.read(); !strings.HasSuffix(got, " saw the end") {
			t.Fatalf("got %q", got)
		}
		c.ended()
	}
	if len(seen) != 2 {
		t.Errorf("only %v served", seen)
	}
	g.logged(map[string]any{"listenerName": "sql", "ruleName": "sql", "backendPoolName": "db", "backendSettingName": "db", "httpVersion": "TCP",
		"httpStatus": 200, "receivedBytes": 24, "sentBytes": 3*10 + 14, "termination": "--"})
}

func TestMembersThatCannotBeReachedAreLeftOut(t *testing.T) {
	b := newBackend(t, &backend{name: "b"})
	addr, none := testkit.FreeAddr(t), testkit.FreeAddr(t)
	g := start(t, fmt.Sprintf(`
listeners:
  - {name: sql, address: %q, protocol: tcp}
  - {name: none, address: %q, protocol: tcp}
backendPools: [{name: db, targets: [%q, %q]}, {name: none, targets: [%q]}]
backendSettings: [{name: db, protocol: tcp, probe: "off"}]
rules:
  - {name: sql, listener: sql, backendPool: db, backendSettings: db}
  - {name: none, listener: none, backendPool: none, backendSettings: db}
`, addr, none, testkit.RefusingAddr(t), b.addr, testkit.RefusingAddr(t)))
	for range 6 {
		c := dial(t, addr, nil)
		if got := c.ask("x"); got != "b x" {
			t.Fatalf("got %q", got)
		}
		c.Close()
	}
	g.logged(map[string]any{"listenerName": "sql", "httpStatus": 200, "retries": 1})
	c := dial(t, none, nil)
	c.ended()
	g.logged(map[string]any{"listenerName": "none", "httpStatus": 502, "termination": "SC", "error_info": "ERRORINFO_UPSTREAM_NO_LIVE"})
}

func TestTLSIsEndedAndTheNameChooses(t *testing.T) {
	ca, inner := testkit.NewCA(t), testkit.NewCA(t)
	cert, other := ca.Server("imap.test"), ca.Server("sql.test")
	behind := inner.Server("db.test")
	a := newBackend(t, &backend{name: "a"})
	b := newBackend(t, &backend{name: "b", proxy: true, secure: &tls.Config{Certificates: []tls.Certificate{behind.TLS}}})
	addr := testkit.FreeAddr(t)
	g := start(t, fmt.Sprintf(`
listeners:
  - {name: imap, address: %[1]q, protocol: tls, hostNames: [imap.test], tls: {certificates: [{certFile: %[2]s, keyFile: %[3]s}]}}
  - {name: sql, address: %[1]q, protocol: tls, hostNames: [sql.test], tls: {certificates: [{certFile: %[4]s, keyFile: %[5]s}]}}
backendPools: [{name: a, targets: [%[6]q]}, {name: b, targets: [%[7]q]}]
backendSettings:
  - {name: plain, protocol: tcp}
  - {name: secure, protocol: tls, proxyProtocol: v1, probe: "off", tls: {caFile: %[8]s, serverName: db.test}}
rules:
  - {name: imap, listener: imap, backendPool: a, backendSettings: plain}
  - {name: sql, listener: sql, backendPool: b, backendSettings: secure}
`, addr, cert.CertFile, cert.KeyFile, other.CertFile, other.KeyFile, a.addr, b.addr, inner.File))
	if got := dial(t, addr, ca.ClientConfig("imap.test")).ask("x"); got != "a x" {
		t.Errorf("got %q", got)
	}
	c := dial(t, addr, ca.ClientConfig("sql.test"))
	client, _ := net.ResolveTCPAddr("tcp", c.LocalAddr().String())
	front, _ := net.ResolveTCPAddr("tcp", addr)
	if want, got := fmt.Sprintf("b PROXY TCP4 127.0.0.1 127.0.0.1 %d %d: x", client.Port, front.Port), c.ask("x"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Close()
	g.logged(map[string]any{"listenerName": "sql", "sslEnabled": "on", "sslServerName": "sql.test", "httpStatus": 200})
	for _, name := range []string{"other.test", ""} {
		config := ca.ClientConfig(name)
		config.InsecureSkipVerify = true
		if c, err := tryDial(addr, config); err == nil {
			c.Close()
			t.Errorf("a client that asks for %q has a connection", name)
		}
	}
	if c := dial(t, addr, nil); true { // no TLS at all, and no answer in HTTP
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: imap.test\r\n\r\n")
		more, _ := c.lines.ReadString('\n')
		if strings.Contains(more, "HTTP") {
			t.Errorf("got %q", more)
		}
	}
}

func TestWhoMayNotComeIn(t *testing.T) {
	a := newBackend(t, &backend{name: "a", proxy: true})
	addr := testkit.FreeAddr(t)
	config := func(limit string) string {
		return fmt.Sprintf(`
limits: {%s}
listeners:
  - name: sql
    address: %q
    protocol: tcp
    proxyProtocol: {accept: [127.0.0.1]}
    accessRules: [{name: office, priority: 1, action: deny, source: [192.0.2.0/24]}]
backendPools: [{name: db, targets: [%q]}]
backendSettings: [{name: db, protocol: tcp, proxyProtocol: v1, probe: "off"}]
rules: [{name: sql, listener: sql, backendPool: db, backendSettings: db}]
`, limit, addr, a.addr)
	}
	g := start(t, config(""))
	header := func(from string) *client {
		c := dial(t, addr, nil)
		fmt.Fprintf(c, "PROXY TCP4 %s 10.0.0.1 4000 5432\r\n", from)
		return c
	}
	if got := header("198.51.100.7").ask("x"); got != "a PROXY TCP4 198.51.100.7 10.0.0.1 4000 5432: x" {
		t.Errorf("got %q", got)
	}
	header("192.0.2.9").ended()
	g.logged(map[string]any{"clientIP": "192.0.2.9", "httpStatus": 403, "termination": "PR"})
	g.reload(config("connectionsPerClient: 1"))
	first := header("198.51.100.8")
	first.ask("x")
	header("198.51.100.8").ended() // without an answer in HTTP
	if got := first.ask("y"); !strings.HasSuffix(got, ": y") {
		t.Errorf("got %q", got)
	}
}

func TestConnectionsOutliveReloadsAndEndByTheDrain(t *testing.T) {
	a, b := newBackend(t, &backend{name: "a"}), newBackend(t, &backend{name: "b"})
	addr := testkit.FreeAddr(t)
	config := func(target, more string) string {
		return fmt.Sprintf(`
shutdown: {drain: 1s}
listeners: [{name: sql, address: %q, protocol: tcp}]
backendPools: [{name: db, targets: [%q]}]
backendSettings: [{name: db, protocol: tcp, drain: 1h%s}]
rules: [{name: sql, listener: sql, backendPool: db, backendSettings: db}]
`, addr, target, more)
	}
	g := start(t, config(a.addr, ""))
	old := dial(t, addr, nil)
	old.ask("x")
	g.reload(config(b.addr, ""))
	if got := dial(t, addr, nil).ask("x"); got != "b x" {
		t.Errorf("after the reload: %q", got)
	}
	if got := old.ask("x"); got != "a x" {
		t.Errorf("the old connection: %q", got)
	}
	g.reload(config(b.addr, ", idleTimeout: 3s"))
	idle := dial(t, addr, nil)
	idle.ask("x")
	idle.ended()
	g.logged(map[string]any{"reason": "tunnel idle for 3s"})
	g.proc.Signal(syscall.SIGTERM)
	old.ended() // when the drain is over
	if code := g.proc.Wait(soon); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func TestABackendThatIsCutOffIsSeen(t *testing.T) {
	a := newBackend(t, &backend{name: "a"})
	addr := testkit.FreeAddr(t)
	start(t, fmt.Sprintf(`
listeners: [{name: sql, address: %q, protocol: tcp}]
backendPools: [{name: db, targets: [%q]}]
backendSettings: [{name: db, protocol: tcp, maxConnections: 1}]
rules: [{name: sql, listener: sql, backendPool: db, backendSettings: db}]
`, addr, a.addr))
	c := dial(t, addr, nil)
	c.ask("x")
	dial(t, addr, nil).ended() // the member is full
	a.cut()
	c.ended()
	c.Close()
	testkit.Eventually(t, soon, "room for the next", func() bool {
		c, err := tryDial(addr, nil)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprintln(c, "y")
		got, _ := c.lines.ReadString('\n')
		return got == "a y\n"
	})
}
