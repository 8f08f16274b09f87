package server

import (
	"log/slog"
	"sync"
)

// Responders lends Responders to those who serve a transport of their own.
// It is safe for use by several goroutines.
type Responders struct {
	guards sync.Pool // of *guard
}

// NewResponders makes Responders as they are needed. Panics go to log, one a
// second at most.
func NewResponders(create func() Responder, log *slog.Logger) *Responders {
	panics := &panicLog{log: log}
	r := new(Responders)
	r.guards.New = func() any { return newGuard(create, panics) }
	return r
}

// Respond asks a Responder that nobody else uses meanwhile. panicked tells
// that it has panicked, and has been replaced.
func (r *Responders) Respond(out, query []byte, from *Peer) (answer []byte, panicked bool) {
	g := r.guards.Get().(*guard)
	defer r.guards.Put(g)
	return g.respond(out, query, from)
}
