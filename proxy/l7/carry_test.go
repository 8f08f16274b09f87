package l7

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/stream"
)

// hop is a tunnel between two plain connections, and their peers.
type hop struct {
	tn       *tunnel
	up, down *copier
	peers    [2]*net.TCPConn // the client, the backend
}

// newHop makes a tunnel whose sockets have little room.
func newHop(t *testing.T) *hop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &hop{tn: &tunnel{framed: true}}
	var ends [2]*stream.Conn
	for i := range ends {
		p, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p.(*net.TCPConn).SetReadBuffer(32 << 10)
		nc.(*net.TCPConn).SetWriteBuffer(16 << 10)
		if ends[i], err = stream.New(nc); err != nil {
			t.Fatal(err)
		}
		h.peers[i] = p.(*net.TCPConn)
		t.Cleanup(func() { p.Close() })
		t.Cleanup(func() { ends[i].Close() })
	}
	h.tn.client, h.tn.backend = ends[0], ends[1]
	h.up = &copier{tn: h.tn, dst: ends[1], src: ends[0], to: 'S', from: 'C', frames: &h.tn.up}
	h.down = &copier{tn: h.tn, dst: ends[0], src: ends[1], to: 'C', from: 'S', frames: &h.tn.down}
	return h
}

// What the carrier read and could not write is written by the copier of its
// direction, before anything else.
func TestWhatTheCarrierCouldNotPassOnIsCopied(t *testing.T) {
	for from, name := range []string{"the client", "the backend"} {
		h := newHop(t)
		c := [2]*copier{h.up, h.down}[from]
		said := frame(2, strings.Repeat("0123456789", 50000), from == 0)
		go io.WriteString(h.peers[from], said)
		h.tn.carry(stream.NewCarrier(1), h.up, h.down)
		if len(c.left.Rest) == 0 {
			t.Fatalf("from %s: nothing is left", name)
		}
		go func() {
			for err := c.resume(); err == nil; {
				err = c.converse()
			}
		}()
		got := make([]byte, len(said))
		h.peers[1-from].SetReadDeadline(time.Now().Add(soon))
		if n, err := io.ReadFull(h.peers[1-from], got); err != nil || string(got) != said {
			t.Errorf("from %s came %d bytes, %v; not what was sent", name, n, err)
		}
		h.tn.leave()
	}
}

func TestWhatFailedTheCarrierEndsTheTunnel(t *testing.T) {
	h := newHop(t)
	h.down.left = stream.Left{From: 1, Rest: []byte("lost"), WriteErr: syscall.EPIPE}
	if err := h.down.resume(); err != errPeer || h.down.n != 0 {
		t.Errorf("resume says %v, with %d bytes", err, h.down.n)
	}
	if why := h.tn.failure.Load(); why == nil || why.side != 'C' || why.err != syscall.EPIPE {
		t.Errorf("it failed for %+v", why)
	}
	h.up.left = stream.Left{ReadErr: syscall.ETIMEDOUT}
	if err := h.up.resume(); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("resume says %v", err)
	}
}
