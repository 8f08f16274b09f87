package server

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
)

// Accepting pauses after an error, such as having no descriptor left, from
// the shorter to the longer time.
const (
	shortPause = 5 * time.Millisecond
	longPause  = 200 * time.Millisecond
)

// streams are the TCP or TLS connections of a Server.
type streams struct {
	listener  net.Listener
	transport Transport
	tls       *tls.Config // nil: none
	limits    atomic.Pointer[config.DNSLimits]
	bounds    *Connections
	stats     *counters
	workers   sync.Pool // of *worker

	stopping atomic.Bool
	serving  sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[*conn]struct{}
}

// accept takes connections until the listener is closed, or belongs to a newer
// process.
func (s *streams) accept() {
	pause := shortPause
	for {
		raw, err := s.listener.Accept()
		switch {
		case err == nil:
			pause = shortPause
			s.take(raw)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.stats.socketErrors.Add(1)
			time.Sleep(pause)
			pause = min(2*pause, longPause)
		}
	}
}

// take serves a new connection if there may be one more.
func (s *streams) take(raw net.Conn) {
	c := newConn(s, raw)
	if !s.bounds.admit(&c.place) {
		s.stats.refused.Add(1)
		raw.Close()
		return
	}
	s.stats.accepted.Add(1)
	s.stats.connections.Add(1)
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	s.serving.Go(func() {
		defer s.forget(c)
		c.serve()
	})
}

// forget ends the counting of a connection that is closed.
func (s *streams) forget(c *conn) {
	s.bounds.leave(&c.place)
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.stats.connections.Add(-1)
}

// stop takes no more connections, and lets those there are end with the
// queries they have read.
func (s *streams) stop() {
	s.stopping.Store(true)
	s.listener.Close()
	s.each((*conn).stop)
}

// kill closes all connections.
func (s *streams) kill() { s.each(func(c *conn) { c.raw.Close() }) }

func (s *streams) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		f(c)
	}
}
