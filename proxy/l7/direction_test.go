package l7

import (
	"fmt"
	"testing"

	"gatehouse/internal/testkit"
)

// What the log says of who failed.
func (l line) blames(termination, reason, info string) bool {
	return l.text("termination") == termination && l.text("reason") == reason && l.text("error_info") == info
}

const (
	clientClosed  = "ERRORINFO_CLIENT_CLOSED_REQUEST"
	backendClosed = "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"
)

// A tunnel that one side resets is not blamed on the other, which is cut for
// it.
func TestTheLogSaysWhoResetATunnel(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		g := tunnelTo(t, "", soon)
		open(t, g, "").Reset()
		if l := g.lines(t, 1)[0]; !l.blames("CD", "tunnel: client: connection reset by peer", clientClosed) {
			t.Errorf("the log says %v", l)
		}
	})
	t.Run("backend", func(t *testing.T) {
		opened := make(chan struct{})
		g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
			c.Send(switching)
			<-opened
			c.Reset()
		})
		c := open(t, g, "")
		close(opened)
		c.ExpectClosed(soon)
		if l := g.lines(t, 1)[0]; !l.blames("SD", "tunnel: backend: connection reset by peer", backendClosed) {
			t.Errorf("the log says %v", l)
		}
	})
}

// silentUpload is a client that is known to have left while its body is still
// awaited.
type silentUpload struct{ *memoryExchange }

func (silentUpload) Gone() bool { return true }

func TestAClientThatLeavesItsUploadLeftInTheRequest(t *testing.T) {
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) })
	x := newMemoryExchange(t, request("PUT", "/", "Content-Length: 100000"))
	g.over(silentUpload{x})
	if l := g.lines(t, 1)[0]; !l.blames("CR", "client left", clientClosed) || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
	testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
}

// A body that is found to be malformed once the response has begun ends it,
// but the client is there.
func TestAMalformedBodyIsNoClientThatLeft(t *testing.T) {
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
		c.WaitPeer(soon)
	})
	c := testkit.Dial(t, g.addr)
	piece := testkit.Pattern(50_000)
	c.Send(request("PUT", "/", "Transfer-Encoding: chunked"), fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
	c.ReadN(len("HTTP/1.1 200"))
	c.Send("zz\r\n")
	c.ExpectReset(soon)
	if l := g.lines(t, 1)[0]; !l.blames("CD", "bad chunk size", "ERRORINFO_INVALID_REQUEST") || l["httpStatus"] != 200.0 {
		t.Errorf("the log says %v", l)
	}
}
