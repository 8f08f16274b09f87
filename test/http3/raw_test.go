package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// get1 is an ordinary request.
var get1 = []string{":method", "GET", ":scheme", "https", ":authority", "shop.test", ":path", "/"}

// rawConn is a client that says what it is told to.
type rawConn struct {
	*quic.Conn
	t    *testing.T
	ours *quic.SendStream // control
	peer *quic.ReceiveStream
}

// dial connects and sends settings.
func dial(t *testing.T, g *gateway) *rawConn {
	t.Helper()
	tc := g.tlsConfig()
	tc.ServerName = "shop.test"
	c := dialWith(t, g.addr, tc, &quic.Config{})
	c.hello()
	return c
}

func dialWith(t *testing.T, addr string, tc *tls.Config, qc *quic.Config) *rawConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	q, err := quic.DialAddrEarly(ctx, addr, tc, qc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.CloseWithError(0x100, "") })
	return &rawConn{Conn: q, t: t}
}

// hello opens the control stream with empty settings.
func (c *rawConn) hello() {
	c.ours = c.uni(append([]byte{0}, frame(0x4, nil)...))
}

// uni opens a stream in one direction.
func (c *rawConn) uni(p []byte) *quic.SendStream {
	c.t.Helper()
	s, err := c.OpenUniStream()
	if err != nil {
		c.t.Fatal(err)
	}
	s.Write(p)
	return s
}

// control reads the next frame of the gateway's control stream but its settings.
func (c *rawConn) control() (kind uint64, payload []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if c.peer == nil {
		s, err := c.AcceptUniStream(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		c.peer = s
		if kind, err := quicvarint.Read(quicvarint.NewReader(s)); err != nil || kind != 0 {
			c.t.Fatalf("stream of type %#x, %v", kind, err)
		}
		if kind, _, err := readFrame(s); kind != 4 || err != nil {
			c.t.Fatalf("frame %#x, %v", kind, err)
		}
	}
	c.peer.SetReadDeadline(time.Now().Add(soon))
	kind, payload, err := readFrame(c.peer)
	if err != nil {
		c.t.Fatal(err)
	}
	return kind, payload
}

// stay asks for what the backend answers when the test is done with the connection. One without a request is closed after a
// second, and what else it said is gone then, also what the test has not come to read yet.
func (c *rawConn) stay() {
	c.t.Helper()
	s := c.request(append(get1[:6:6], ":path", "/stay")...)
	s.Close()
}

// turnedAway is the code that a connection ends with, which may be while it is made.
func (g *gateway) turnedAway() uint64 {
	g.t.Helper()
	tc := g.tlsConfig()
	tc.ServerName = "shop.test"
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	q, err := quic.DialAddrEarly(ctx, g.addr, tc, &quic.Config{})
	if err == nil {
		return (&rawConn{Conn: q, t: g.t}).closed()
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && e.Remote {
		return uint64(e.ErrorCode)
	}
	g.t.Errorf("not connected: %v", err)
	return 0
}

// tickets counts what a client may come back with.
type tickets struct {
	tls.ClientSessionCache
	got atomic.Int64
}

func (c *tickets) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	if s != nil {
		c.got.Add(1)
	}
}

// deaf is the socket of a client that hears nothing before it is told to. Until then no handshake ends for it, and whatever it
// sends is early data.
type deaf struct {
	net.PacketConn
	told <-chan struct{}
}

func (d deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	<-d.told
	return d.PacketConn.ReadFrom(p)
}

// dialDeaf connects, with the ticket of a connection before, and hears nothing until hear is called.
func dialDeaf(t *testing.T, addr string, tc *tls.Config) (q *quic.Conn, hear func()) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	hear = sync.OnceFunc(func() { close(told) })
	tr := &quic.Transport{Conn: deaf{socket, told}}
	t.Cleanup(func() {
		hear()
		tr.Close()
		socket.Close()
	})
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if q, err = tr.DialEarly(ctx, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)), tc, &quic.Config{HandshakeIdleTimeout: soon}); err != nil {
		t.Fatal(err)
	}
	return q, hear
}

// closed waits for the gateway to end the connection, and returns its code.
func (c *rawConn) closed() uint64 {
	c.t.Helper()
	select {
	case <-c.Context().Done():
	case <-time.After(soon):
		c.t.Error("the connection stays")
		return 0
	}
	if e, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.Context())); ok && e.Remote {
		return uint64(e.ErrorCode)
	}
	c.t.Errorf("ended by %v", context.Cause(c.Context()))
	return 0
}

// rawStream is a request of a rawConn.
type rawStream struct {
	*quic.Stream
	t *testing.T
}

// request sends a head.
func (c *rawConn) request(fields ...string) rawStream {
	c.t.Helper()
	return c.send(head(fields...))
}

// send opens a stream with these bytes.
func (c *rawConn) send(p []byte) rawStream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(soon))
	s.Write(p)
	return rawStream{s, c.t}
}

// head reads a HEADERS frame, as lines; what went wrong instead.
func (s rawStream) head() string {
	kind, p, err := readFrame(s)
	if err != nil || kind != 1 {
		return "no head: " + errorText(err)
	}
	var text strings.Builder
	next := qpack.NewDecoder().Decode(p)
	for {
		f, err := next()
		if err != nil {
			return text.String()
		}
		text.WriteString(f.Name + " " + f.Value + "\n")
	}
}

func errorText(err error) string {
	if err == nil {
		return "another frame"
	}
	return err.Error()
}

// data reads a DATA frame.
func (s rawStream) data() string {
	kind, p, err := readFrame(s)
	if err != nil || kind != 0 {
		return "no data: " + errorText(err)
	}
	return string(p)
}

// resetCode is what the gateway resets the stream with; 0 if it does not.
func (s rawStream) resetCode() uint64 {
	_, err := io.Copy(io.Discard, s)
	if e, ok := errors.AsType[*quic.StreamError](err); ok && e.Remote {
		return uint64(e.ErrorCode)
	}
	s.t.Logf("no reset: %v", err)
	return 0
}

func readFrame(r io.Reader) (kind uint64, payload []byte, err error) {
	br := quicvarint.NewReader(r)
	if kind, err = quicvarint.Read(br); err != nil {
		return 0, nil, err
	}
	n, err := quicvarint.Read(br)
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return kind, payload, err
}

func frame(kind uint64, payload []byte) []byte {
	p := quicvarint.Append(nil, kind)
	p = quicvarint.Append(p, uint64(len(payload)))
	return append(p, payload...)
}

// head is a HEADERS frame.
func head(fields ...string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if len(fields) == 0 {
		b.Write([]byte{0, 0})
	}
	return frame(0x1, b.Bytes())
}

// honest asks as others do, and must be served.
func honest(t *testing.T, g *gateway) {
	t.Helper()
	c := dial(t, g)
	s := c.request(get1...)
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Errorf("an honest client: %s", got)
	}

}
