package relay

import (
	"context"
	"errors"
	"sync/atomic"

	"gatehouse/proxy/l4"
)

// Server serves one door. It must be stopped, and drained.
type Server struct {
	loops   *Loops
	opts    Options
	use     atomic.Pointer[use]
	live    atomic.Int64 // flows, and connections that may become some
	stopped atomic.Bool
	idle    chan struct{} // rings when the last flow has ended after Stop
}

// use is under what new flows come.
type use struct {
	balancer *l4.Balancer
	door     *l4.Door
}

// Serve starts a server for a door of b on sockets from Listen, which are its
// own from now on, and are spread over the loops. Before an error it closes
// those that it took.
func (ls *Loops) Serve(o Options, b *l4.Balancer, d *l4.Door, sockets []*Listener) (*Server, error) {
	s := &Server{loops: ls, opts: o, idle: make(chan struct{}, 1)}
	s.Use(b, d)
	errs := make([]error, len(ls.loops))
	all := ls.each(func(i int, l *loop) {
		for j := i; j < len(sockets); j += len(ls.loops) {
			errs[i] = errors.Join(errs[i], l.listen(s, sockets[j]))
		}
	})
	err := errors.Join(errs...)
	if !all {
		err = errors.Join(err, errors.New("relay: the loops are closed"))
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Use replaces what new flows come under. Those that there are go on as they
// began.
func (s *Server) Use(b *l4.Balancer, d *l4.Door) {
	old := s.use.Swap(&use{b, d})
	if n := d.Rule.Limits.Backlog; old != nil && n != old.door.Rule.Limits.Backlog {
		for _, l := range s.loops.loops {
			l.post(func() { l.setBacklog(s, n) })
		}
	}
}

// Live is how many flows there are, with those that are not connected yet.
func (s *Server) Live() int { return int(s.live.Load()) }

// Stop accepts what has connected already, and then nothing more; it closes
// the sockets.
func (s *Server) Stop() {
	if !s.stopped.Swap(true) {
		s.loops.each(func(_ int, l *loop) { l.unlisten(s) })
	}
}

// Drain stops the server and waits for its flows. When ctx is done it ends
// those that are left and returns the error of ctx.
func (s *Server) Drain(ctx context.Context) error {
	s.Stop()
	for s.live.Load() > 0 {
		select {
		case <-s.idle:
		case <-ctx.Done():
			s.loops.each(func(_ int, l *loop) { l.endAll(s, l4.EndStopping) })
			return ctx.Err()
		}
	}
	return nil
}

// left notes that a flow, or what was to become one, has ended.
func (s *Server) left() {
	if s.live.Add(-1) == 0 && s.stopped.Load() {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}
