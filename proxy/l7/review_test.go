package l7

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// An override replaces what a pattern matched; what is left behind it must
// not climb out of it (hostile-input row 54).
func TestPathOverrideDoesNotLeaveItsTree(t *testing.T) {
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.PathOverride = "/public/" },
		listener: func(l *Listener) {
			rule := *l.Target
			rule.SetPathRule("/api*")
			l.Paths = NewPathMap(l.Target)
			l.Paths.Add("/api*", nil, &rule)
			l.Target = nil
		}})
	c := testkit.Dial(t, g.addr)
	for _, path := range []string{"/api../secret", "/api%2e%2e/secret", "/api..", "/api./secret"} {
		ask(t, c, get(path), 400)
	}
	if n := b.RequestCount(); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
	ask(t, c, get("/api/..x/ok"), 200)
}

// The response's head may lie in a lent buffer that others use as soon as
// the connection is released; the log is written after that.
func TestTheLogKeepsWhatALongHeadSaid(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\nContent-Type: text/kept\r\n\r\nok"
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) { c.Send(head) })
	done := make(chan struct{})
	for i := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			c := testkit.Dial(t, g.addr)
			for j := range 25 {
				c.Send(get(fmt.Sprintf("/%d/%d", i, j)))
				c.ReadFinal("GET")
			}
		}()
	}
	for range 4 {
		<-done
	}
	for _, l := range g.lines(t, 100) {
		if l.text("contentType") != "text/kept" {
			t.Fatalf("the log says %q", l.text("contentType"))
		}
	}
}

// What fails for want of something of our own says nothing about a member.
func TestWantOfOurOwnIsNotTheMembersFault(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if err := (&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}); !isOurs(err) {
			t.Errorf("%v is blamed on the member", err)
		}
	}
	if isOurs(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}) || isOurs(errors.New("x")) {
		t.Error("a refusal is not blamed on the member")
	}
}

// Many small chunks that are there at once go out as one.
func TestSmallChunksAreGathered(t *testing.T) {
	body := strings.Repeat("1\r\nx\r\n", 1000) + "0\r\n\r\n"
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/", "Connection: close"))
	raw := string(c.ReadAll(soon))
	if n := strings.Count(raw, "\r\n1\r\nx"); n > 10 {
		t.Errorf("%d chunks of one byte were passed on as they came", n)
	}
	if n := strings.Count(raw[strings.Index(raw, "\r\n\r\n"):], "x"); n != 1000 {
		t.Errorf("%d of 1000 bytes arrived", n)
	}
}

// A client that leaves while a connect takes long is not kept until it
// fails.
func TestLeavingDuringALongConnectIsSeen(t *testing.T) {
	g := start(t, setup{targets: []config.Target{targetAt(testkit.SilentAddr(t))},
		settings: func(s *config.BackendSettings) { s.ConnectTimeout = time.Minute }, pool: ejecting})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	time.Sleep(2 * time.Duration(patience))
	c.Close()
	if l := g.lines(t, 1)[0]; l.text("termination") != "CC" || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
	if g.state() == proxy.Ejected {
		t.Error("the member is blamed for it")
	}
}
