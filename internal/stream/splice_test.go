package stream

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// spliced is a splice between two connections, with the far end of each.
type spliced struct {
	*Splice
	from, to *peer
}

// newSpliced starts a splice on a pipe of its own.
func newSpliced(t *testing.T) *spliced {
	t.Helper()
	emptyPool(t)
	src, from := plainPair(t)
	dst, to := plainPair(t)
	s, err := NewSplice(dst, src)
	if err != nil {
		t.Fatal(err)
	}
	return &spliced{s, from, to}
}

// emptyPool makes the next pipe a new one, and closes what was kept.
func emptyPool(t *testing.T) {
	t.Helper()
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	for _, p := range pipes.idle {
		syscall.Close(p.r)
		syscall.Close(p.w)
	}
	pipes.idle = nil
}

func idlePipes() int {
	pipes.mu.Lock()
	defer pipes.mu.Unlock()
	return len(pipes.idle)
}

// move moves n bytes as the gateway does.
func (s *spliced) move(n int64) error {
	for n > 0 {
		moved, err := s.Step(n, in(soon))
		if err != nil {
			return err
		}
		n -= moved
	}
	return nil
}

func TestSpliceMovesExactly(t *testing.T) {
	for _, size := range []int{1, 4095, 64 << 10, pipeSize - 1, pipeSize, pipeSize + 1, 5<<20 + 3} {
		s := newSpliced(t)
		body := testkit.Pattern(size)
		go io.WriteString(s.from, body+"next message")
		done := make(chan error, 1)
		go func() { done <- s.move(int64(size)) }()
		s.to.expect(t, body)
		if err := <-done; err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got := s.src.Received(); got != int64(size) || s.dst.Written() != got {
			t.Errorf("%d bytes: received %d, written %d", size, got, s.dst.Written())
		}
		rest := readString(t, s.src)
		for len(rest) < len("next message") {
			rest += readString(t, s.src)
		}
		if rest != "next message" {
			t.Errorf("%d bytes: %q is left", size, rest)
		}
		s.Close()
		if idlePipes() != 1 {
			t.Errorf("%d bytes: the pipe was not kept", size)
		}
	}
}

func TestSpliceWaitsForASlowReader(t *testing.T) {
	s := newSpliced(t)
	slow(s.dst)
	s.dst.Stall = stallInTurns
	body := floodText()
	go io.WriteString(s.from, body)
	done := make(chan error, 1)
	go func() { done <- s.move(flood) }()
	for n := 0; n < flood; n += flood / 8 {
		time.Sleep(turn)
		s.to.expect(t, body[n:n+flood/8])
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	time.Sleep(stallInTurns + turn) // an old stall ends nothing later
	go io.WriteString(s.from, "later")
	if _, err := s.Step(5, in(soon)); err != nil {
		t.Fatal(err)
	}
	s.to.expect(t, "later")
	s.Close()
}

func TestSpliceEndsWhenTheReaderStalls(t *testing.T) {
	s := newSpliced(t)
	slow(s.dst)
	s.dst.Stall = 100 * time.Millisecond
	go io.WriteString(s.from, floodText())
	err := s.move(flood)
	var failed WriteError
	if !errors.As(err, &failed) || !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	s.Close()
	if idlePipes() != 0 {
		t.Error("a pipe with bytes in it was kept")
	}
}

func TestSpliceKeepsTheDeadline(t *testing.T) {
	s := newSpliced(t)
	defer s.Close()
	from := time.Now()
	n, err := s.Step(100, in(50*time.Millisecond))
	if took := time.Since(from); n != 0 || err != ErrTimeout || took < 50*time.Millisecond {
		t.Fatalf("%d, %v after %v", n, err, took)
	}
	s.src.Interrupt()
	if _, err := s.Step(100, in(soon)); err != ErrInterrupted {
		t.Fatal(err)
	}
	s.src.Resume()
	s.from.send(t, "on")
	if n, err := s.Step(100, in(soon)); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	s.to.expect(t, "on")
}

func TestSpliceTellsWhoFailed(t *testing.T) {
	var failed WriteError
	t.Run("source ends", func(t *testing.T) {
		s := newSpliced(t)
		defer s.Close()
		s.from.send(t, "part")
		s.from.tcp.CloseWrite()
		if err := s.move(100); err != io.EOF {
			t.Fatal(err)
		}
		s.to.expect(t, "part")
	})
	t.Run("source resets", func(t *testing.T) {
		s := newSpliced(t)
		defer s.Close()
		s.from.reset()
		if err := s.move(100); !errors.Is(err, syscall.ECONNRESET) || errors.As(err, &failed) {
			t.Fatal(err)
		}
	})
	t.Run("reader resets", func(t *testing.T) {
		s := newSpliced(t)
		s.to.reset()
		arrived(t, s.dst)
		go func() {
			io.WriteString(s.from, floodText())
		}()
		err := s.move(flood)
		if !errors.As(err, &failed) {
			t.Fatal(err)
		}
		s.Close()
		if idlePipes() != 0 {
			t.Error("a pipe with bytes in it was kept")
		}
	})
}

func TestPipesAreBounded(t *testing.T) {
	emptyPool(t)
	src, _ := plainPair(t)
	dst, _ := plainPair(t)
	before := testkit.Descriptors(t, syscall.Getpid())
	var all []*Splice
	for range maxIdlePipes + 4 {
		s, err := NewSplice(dst, src)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		s.Close()
	}
	if n := testkit.Descriptors(t, syscall.Getpid()) - before; n != 2*maxIdlePipes {
		t.Errorf("%d descriptors are kept, want %d", n, 2*maxIdlePipes)
	}
	emptyPool(t)
}

func TestOnlySocketsAreStreams(t *testing.T) {
	a, _ := net.Pipe()
	if _, err := New(a); err == nil {
		t.Error("a pipe was taken")
	}
}
