package stream

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// counting is a lender that counts the attempts to read.
type counting struct {
	buf      []byte
	attempts int
}

func (l *counting) Lend() []byte { l.attempts++; return l.buf }
func (l *counting) Unlend()      {}

// next reads with ReadNext.
func next(t *testing.T, c *Conn, l *counting) string {
	t.Helper()
	n, err := c.ReadNext(l, Now(), in(soon))
	if err != nil {
		t.Fatal(err)
	}
	return string(l.buf[:n])
}

// told is next without the look after stayFor: what the poller does not tell of
// fails the test, and a stall does not end the section.
func told(t *testing.T, c *Conn, l *counting) string {
	t.Helper()
	n, err := c.ReadNext(l, in(soon), in(soon))
	if err != nil {
		t.Fatal(err)
	}
	return string(l.buf[:n])
}

func TestReadNextDoesNotLookBeforeItWaits(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 64)}
	later := func() { time.AfterFunc(5*time.Millisecond, func() { p.tcp.Write([]byte("message")) }) }
	later()
	told(t, c, l)
	l.attempts = 0
	const messages = 5
	for range messages {
		later()
		if got := told(t, c, l); got != "message" {
			t.Fatalf("read %q", got)
		}
	}
	// The first message may be told of late, when the first look found it.
	if l.attempts < messages || l.attempts > messages+1 {
		t.Errorf("%d attempts to read %d messages", l.attempts, messages)
	}
}

// Whatever arrives between two calls is told by the second, also when it fills
// the buffer to the byte.
func TestReadNextMissesNothing(t *testing.T) {
	for _, w := range []struct {
		name   string
		pieces []string
	}{
		{"between two calls", []string{"first", "second"}},
		{"a full buffer", []string{"12345678", "9"}},
		{"more than a buffer", []string{"1234567890123", "4"}},
		{"more than a buffer at the end", []string{"1", "1234567890123"}},
		{"two full buffers at the end", []string{"1", "1234567890123456"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			c, p := plainPair(t)
			defer c.Close()
			l := &counting{buf: make([]byte, 8)}
			p.send(t, ".")
			next(t, c, l)
			var want, got bytes.Buffer
			for _, piece := range w.pieces {
				want.WriteString(piece)
				p.send(t, piece)
				time.Sleep(2 * time.Millisecond)
				got.WriteString(told(t, c, l))
			}
			for got.Len() < want.Len() {
				got.WriteString(told(t, c, l))
			}
			if got.String() != want.String() {
				t.Errorf("got %q, want %q", got.String(), want.String())
			}
		})
	}
}

func TestReadNextUnderPipelining(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%37)
			if _, err := p.tcp.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	l := &counting{buf: make([]byte, 32)}
	var got bytes.Buffer
	for got.Len() < len(want) {
		got.WriteString(next(t, c, l))
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("other bytes")
	}
}

func TestReadNextKeepsDeadlines(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	for range 3 {
		if _, err := c.ReadNext(l, Now(), in(20*time.Millisecond)); err != ErrTimeout {
			t.Fatalf("got %v", err)
		}
		p.send(t, "x")
		next(t, c, l)
	}
}

// An idle connection gives its section up; the wait goes on.
func TestReadNextOfAnIdleConnection(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	p.send(t, "x")
	next(t, c, l)
	began := Now()
	n, err := c.ReadNext(l, Now()-stayFor+int64(10*time.Millisecond), in(50*time.Millisecond))
	if err != ErrTimeout || n != 0 || Now() < began+int64(40*time.Millisecond) {
		t.Fatalf("%d bytes, %v after %v", n, err, time.Duration(Now()-began))
	}
	if c.section != nil {
		t.Error("the section is kept")
	}
	time.AfterFunc(10*time.Millisecond, func() { p.tcp.Write([]byte("y")) })
	if got := next(t, c, l); got != "y" {
		t.Fatalf("read %q", got)
	}
}

// The end of a stream that comes with the bytes before it is told once: it is
// found when the section is given up.
func TestReadNextFindsTheEndThatCameWithTheBytes(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	p.send(t, "x")
	next(t, c, l)
	p.send(t, "y")
	p.tcp.CloseWrite()
	time.Sleep(5 * time.Millisecond) // both are there before the read
	if got := next(t, c, l); got != "y" {
		t.Fatalf("read %q", got)
	}
	began := Now()
	if _, err := c.ReadNext(l, began, in(soon)); err != io.EOF {
		t.Fatalf("got %v", err)
	}
	if took := Now() - began; took > 5*stayFor {
		t.Errorf("after %v", time.Duration(took))
	}
}

func TestInterruptEndsReadNext(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	p.send(t, "x")
	next(t, c, l)
	for range 20 {
		done := make(chan error, 1)
		go func() { _, err := c.ReadNext(l, Now(), in(soon)); done <- err }()
		c.Interrupt()
		if err := <-done; err != ErrInterrupted {
			t.Fatalf("got %v", err)
		}
		c.Resume()
		p.send(t, "y")
		if got := next(t, c, l); got != "y" {
			t.Fatalf("read %q", got)
		}
	}
}

func TestOtherReadsEndTheSection(t *testing.T) {
	for name, read := range map[string]func(*Conn) (string, error){
		"Read": func(c *Conn) (string, error) {
			b := make([]byte, 8)
			n, err := c.Read(b, in(soon))
			return string(b[:n]), err
		},
		"ReadLent": func(c *Conn) (string, error) {
			l := &counting{buf: make([]byte, 8)}
			n, err := c.ReadLent(l, in(soon))
			return string(l.buf[:n]), err
		},
		"Peek": func(c *Conn) (string, error) {
			b := make([]byte, 8)
			n, err := c.Peek(b, 0, in(soon))
			return string(b[:n]), errors.Join(err, c.Discard(n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := plainPair(t)
			defer c.Close()
			l := &counting{buf: make([]byte, 8)}
			for range 3 {
				p.send(t, "x")
				next(t, c, l)
				time.AfterFunc(2*time.Millisecond, func() { p.tcp.Write([]byte("other")) })
				if got, err := read(c); err != nil || got != "other" {
					t.Fatalf("%q, %v", got, err)
				}
				if c.section != nil {
					t.Fatal("the section is kept")
				}
			}
		})
	}
}

// Whoever closes a connection must not wait for a section that is its own.
func TestClosingWithinASection(t *testing.T) {
	for name, end := range map[string]func(*Conn){
		"Close": func(c *Conn) { c.Close() },
		"Abort": func(c *Conn) { c.Abort() },
		"Cut":   func(c *Conn) { c.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			c, p := plainPair(t)
			l := &counting{buf: make([]byte, 8)}
			p.send(t, "x")
			next(t, c, l)
			done := make(chan struct{})
			go func() { end(c); close(done) }()
			select {
			case <-done:
			case <-time.After(soon):
				t.Fatal("it waits")
			}
			p.SetReadDeadline(time.Now().Add(soon))
			_, err := p.Read(make([]byte, 1))
			if reset := errors.Is(err, syscall.ECONNRESET); reset != (name != "Close") {
				t.Errorf("the peer saw %v", err)
			}
			if _, err := c.Read(make([]byte, 1), in(soon)); err == nil || err == ErrTimeout {
				t.Errorf("then a read: %v", err)
			}
			if err := c.Write([]byte("x"), nil, nil); err == nil {
				t.Error("then a write succeeds")
			}
			c.Close()
		})
	}
}

func TestCutEndsAWait(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	p.send(t, "x")
	next(t, c, l)
	for _, read := range []func() error{
		func() error { _, err := c.ReadNext(l, Now(), in(soon)); return err },
		func() error { _, err := c.Read(make([]byte, 1), in(soon)); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- read() }()
		time.Sleep(5 * time.Millisecond)
		c.Cut()
		if err := <-done; err == nil || err == ErrTimeout {
			t.Errorf("got %v", err)
		}
	}
}

func TestReadNextAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 64)}
	message, into := []byte("message"), make([]byte, 64)
	if n := testing.AllocsPerRun(500, func() {
		p.tcp.Write(message)
		if _, err := c.ReadNext(l, Now(), in(soon)); err != nil {
			t.Fatal(err)
		}
		c.Write(message, nil, nil)
		io.ReadFull(p.tcp, into[:len(message)])
	}); n > 0 {
		t.Errorf("%v times", n)
	}
}

func BenchmarkReadNextAndWrite(b *testing.B) {
	c, p := plainPair(b)
	defer c.Close()
	l := &counting{buf: make([]byte, 64)}
	request, reply := []byte("GET / HTTP/1.1\r\n\r\n"), []byte("HTTP/1.1 204 No Content\r\n\r\n")
	buf := make([]byte, len(reply))
	go func() {
		for {
			if _, err := p.tcp.Write(request); err != nil {
				return
			}
			if _, err := io.ReadFull(p.tcp, buf); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ReadNext(l, Now(), in(time.Second)); err != nil {
			b.Fatal(err)
		}
		c.Write(reply, nil, nil)
	}
}

func TestReadNextOverTLS(t *testing.T) {
	c, p := tlsPair(t)
	l := &counting{buf: make([]byte, 64)}
	for i := range 5 {
		time.AfterFunc(2*time.Millisecond, func() { io.WriteString(p.Conn, "message") })
		if got := told(t, c, l); got != "message" {
			t.Fatalf("read %q", got)
		}
		if c.section == nil {
			t.Fatalf("no section after message %d", i)
		}
		if err := c.Write([]byte("answer"), nil, nil); err != nil {
			t.Fatal(err)
		}
		p.expect(t, "answer")
	}
	io.WriteString(p.Conn, "one")
	io.WriteString(p.Conn, "two")
	time.Sleep(2 * time.Millisecond) // both are there
	if got := next(t, c, l) + next(t, c, l); got != "onetwo" {
		t.Fatalf("read %q", got)
	}
	if _, err := c.ReadNext(l, Now(), in(20*time.Millisecond)); err != ErrTimeout {
		t.Fatalf("a silent peer: %v", err)
	}
	c.Interrupt()
	if _, err := c.ReadNext(l, Now(), in(soon)); err != ErrInterrupted {
		t.Fatalf("interrupted: %v", err)
	}
	c.Resume()
	long := string(bytes.Repeat([]byte("x"), 40_000)) // several records, more than the buffers hold
	go io.WriteString(p.Conn, long)
	got := next(t, c, l)
	for len(got) < len(long) {
		got += next(t, c, l)
	}
	if got != long {
		t.Error("other bytes")
	}
	if _, err := c.ReadNext(l, Now()-stayFor+int64(5*time.Millisecond), in(20*time.Millisecond)); err != ErrTimeout || c.section != nil {
		t.Errorf("an idle connection: %v, section kept: %v", err, c.section != nil)
	}
	io.WriteString(p.Conn, "last")
	next(t, c, l)
	done := make(chan struct{})
	go func() { c.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal("Close waits")
	}
	if _, err := p.Conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer saw %v", err)
	}
}

// What a backend had not sent to its end must not look whole when it is cut.
func TestCutOnAUnixSocketIsNoEnd(t *testing.T) {
	a, dial := accepting(t, "unix", filepath.Join(t.TempDir(), "s"))
	for _, cutFirst := range []bool{true, false} {
		nc := dial()
		c := accept(t, a)
		io.WriteString(nc, "half of it")
		if got := readString(t, c); got != "half of it" {
			t.Fatalf("read %q", got)
		}
		read := make(chan error, 1)
		if cutFirst {
			c.Cut()
		} else {
			time.AfterFunc(5*time.Millisecond, c.Cut)
		}
		go func() { _, err := c.Read(make([]byte, 8), in(soon)); read <- err }()
		if err := <-read; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("cut first %v: read %v", cutFirst, err)
		}
		c.Close()
	}
}
