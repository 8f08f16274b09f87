//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// openers is how many connections Hold opens at the same time.
const openers = 16

// Held is a set of idle connections that have served one request each.
type Held struct {
	opts    Options
	request []byte
	conns   []net.Conn
}

// Hold opens o.Conns connections, sends one request on each, and keeps them.
func Hold(ctx context.Context, o Options) (*Held, error) {
	o.Duration = max(o.Duration, 1) // not a timed run
	if err := o.check(); err != nil {
		return nil, err
	}
	var config *tls.Config
	if o.TLS != nil {
		var err error
		if config, err = o.TLS.config(); err != nil {
			return nil, err
		}
	}
	requests, err := o.requests()
	if err != nil {
		return nil, err
	}
	h := &Held{opts: o, request: requests[0], conns: make([]net.Conn, o.Conns)}
	err = h.each(ctx, func(i int, buf []byte) error { return h.open(i, config, buf) })
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Alive sends another request on each connection and returns how many are
// answered.
func (h *Held) Alive(ctx context.Context) int {
	var mu sync.Mutex
	alive := 0
	h.each(ctx, func(i int, buf []byte) error {
		if h.use(i, buf) == nil {
			mu.Lock()
			alive++
			mu.Unlock()
		}
		return nil
	})
	return alive
}

// Close closes all connections.
func (h *Held) Close() {
	for _, conn := range h.conns {
		if conn != nil {
			conn.Close()
		}
	}
}

func (h *Held) open(i int, config *tls.Config, buf []byte) error {
	conn, err := dial(h.opts.Addr, sourceAddr(i))
	if err != nil {
		return err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	h.conns[i] = conn
	return h.use(i, buf)
}

func (h *Held) use(i int, buf []byte) error {
	h.conns[i].SetDeadline(time.Now().Add(2 * replyTimeout))
	return roundTrip(h.conns[i], h.request, buf, h.opts.expectation())
}

// each calls do for every connection, from a few goroutines, until one fails.
func (h *Held) each(ctx context.Context, do func(i int, buf []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for worker := range openers {
		group.Go(func() {
			buf := make([]byte, 32<<10)
			for i := worker; i < len(h.conns) && ctx.Err() == nil; i += openers {
				if err := do(i, buf); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
