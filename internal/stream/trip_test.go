package stream

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// trip makes a Trip with a short request.
func trip(c *Conn, deadline int64) (sent int64, answer string, err error) {
	into := make([]byte, 1<<10)
	sent, n, err := c.Trip([]byte("GET "), []byte("/"), []byte("\n"), into, false, deadline)
	return sent, string(into[:n]), err
}

// arrived waits until what a peer did has arrived.
func arrived(t *testing.T, c *Conn) {
	t.Helper()
	testkit.Eventually(t, soon, "what the peer did to arrive", func() bool { return !c.Silent() })
}

func TestTripReturnsTheAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		for range 3 {
			go func() {
				p.expect(t, "GET /\n")
				p.send(t, "200")
			}()
			sent, answer, err := trip(c, in(soon))
			if err != nil || answer != "200" || sent < 6 {
				t.Fatalf("%q, %v; %d bytes sent", answer, err, sent)
			}
		}
	})
}

// absorbTickets reads the tickets that a TLS server sends first: all
// that came before a byte of the peer's.
func absorbTickets(t *testing.T, c *Conn, p *peer) {
	t.Helper()
	p.send(t, ".")
	if got := readString(t, c); got != "." {
		t.Fatalf("read %q", got)
	}
}

func TestTripOnAStaleConnectionWritesNothing(t *testing.T) {
	for _, w := range []struct {
		name string
		do   func(t *testing.T, p *peer)
	}{
		{"peer closed", func(t *testing.T, p *peer) { p.tcp.CloseWrite() }},
		{"peer said goodbye", func(t *testing.T, p *peer) {
			if s, ok := p.Conn.(*tls.Conn); ok {
				s.CloseWrite()
			}
			p.tcp.CloseWrite()
		}},
		{"peer reset", func(t *testing.T, p *peer) { p.reset() }},
		{"unsolicited bytes", func(t *testing.T, p *peer) { p.send(t, "HTTP/1.1 408 Request Timeout\r\n\r\n") }},
	} {
		t.Run(w.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *Conn, p *peer) {
				if c.TLS() != nil {
					absorbTickets(t, c, p)
				}
				if !c.Silent() {
					t.Fatal("stale from the start")
				}
				w.do(t, p)
				arrived(t, c)
				before := c.Written()
				sent, answer, err := trip(c, in(soon))
				if err != ErrStale || sent != 0 || answer != "" || c.Written() != before {
					t.Errorf("%q, %v with %d bytes sent, %d written", answer, err, sent, c.Written()-before)
				}
			})
		})
	}
}

// Bytes that TLS has decrypted already are as unsolicited as those in the
// socket: a second response behind the first one must not answer the next
// request.
func TestTripOnTLSSeesWhatWasReadTooFar(t *testing.T) {
	for _, w := range []struct {
		name, first, rest string
		records           int
	}{
		{"rest of a record", "200", "500", 1},
		{"another record", "200", "500", 2},
	} {
		t.Run(w.name, func(t *testing.T) {
			c, p := dialedTLSPair(t)
			absorbTickets(t, c, p)
			p.tcp.Write(p.catch(func() {
				if w.records == 1 {
					p.send(t, w.first+w.rest)
					return
				}
				p.send(t, w.first)
				p.send(t, w.rest)
			}))
			into := make([]byte, len(w.first))
			if n, err := c.Read(into, in(soon)); err != nil || string(into[:n]) != w.first {
				t.Fatalf("read %q, %v", into[:n], err)
			}
			for _, fresh := range []bool{false, true} {
				sent, n, err := c.Trip([]byte("GET"), nil, nil, make([]byte, 16), fresh, in(soon))
				if err != ErrStale || sent != 0 || n != 0 {
					t.Errorf("fresh %v: %d bytes, %v with %d sent", fresh, n, err, sent)
				}
			}
		})
	}
}

func TestTripThatTimesOutIsContinuedByRead(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		sent, answer, err := trip(c, in(20*time.Millisecond))
		if err != ErrTimeout || answer != "" || sent < 6 {
			t.Fatalf("%q, %v; %d bytes sent", answer, err, sent)
		}
		p.expect(t, "GET /\n")
		p.send(t, "late")
		if got := readString(t, c); got != "late" {
			t.Fatalf("read %q", got)
		}
	})
}

// Even when the deadline comes before the goroutine had its turn, a timeout
// says that the request is out.
func TestTripWithAPastDeadlineStillSends(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		if sent, _, err := trip(c, Now()-1); err != ErrTimeout || sent < 6 {
			t.Fatalf("%v; %d bytes sent", err, sent)
		}
		p.expect(t, "GET /\n")
	})
	c, p := plainPair(t)
	p.tcp.CloseWrite()
	arrived(t, c)
	if sent, _, err := trip(c, Now()-1); err != ErrStale || sent != 0 {
		t.Fatalf("%v on a stale connection; %d bytes sent", err, sent)
	}
}

func TestTripWaitsForAFullSocket(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		slow(c)
		c.Stall = 5 * time.Second
		body := floodText()
		go func() {
			time.Sleep(50 * time.Millisecond)
			p.expect(t, "head"+body+"tail")
			p.send(t, "200")
		}()
		into := make([]byte, 16)
		sent, n, err := c.Trip([]byte("head"), []byte(body), []byte("tail"), into, false, in(soon))
		if err != nil || string(into[:n]) != "200" || sent < flood+8 {
			t.Fatalf("%q, %v; %d bytes sent", into[:n], err, sent)
		}
	})
}

// A timeout says that the pieces are out; a peer that does not take them is
// something else.
func TestTripThatStallsIsNotTakenForSent(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		slow(c)
		c.Stall = 200 * time.Millisecond
		body := floodText()
		sent, _, err := c.Trip([]byte("head"), []byte(body), []byte("tail"), make([]byte, 16), false, in(soon))
		if err != ErrStalled {
			t.Fatalf("%v after %d of %d bytes", err, sent, len(body)+8)
		}
	})
}

func TestTripSeesThePeerLeave(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		if c.TLS() != nil {
			absorbTickets(t, c, p)
		}
		go func() {
			p.expect(t, "GET /\n")
			p.Close()
		}()
		sent, _, err := trip(c, in(soon))
		if err != io.EOF || sent < 6 {
			t.Fatalf("%v; %d bytes sent", err, sent)
		}
	})
}

// echoRaw answers each read with a fixed reply, without allocating.
func echoRaw(p *peer, request int, reply string) {
	buf, out := make([]byte, request), []byte(reply)
	for {
		if _, err := io.ReadFull(p.tcp, buf); err != nil {
			return
		}
		if _, err := p.tcp.Write(out); err != nil {
			return
		}
	}
}

func BenchmarkTrip(b *testing.B) {
	c, p := plainPair(b)
	head, into := []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 64)
	go echoRaw(p, len(head), "HTTP/1.1 204 No Content\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Trip(head, nil, nil, into, false, in(time.Second)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadLentAndWrite(b *testing.B) {
	c, p := plainPair(b)
	l, reply := &lender{}, []byte("HTTP/1.1 204 No Content\r\n\r\n")
	request := []byte("GET / HTTP/1.1\r\n\r\n")
	b.ReportAllocs()
	buf := make([]byte, len(reply))
	for b.Loop() {
		p.tcp.Write(request)
		if _, err := c.ReadLent(l, in(time.Second)); err != nil {
			b.Fatal(err)
		}
		c.Write(reply, nil, nil)
		io.ReadFull(p.tcp, buf)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	c, p := plainPair(t)
	head, into := []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 64)
	go echoRaw(p, len(head), "HTTP/1.1 204 No Content\r\n\r\n")
	if n := testing.AllocsPerRun(500, func() {
		if _, _, err := c.Trip(head, nil, nil, into, false, in(soon)); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Trip allocates %v times", n)
	}
	c, p = plainPair(t)
	l := &lender{}
	if n := testing.AllocsPerRun(500, func() {
		p.tcp.Write(head)
		if _, err := c.ReadLent(l, in(soon)); err != nil {
			t.Fatal(err)
		}
		c.Write(head, nil, head)
		io.ReadFull(p.tcp, into[:2*len(head)])
	}); n > 0 {
		t.Errorf("ReadLent and Write allocate %v times", n)
	}
}
