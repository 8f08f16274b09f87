package stream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 10 * time.Second

// peer is the other end of a Conn.
type peer struct {
	net.Conn
	tcp  *net.TCPConn
	wire *catcher // below TLS
}

// catcher is a connection whose writes can be kept from the wire.
type catcher struct {
	*net.TCPConn
	on     bool
	caught []byte
}

func (c *catcher) Write(b []byte) (int, error) {
	if !c.on {
		return c.TCPConn.Write(b)
	}
	c.caught = append(c.caught, b...)
	return len(b), nil
}

// catch returns what f would have written to the wire.
func (p *peer) catch(f func()) []byte {
	p.wire.on = true
	f()
	p.wire.on = false
	p.tcp.SetWriteDeadline(time.Time{}) // tls.Conn.CloseWrite leaves one behind
	caught := p.wire.caught
	p.wire.caught = nil
	return caught
}

// reset ends the connection with a RST.
func (p *peer) reset() {
	p.tcp.SetLinger(0)
	p.tcp.Close()
}

// send writes or fails the test.
func (p *peer) send(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		t.Fatal(err)
	}
}

// expect reads exactly s.
func (p *peer) expect(t *testing.T, s string) {
	t.Helper()
	p.SetReadDeadline(time.Now().Add(soon))
	got := make([]byte, len(s))
	if n, err := io.ReadFull(p.Conn, got); err != nil || string(got) != s {
		t.Fatalf("the peer read %d bytes of %d: %.100q, %v; want %.100q", n, len(s), got[:n], err, s)
	}
}

// tcpPair makes two ends of a loopback connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	mc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); mc.Close() })
	return mc.(*net.TCPConn), nc.(*net.TCPConn)
}

// plainPair makes a plain Conn and its peer.
func plainPair(t testing.TB) (*Conn, *peer) {
	t.Helper()
	a, b := tcpPair(t)
	c, err := New(a)
	if err != nil {
		t.Fatal(err)
	}
	return c, &peer{b, b, nil}
}

// tlsPair makes a Conn that is a TLS server and its peer.
func tlsPair(t testing.TB) (*Conn, *peer) { return tlsPairOf(t, tls.VersionTLS13) }

func tlsPairOf(t testing.TB, version uint16) (*Conn, *peer) {
	t.Helper()
	ca := testkit.NewCA(t)
	c, p := plainPair(t)
	wire := &catcher{TCPConn: p.tcp}
	client := tls.Client(wire, ca.ClientConfig("shop.test"))
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	config := &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{ca.Server("shop.test").TLS}}
	if err := c.ServeTLS(config, Now()+int64(soon)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, &peer{client, p.tcp, wire}
}

// dialedTLSPair makes a Conn that is a TLS client and its peer, a server.
func dialedTLSPair(t testing.TB) (*Conn, *peer) {
	t.Helper()
	ca := testkit.NewCA(t)
	c, p := plainPair(t)
	wire := &catcher{TCPConn: p.tcp}
	server := tls.Server(wire, &tls.Config{Certificates: []tls.Certificate{ca.Server("shop.test").TLS}})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := c.DialTLS(ca.ClientConfig("shop.test"), Now()+int64(soon)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, &peer{server, p.tcp, wire}
}

// onBoth runs a test on a plain connection and on TLS in either role.
func onBoth(t *testing.T, test func(t *testing.T, c *Conn, p *peer)) {
	for _, transport := range []struct {
		name string
		pair func(testing.TB) (*Conn, *peer)
	}{{"plain", plainPair}, {"TLS server", tlsPair}, {"TLS client", dialedTLSPair}} {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			c, p := transport.pair(t)
			t.Cleanup(func() { c.Abort() })
			test(t, c, p)
		})
	}
}

// in is a deadline that comes after d.
func in(d time.Duration) int64 { return Now() + int64(d) }

// readString reads once.
func readString(t *testing.T, c *Conn) string {
	t.Helper()
	buf := make([]byte, 1<<10)
	n, err := c.Read(buf, in(soon))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(buf[:n])
}

// expectTimeout reads and must see the deadline come, not before it should.
func expectTimeout(t *testing.T, c *Conn, after time.Duration) {
	t.Helper()
	from := time.Now()
	n, err := c.Read(make([]byte, 16), in(after))
	took := time.Since(from)
	if n != 0 || err != ErrTimeout || took < after || took > after+soon {
		t.Fatalf("read gave %d, %v after %v; want a timeout after %v", n, err, took, after)
	}
}

// leaveTimer has c read a byte that is there, whose deadline leaves a timer
// behind. On a busy machine the timer may come before the byte is read.
func leaveTimer(t *testing.T, c *Conn, p *peer, after time.Duration) {
	t.Helper()
	p.send(t, "a")
	for {
		n, err := c.Read(make([]byte, 1), in(after))
		if n == 1 {
			return
		}
		if err != ErrTimeout {
			t.Fatalf("read: %v", err)
		}
	}
}

func TestReadEndsAtItsDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		expectTimeout(t, c, 20*time.Millisecond)
		p.send(t, "still usable")
		if got := readString(t, c); got != "still usable" {
			t.Fatalf("read %q", got)
		}
	})
}

func TestATimerThatIsEarlierThanTheDeadlineIsSetAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		leaveTimer(t, c, p, 30*time.Millisecond)
		expectTimeout(t, c, 120*time.Millisecond) // the timer comes within this one
	})
}

func TestADeadlineThatIsEarlierThanTheTimerIsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		p.send(t, "ab")
		c.Read(make([]byte, 1), in(time.Hour))
		c.Read(make([]byte, 1), Never)
		expectTimeout(t, c, 30*time.Millisecond)
		expectTimeout(t, c, 20*time.Millisecond)
	})
}

func TestNoDeadlineWaitsBeyondAnOldTimer(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		leaveTimer(t, c, p, 20*time.Millisecond)
		go func() {
			time.Sleep(80 * time.Millisecond)
			io.WriteString(p, "late")
		}()
		buf := make([]byte, 16)
		if n, err := c.Read(buf, Never); err != nil || string(buf[:n]) != "late" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	})
}

func TestTimeoutIsTheRuntimesKind(t *testing.T) {
	var ne net.Error
	if !errors.Is(ErrTimeout, os.ErrDeadlineExceeded) || !errors.As(ErrTimeout, &ne) || !ne.Timeout() {
		t.Error("ErrTimeout does not look like one")
	}
	if errors.Is(ErrInterrupted, ErrTimeout) {
		t.Error("an interruption is taken for a timeout")
	}
}

func TestInterruptEndsReadsUntilResume(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		for range 3 {
			got := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 16), Never)
				got <- err
			}()
			time.Sleep(5 * time.Millisecond)
			c.Interrupt()
			if err := <-got; err != ErrInterrupted {
				t.Fatalf("read ended with %v", err)
			}
			if _, err := c.Read(make([]byte, 16), in(soon)); err != ErrInterrupted {
				t.Fatalf("a later read ended with %v", err)
			}
			c.Resume()
			p.send(t, "again")
			if got := readString(t, c); got != "again" {
				t.Fatalf("read %q after Resume", got)
			}
		}
	})
}

func TestInterruptWithinATLSRecordLosesNothing(t *testing.T) {
	c, p := tlsPair(t)
	const text = "the whole record"
	for _, at := range []int{1, 4, 5, 6, 20, -1} {
		record := p.catch(func() { p.send(t, text) })
		if at < 0 {
			at = len(record) - 1
		}
		p.tcp.Write(record[:at])
		got := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 64), Never)
			got <- err
		}()
		time.Sleep(5 * time.Millisecond)
		c.Interrupt()
		if err := <-got; err != ErrInterrupted {
			t.Fatalf("cut at %d: read ended with %v", at, err)
		}
		c.Resume()
		expectTimeout(t, c, 10*time.Millisecond) // a deadline there is no end either
		p.tcp.Write(record[at:])
		if got := readString(t, c); got != text {
			t.Fatalf("cut at %d: read %q", at, got)
		}
	}
}

func TestDataThatComesWithTheEndIsNotLost(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, p := tlsPairOf(t, version)
		p.tcp.Write(p.catch(func() {
			p.send(t, "last words")
			p.Conn.(*tls.Conn).CloseWrite()
		}))
		arrived(t, c)
		if got := readString(t, c); got != "last words" {
			t.Fatalf("read %q", got)
		}
		if _, err := c.Read(make([]byte, 16), in(soon)); err != io.EOF {
			t.Fatalf("then %v, want EOF", err)
		}
	}
}

// lender counts what it lends.
type lender struct {
	buf  [1 << 10]byte
	lent int
}

func (l *lender) Lend() []byte {
	l.lent++
	return l.buf[:]
}

func (l *lender) Unlend() { l.lent-- }

func TestReadLentHoldsNothingWhileItWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		l := &lender{}
		type result struct {
			n   int
			err error
		}
		done := make(chan result)
		read := func(deadline int64) {
			n, err := c.ReadLent(l, deadline)
			done <- result{n, err}
		}
		go read(in(20 * time.Millisecond))
		if r := <-done; r.err != ErrTimeout || l.lent != 0 {
			t.Fatalf("%v with %d buffers lent", r.err, l.lent)
		}
		go read(Never)
		time.Sleep(10 * time.Millisecond)
		c.Interrupt()
		if r := <-done; r.err != ErrInterrupted || l.lent != 0 {
			t.Fatalf("%v with %d buffers lent", r.err, l.lent)
		}
		c.Resume()
		for _, text := range []string{"a", "a message"} {
			go read(in(soon))
			p.send(t, text)
			if r := <-done; r.err != nil || string(l.buf[:r.n]) != text || l.lent != 1 {
				t.Fatalf("%q, %v with %d buffers lent; want %q", l.buf[:r.n], r.err, l.lent, text)
			}
			l.Unlend()
		}
		p.tcp.CloseWrite()
		go read(in(soon))
		if r := <-done; r.err == nil || l.lent != 0 {
			t.Fatalf("%v at the end, with %d buffers lent", r.err, l.lent)
		}
	})
}

// A client may say that it sends no more right behind its request.
func TestReadLentTakesDataThatComesWithTheEnd(t *testing.T) {
	for _, text := range []string{"x", "a request"} {
		c, p := tlsPair(t)
		p.tcp.Write(p.catch(func() {
			p.send(t, text)
			p.Conn.(*tls.Conn).CloseWrite()
		}))
		l := &lender{}
		n, err := c.ReadLent(l, in(soon))
		if err != nil || string(l.buf[:n]) != text {
			t.Fatalf("read %q, %v; want %q", l.buf[:n], err, text)
		}
		if _, err := c.Read(l.buf[:], in(soon)); err != io.EOF {
			t.Fatalf("then %v, want EOF", err)
		}
	}
}

func TestPeekTakesNothing(t *testing.T) {
	c, p := plainPair(t)
	buf := make([]byte, 16)
	if n, err := c.Peek(buf, 0, in(20*time.Millisecond)); n != 0 || err != ErrTimeout {
		t.Fatalf("%d, %v", n, err)
	}
	p.send(t, "PRO")
	n, err := c.Peek(buf, 0, in(soon))
	if err != nil || string(buf[:n]) != "PRO" {
		t.Fatalf("peeked %q, %v", buf[:n], err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		io.WriteString(p, "XY more")
	}()
	if n, err = c.Peek(buf, n, in(soon)); err != nil || string(buf[:n]) != "PROXY more" {
		t.Fatalf("peeked %q, %v", buf[:n], err)
	}
	if err := c.Discard(len("PROXY ")); err != nil {
		t.Fatal(err)
	}
	if got := readString(t, c); got != "more" {
		t.Fatalf("read %q", got)
	}
	p.tcp.CloseWrite()
	if _, err := c.Peek(buf, 0, in(soon)); err != io.EOF {
		t.Fatalf("%v at the end", err)
	}
}

func TestReadTellsEndFromReset(t *testing.T) {
	c, p := plainPair(t)
	p.tcp.CloseWrite()
	if _, err := c.Read(make([]byte, 1), in(soon)); err != io.EOF {
		t.Errorf("end: %v", err)
	}
	c, p = plainPair(t)
	p.reset()
	if _, err := c.Read(make([]byte, 1), in(soon)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
}

func TestAbortResets(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		c.Abort()
		p.SetReadDeadline(time.Now().Add(soon))
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer saw %v", err)
		}
	})
}

func TestCloseSaysGoodbye(t *testing.T) {
	onBoth(t, func(t *testing.T, c *Conn, p *peer) {
		c.Close()
		p.SetReadDeadline(time.Now().Add(soon))
		if _, err := p.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the peer saw %v", err) // under TLS, EOF takes a close_notify
		}
	})
}

func TestCountsAreTheWires(t *testing.T) {
	c, p := plainPair(t)
	p.send(t, "four")
	readString(t, c)
	c.Write([]byte("12"), nil, []byte("345"))
	if c.Received() != 4 || c.Written() != 5 {
		t.Errorf("received %d, written %d", c.Received(), c.Written())
	}
}

func TestAddresses(t *testing.T) {
	c, p := plainPair(t)
	if c.RemoteAddr().String() != p.tcp.LocalAddr().String() || c.LocalAddr().String() != p.tcp.RemoteAddr().String() {
		t.Errorf("%v, %v", c.RemoteAddr(), c.LocalAddr())
	}
}

func TestWallTime(t *testing.T) {
	for range 2 {
		from := time.Now().Add(-time.Second)
		at := time.Unix(0, WallAt(Now()))
		if to := time.Now().Add(time.Second); at.Before(from) || at.After(to) {
			t.Errorf("%v, not between %v and %v", at, from, to)
		}
		SyncWall()
	}
}
