package stream

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soonFrom is an until that is the same each time.
func soonFrom(d time.Duration) func() int64 {
	at := in(d)
	return func() int64 { return at }
}

func TestFollowHandsEverythingOn(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	want := []byte(testkit.Pattern(200_000))
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%97)
			if _, err := p.tcp.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		p.tcp.CloseWrite()
	}()
	l := &counting{buf: make([]byte, 64)}
	var got bytes.Buffer
	for err := error(nil); err != io.EOF; {
		err = c.Follow(l, func(n int) error { got.Write(l.buf[:n]); return nil }, func() int64 { return in(5 * time.Millisecond) })
		if err != nil && err != io.EOF && err != ErrTimeout {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d other bytes", got.Len())
	}
}

func TestFollowDoesNotLookBeforeItWaits(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 64)}
	const messages = 5
	done := errors.New("done")
	got := 0
	say := func() { time.AfterFunc(5*time.Millisecond, func() { p.tcp.Write([]byte("message")) }) }
	say()
	err := c.Follow(l, func(n int) error {
		if string(l.buf[:n]) != "message" {
			t.Errorf("read %q", l.buf[:n])
		}
		if got++; got == messages {
			return done
		}
		say()
		return nil
	}, soonFrom(soon))
	if err != done || l.attempts > messages+1 { // one look at the beginning
		t.Errorf("%v; %d attempts to read %d messages", err, l.attempts, got)
	}
}

// What until says moves: it is asked when it has come.
func TestFollowKeepsDeadlines(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	began := Now()
	asked, at := 0, int64(0)
	err := c.Follow(l, nil, func() int64 {
		if asked++; asked <= 3 {
			at = in(20 * time.Millisecond)
		}
		return at
	})
	if took := time.Duration(Now() - began); err != ErrTimeout || took < 60*time.Millisecond || asked != 4 {
		t.Errorf("%v after %v, asked %d times", err, took, asked)
	}
	p.send(t, "x") // and the next read is as always
	if n, err := c.ReadLent(l, in(soon)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// An end that came with the last bytes is found by the look when until comes.
func TestFollowFindsTheEndThatCameWithTheBytes(t *testing.T) {
	c, p := plainPair(t)
	defer c.Close()
	l := &counting{buf: make([]byte, 8)}
	p.send(t, "y")
	p.tcp.CloseWrite()
	time.Sleep(5 * time.Millisecond) // both are there before the read
	asked := 0
	err := c.Follow(l, func(int) error { return nil }, func() int64 {
		if asked++; asked > 20 {
			return past
		}
		return in(30 * time.Millisecond)
	})
	if err != io.EOF {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestInterruptEndsFollow(t *testing.T) {
	for name, busy := range map[string]bool{"that waits": false, "that never has to wait": true} {
		t.Run(name, func(t *testing.T) {
			c, p := plainPair(t)
			defer c.Close()
			stop := make(chan struct{})
			defer close(stop)
			if busy {
				go func() {
					for b := make([]byte, 64<<10); ; {
						select {
						case <-stop:
							return
						default:
							p.tcp.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
							p.tcp.Write(b)
						}
					}
				}()
			}
			done := make(chan error, 1)
			l := &counting{buf: make([]byte, 8)}
			go func() { done <- c.Follow(l, func(int) error { return nil }, soonFrom(soon)) }()
			time.Sleep(10 * time.Millisecond)
			c.Interrupt()
			select {
			case err := <-done:
				if err != ErrInterrupted {
					t.Errorf("got %v", err)
				}
			case <-time.After(soon):
				t.Fatal("it goes on")
			}
		})
	}
}

func TestFollowOfAClosedConnection(t *testing.T) {
	c, p := plainPair(t)
	p.tcp.SetLinger(0)
	p.tcp.Close()
	l := &counting{buf: make([]byte, 8)}
	if err := c.Follow(l, nil, soonFrom(soon)); err == nil || err == ErrTimeout {
		t.Errorf("got %v", err)
	}
	c.Close()
	if err := c.Follow(l, nil, soonFrom(soon)); err == nil || err == ErrTimeout {
		t.Errorf("closed: %v", err)
	}
}
