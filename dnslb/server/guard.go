package server

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// guard is a Responder whose panics end nothing but the query.
type guard struct {
	create    func() Responder
	responder Responder
	streamer  Streamer // the same one; nil: it is none
	panics    *panicLog
}

func newGuard(create func() Responder, panics *panicLog) *guard {
	g := &guard{create: create, panics: panics}
	g.renew()
	return g
}

// renew takes a new Responder.
func (g *guard) renew() {
	g.responder = g.create()
	g.streamer, _ = g.responder.(Streamer)
}

// respond is Respond; it tells whether that has panicked.
func (g *guard) respond(out, query []byte, from *Peer) (answer []byte, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			g.caught(p, from)
			answer, panicked = nil, true
		}
	}()
	return g.responder.Respond(out, query, from), false
}

// stream is Stream, for which a panic is an error.
func (g *guard) stream(query []byte, from *Peer, write func([]byte) error) (handled bool, err error) {
	if g.streamer == nil {
		return false, nil
	}
	defer func() {
		if p := recover(); p != nil {
			g.caught(p, from)
			handled, err = true, errPanicked
		}
	}()
	return g.streamer.Stream(query, from, write)
}

func (g *guard) caught(p any, from *Peer) {
	g.panics.note(p, from)
	g.close()
	g.renew()
}

// close ends the Responder, once.
func (g *guard) close() {
	if c, ok := g.responder.(io.Closer); ok {
		_ = c.Close()
	}
	g.responder = nil
}

// panicLog logs panics, once a second at most: whoever has found a query that
// causes one is not to fill the disk as well.
type panicLog struct {
	log    *slog.Logger
	last   atomic.Int64  // Unix time in nanoseconds
	silent atomic.Uint64 // not logged since
}

func (l *panicLog) note(p any, from *Peer) {
	now, last := time.Now().UnixNano(), l.last.Load()
	if now-last < int64(time.Second) || !l.last.CompareAndSwap(last, now) {
		l.silent.Add(1)
		return
	}
	l.log.Error("answering a query panicked", "panic", fmt.Sprint(p), "client", from.Addr,
		"transport", from.Transport.String(), "unlogged", l.silent.Swap(0), "stack", string(debug.Stack()))
}
