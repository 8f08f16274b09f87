package l4

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is clients that use the balancer all the time: connections that last,
// connections that come and go, and datagrams from ports that last.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	done   sync.WaitGroup

	echoes, dials, answers atomic.Int64
	mu                     sync.Mutex
	troubles               []string
	mayBeCut               bool // new connections may meet a member that is being killed
	silent                 int  // datagrams without an answer
	moved                  int  // answers from another member than before
}

// startLoad begins with so many of each. The connections that last are those
// to a member that keeps them, called a; talks may go to anybody.
func startLoad(t *testing.T, address string, lasting, fresh, talks int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, cancel: cancel}
	t.Cleanup(func() { cancel(); l.done.Wait() })
	for range lasting {
		s := openTo(t, address, "a")
		l.done.Go(func() { l.last(ctx, s) })
	}
	for range fresh {
		l.done.Go(func() { l.come(ctx, address) })
	}
	for range talks {
		u := openUDPTo(t, address, "a")
		l.done.Go(func() { l.talk(ctx, u) })
	}
	return l
}

func (l *load) trouble(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.troubles) < 10 {
		l.troubles = append(l.troubles, fmt.Sprintf(format, args...))
	}
}

// last keeps a connection busy.
func (l *load) last(ctx context.Context, s *stream) {
	defer s.Close()
	for i := 0; ctx.Err() == nil; i++ {
		if err := s.echo(fmt.Sprint("line ", i)); err != nil {
			l.trouble("a connection that was there, to %s, after %d lines: %v", s.member, i, err)
			return
		}
		l.echoes.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// come opens one connection after another.
func (l *load) come(ctx context.Context, address string) {
	for ctx.Err() == nil {
		s, err := dial(address)
		if err == nil {
			err = s.echo("hello")
			s.Close()
		}
		if err != nil {
			l.trouble("a new connection: %v", err)
		}
		l.dials.Add(1)
		time.Sleep(time.Millisecond)
	}
}

// talk asks with datagrams from one port.
func (l *load) talk(ctx context.Context, u *talk) {
	for ctx.Err() == nil {
		who, err := u.ask(soon)
		l.mu.Lock()
		if err != nil {
			l.silent++
		} else if who != "a" {
			l.moved++
		}
		l.mu.Unlock()
		l.answers.Add(1)
		time.Sleep(3 * time.Millisecond)
	}
}

// more waits until so much more was done of each.
func (l *load) more(n int64) {
	l.t.Helper()
	echoes, dials := l.echoes.Load()+n, l.dials.Load()+n
	for end := time.Now().Add(soon); l.echoes.Load() < echoes || l.dials.Load() < dials; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) || l.failed() {
			l.t.Fatalf("no more happens: %v", l.report())
		}
	}
}

func (l *load) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.serious()) > 0
}

// allowCuts says that a member is going to be killed.
func (l *load) allowCuts() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mayBeCut = true
}

// serious is the troubles but for those of new connections that may have been
// cut: they had gone to a member in the moment in which it was killed. The
// caller holds the lock.
func (l *load) serious() []string {
	if !l.mayBeCut || len(l.troubles) > 4 {
		return l.troubles
	}
	return slices.DeleteFunc(slices.Clone(l.troubles), func(text string) bool {
		return strings.HasPrefix(text, "a new connection: ") && (strings.Contains(text, "reset by peer") || strings.HasSuffix(text, "EOF"))
	})
}

func (l *load) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d lines on connections that last, %d new connections, %d datagrams (%d without an answer, %d answered by others); troubles: %q",
		l.echoes.Load(), l.dials.Load(), l.answers.Load(), l.silent, l.moved, l.troubles)
}

// finish ends the load; nothing may have gone wrong.
func (l *load) finish() {
	l.t.Helper()
	l.cancel()
	l.done.Wait()
	if len(l.serious()) > 0 || l.silent > 0 || l.moved > 0 || l.echoes.Load() == 0 || l.dials.Load() == 0 {
		l.t.Error(l.report())
	}
}
