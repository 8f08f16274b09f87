package main

import (
	"sync"

	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/querylog"
	"gatehouse/dnslb/server"
)

// lanes are the ways of responders into the query log: each UDP socket has one
// of its own, which ends with it, and connections share one, under a lock.
type lanes struct {
	log *querylog.Logger

	mu     sync.Mutex     // guards own
	own    *querylog.Lane // of the responder that newResponder is making
	shared struct {
		mu   sync.Mutex // of the lane as well
		lane *querylog.Lane
	}
}

// logger is the query log of a responder, as authority.Authority.Log wants it.
func (l *lanes) logger(shared bool) authority.QueryLogger {
	if !shared {
		return newLogger(l.log, l.own, nil)
	}
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.shared.lane == nil {
		l.shared.lane = l.log.Lane()
	}
	return newLogger(l.log, l.shared.lane, &l.shared.mu)
}

// responder is that of a UDP socket.
type responder struct {
	server.Responder
	lane *querylog.Lane
}

// newResponder makes a responder for a UDP socket.
func (a *app) newResponder() server.Responder {
	l := &a.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = l.log.Lane()
	return &responder{a.authority.NewResponder(), l.own}
}

// Close gives the lane back: the socket answers no more.
func (r *responder) Close() error {
	r.lane.Close()
	return nil
}
