package http3

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// upgrade starts the binary anew, and returns once the new process serves.
func (g *gateway) upgrade(pid int) (newPid int) {
	g.t.Helper()
	before, _ := os.ReadFile(g.output)
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		g.t.Fatal(err)
	}
	testkit.Eventually(g.t, soon, "the new process", func() bool {
		text, _ := os.ReadFile(g.output)
		_, line, found := strings.Cut(string(text[len(before):]), "upgraded: the new process serves")
		at := strings.Index(line, `"newPid":`)
		if !found || at < 0 {
			return false
		}
		_, err := fmt.Sscanf(line[at:], `"newPid":%d`, &newPid)
		return err == nil
	})
	g.t.Cleanup(func() { syscall.Kill(newPid, syscall.SIGTERM) })
	return newPid
}

// Connections of the old process go on while the new one reads the port: what is under way is lost by neither.
func TestUpgrade(t *testing.T) {
	hold, stay := make(chan struct{}), make(chan struct{})
	var held atomic.Int64
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/" {
			testkit.Echo()(c, r)
			return
		}
		if r.Target == "/stay" {
			<-stay
			c.Respond(r, 200, "")
			return
		}
		if _, err := r.ReadBody(); err != nil {
			return
		}
		held.Add(1)
		<-hold
		c.Respond(r, 200, testkit.Pattern(3<<20))
	}, "")
	pid := g.proc.Pid
	old := make([]rawStream, 2)
	conns := make([]*rawConn, 2)
	for i := range old {
		conns[i] = dial(t, g)
		conns[i].stay()
		old[i] = conns[i].send(append(head(append(post[:6:6], ":path", "/long")...), frame(0x0, []byte("first"))...))
		s := conns[i].request(get1...)
		s.Close()
		if got := s.head(); !strings.Contains(got, ":status 200") {
			t.Fatal(got)
		}
		pid = g.upgrade(pid)
		honest(t, g)
	}
	// There are three processes now; the uploads go to the first two.
	for _, s := range old {
		s.Write(frame(0x0, []byte(testkit.Pattern(500<<10))))
		s.Close()
	}
	testkit.Eventually(t, soon, "the uploads", func() bool { return held.Load() == 2 })
	for i, c := range conns { // now: what a connection said is gone once it is closed
		if kind, _ := c.control(); kind != 0x7 {
			t.Errorf("connection %d: frame %#x, not GOAWAY", i, kind)
		}
	}
	close(hold)
	for i, s := range old {
		if got := s.head(); !strings.Contains(got, ":status 200") {
			t.Errorf("connection %d: %s", i, got)
			continue
		}
		var whole strings.Builder
		for whole.Len() < 3<<20 {
			piece := s.data()
			if whole.WriteString(piece); strings.HasPrefix(piece, "no data") {
				break
			}
		}
		if rest, err := io.ReadAll(s); whole.String() != testkit.Pattern(3<<20) || len(rest) > 0 || err != nil {
			t.Errorf("connection %d: %d bytes, %v", i, whole.Len(), err)
		}
	}
	close(stay)
	for i, c := range conns {
		if code := c.closed(); code != 0x100 {
			t.Errorf("connection %d: closed with %#x", i, code)
		}
	}
	honest(t, g)
}
