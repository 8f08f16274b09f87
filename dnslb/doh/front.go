package doh

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// front is package net/http's part for the connections that came under the
// same limits, which it reads without a lock and so must not change. It is the
// net.Listener of that part.
type front struct {
	http *http.Server
	addr net.Addr

	conns  chan net.Conn // handed over by Server.accept
	closed chan struct{} // another one takes them now, or none
	once   sync.Once
}

// newFront makes a front for the limits there are.
func (s *Server) newFront() *front {
	c := s.conf
	c.Limits = *s.limits.Load()
	f := &front{addr: s.listener.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	f.http = c.httpServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.isClosed() {
			lastOne(w)
		}
		s.handle(w, r)
	}), s.listener.follow)
	return f
}

func (f *front) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *front) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// Addr implements net.Listener.
func (f *front) Addr() net.Addr { return f.addr }

// open serves with a front. The caller holds mu.
func (s *Server) open(f *front) {
	s.fronts[f] = struct{}{}
	s.serving.Go(func() {
		defer f.Close()
		err := f.http.ServeTLS(f, "", "")
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case s.failed <- err:
		default: // one is enough
		}
	})
}

// retire lets a front end: each connection after the next request on it, or
// once it has waited for one for so long. The caller holds mu.
func (s *Server) retire(f *front, idle time.Duration) {
	f.Close()
	s.serving.Go(func() {
		wait := time.NewTimer(idle)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-s.ended.Done():
		}
		if f.http.Shutdown(s.ended) != nil {
			return // stop does the rest
		}
		s.mu.Lock()
		delete(s.fronts, f)
		s.mu.Unlock()
	})
}

// accept hands connections to the front of the moment until there are no more:
// the listener is closed, or belongs to a newer process.
func (s *Server) accept() {
	for {
		c, err := s.listener.accept()
		if err != nil {
			return
		}
		if !s.hand(c) {
			c.Close()
			s.listener.forget(c)
		}
	}
}

// hand returns false if nobody takes a connection any more.
func (s *Server) hand(c *conn) bool {
	for f := s.frontNow(); f != nil; f = s.frontNow() {
		select {
		case f.conns <- c:
			return true
		case <-f.closed: // another one is there already, or none to come
		}
	}
	return false
}

// frontNow is the front for new connections; nil: the Server ends.
func (s *Server) frontNow() *front {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	return s.front
}

// stop ends the requests in hand, by force after a while.
func (s *Server) stop() {
	s.mu.Lock()
	s.stopped = true
	var fronts []*front
	for f := range s.fronts {
		fronts = append(fronts, f)
	}
	s.mu.Unlock()
	s.listener.stop()
	drain := time.Duration(s.drain.Load())
	// Closing TLS may wait for a client that does not read, so that the
	// connections below are closed and not left to package net/http alone.
	late := time.AfterFunc(drain, s.listener.kill)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var ending sync.WaitGroup
	for _, f := range fronts {
		ending.Go(func() {
			if f.http.Shutdown(ctx) != nil {
				s.listener.kill()
				_ = f.http.Close()
			}
		})
	}
	ending.Wait()
	s.end()
	s.requests.close()
}
