package stream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// slow gives a connection a small buffer, so that writes meet a full socket
// soon. The peer's stays as it is: the kernel opens a small window late.
func slow(c *Conn) { c.polled.Load().pollable.(*net.TCPConn).SetWriteBuffer(128 << 10) }

// flood is more than the buffers of two sockets take.
const flood = 8 << 20

// A reader that takes a flood in eight turns, with a pause before each, takes
// longer than stallInTurns for all of it. A single turn takes much less, even
// when the machine is busy.
const (
	turn         = 300 * time.Millisecond
	stallInTurns = 7 * turn
)

// floodText is that many bytes in which a lost piece shows.
var floodText = sync.OnceValue(func() string { return testkit.Pattern(flood) })

func TestWriteJoinsThreePieces(t *testing.T) {
	big := testkit.Pattern(2 * maxVector)
	for _, w := range []struct {
		name    string
		a, b, d string
	}{
		{"all", "head", "body", "tail"},
		{"none", "", "", ""},
		{"first only", "head", "", ""},
		{"last only", "", "", "tail"},
		{"gap", "head", "", "tail"},
		{"long body", "head", big, "tail"},
		{"all long", big, big, big},
		{"long head", big, "body", ""},
		{"just the most", big[:maxDirect-8], big[:maxVector-maxDirect], "four and"},
		{"one more", big[:maxDirect-8], big[:maxVector-maxDirect], "four and."},
	} {
		t.Run(w.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *Conn, p *peer) {
				slow(c)
				done := make(chan error, 1)
				go func() { done <- c.Write([]byte(w.a), []byte(w.b), []byte(w.d)) }()
				p.expect(t, w.a+w.b+w.d)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				go c.Write([]byte("next"), nil, nil)
				p.expect(t, "next")
			})
		})
	}
}

func TestWriteAll(t *testing.T) {
	text := testkit.Pattern(3 * maxVector)
	for _, size := range []int{len(text), 9, maxVector - 1, maxDirect / 4} {
		onBoth(t, func(t *testing.T, c *Conn, p *peer) {
			slow(c)
			var pieces [][]byte
			for rest := []byte(text); len(rest) > 0 && len(pieces) < 1000; {
				n := min(size, len(rest))
				pieces = append(pieces, rest[:n], nil)
				rest = rest[n:]
			}
			all := string(bytes.Join(pieces, nil))
			done := make(chan error, 1)
			go func() { done <- c.WriteAll(pieces) }()
			p.expect(t, all)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			go c.Write([]byte("next"), []byte("ly"), nil)
			p.expect(t, "nextly")
		})
	}
}

func TestAWriteOutlastsItsStallWhileThePeerReads(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		slow(c)
		c.Stall = stallInTurns
		body := floodText()
		done := make(chan error, 1)
		from := time.Now()
		go func() { done <- c.Write([]byte(body), nil, nil) }()
		for n := 0; n < flood; n += flood / 8 {
			time.Sleep(turn)
			p.expect(t, body[n:n+flood/8])
		}
		if err := <-done; err != nil {
			t.Fatalf("%v after %v", err, time.Since(from))
		}
	})
}

func TestAWriteEndsWhenThePeerStalls(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		slow(c)
		c.Stall = 100 * time.Millisecond
		from := time.Now()
		err := c.Write(make([]byte, flood), nil, nil)
		if took := time.Since(from); !errors.Is(err, ErrTimeout) || took < c.Stall || took > soon {
			t.Fatalf("%v after %v", err, took)
		}
	})
}

// What the runtime's timer was set to for one write must not end another one
// much later.
func TestAnOldStallDoesNotEndALaterWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		slow(c)
		c.Stall = stallInTurns
		body := floodText()
		done := make(chan error, 1)
		go func() { done <- c.Write([]byte(body), nil, nil) }()
		time.Sleep(20 * time.Millisecond) // the socket fills up
		p.expect(t, body)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		time.Sleep(stallInTurns + turn)
		for _, s := range []string{"later", "and later"} {
			if err := c.Write([]byte(s), nil, nil); err != nil {
				t.Fatalf("a later write: %v", err)
			}
			p.expect(t, s)
		}
	})
}

func TestWithoutStallAWriteWaits(t *testing.T) {
	c, p := plainPair(t)
	slow(c)
	done := make(chan error, 1)
	go func() { done <- c.Write(make([]byte, flood), nil, nil) }()
	select {
	case err := <-done:
		t.Fatalf("write ended with %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	go io.Copy(io.Discard, p)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWriteSeesAReset(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		slow(c)
		done := make(chan error, 1)
		go func() { done <- c.Write(make([]byte, flood), nil, nil) }()
		time.Sleep(10 * time.Millisecond)
		p.reset()
		select {
		case err := <-done:
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
		case <-time.After(soon):
			t.Fatal("the write goes on")
		}
	})
}

func TestCloseWriteLeavesTheOtherDirection(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		c.Write([]byte("bye"), nil, nil)
		c.CloseWrite()
		p.expect(t, "bye")
		if _, err := p.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("the peer saw %v", err)
		}
		p.send(t, "answer")
		if got := readString(t, c); got != "answer" {
			t.Fatalf("read %q", got)
		}
	})
}

// A peer that reads nothing must not keep a TLS connection from being closed.
func TestCloseDoesNotWaitForAFullSocket(t *testing.T) {
	c, _ := tlsPair(t)
	slow(c)
	raw := newConn()
	raw.Stall = 50 * time.Millisecond
	raw.polled.Store(c.polled.Load())
	raw.Write(make([]byte, flood), nil, nil) // fills the socket below TLS
	c.Stall = time.Minute
	done := make(chan struct{})
	go func() { c.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Close waits")
	}
}

func TestHandshakeEndsAtItsDeadline(t *testing.T) {
	c, _ := plainPair(t)
	from := time.Now()
	err := c.ServeTLS(&tls.Config{}, in(50*time.Millisecond))
	if took := time.Since(from); !errors.Is(err, ErrTimeout) || took > soon {
		t.Fatalf("%v after %v", err, took)
	}
}
