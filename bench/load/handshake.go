//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// worker makes one TLS connection after the other, each with a full handshake
// and one request. A handshake costs the generator far more than a goroutine
// switch, so that this needs no event loop.
type worker struct {
	opts    *Options
	win     *window
	config  *tls.Config
	request []byte
	turn    int
	buf     []byte

	counters
}

// runHandshakes is Run with a connection and a handshake for each request.
func runHandshakes(ctx context.Context, o *Options, config *tls.Config) (*Result, error) {
	requests, err := o.requests()
	if err != nil {
		return nil, err
	}
	win := newWindow()
	var workers sync.WaitGroup
	all := make([]*counters, o.Conns)
	for i := range all {
		w := &worker{opts: o, win: win, config: config, request: requests[0], turn: i, buf: make([]byte, 32<<10)}
		w.errors = make(map[string]int64)
		all[i] = &w.counters
		workers.Go(w.run)
	}
	m := &meter{opts: o, win: win, counters: all}
	err = m.measure(ctx, nil)
	win.stop.Store(true)
	workers.Wait()
	if err != nil {
		return nil, err
	}
	return m.result(), nil
}

func (w *worker) run() {
	for !w.win.stop.Load() && w.failed <= maxErrors {
		began := w.win.now()
		if err := w.exchange(); err != nil {
			w.fail(err)
			time.Sleep(retryDelay)
			continue
		}
		now := w.win.now()
		w.completed.Add(1)
		if w.win.holds(now) {
			w.hist.Record(now - began)
		}
	}
}

func (w *worker) exchange() error {
	w.turn++
	conn, err := dial(w.opts.Addr, sourceAddr(w.turn))
	if err != nil {
		return err
	}
	client := tls.Client(conn, w.config)
	defer client.Close()
	conn.SetDeadline(time.Now().Add(replyTimeout))
	if err := client.Handshake(); err != nil {
		return err
	}
	if w.agreed == "" {
		w.agreed = describeTLS(client.ConnectionState())
	}
	return roundTrip(client, w.request, w.buf, w.opts.expectation())
}

func dial(addr netip.AddrPort, src netip.Addr) (net.Conn, error) {
	d := net.Dialer{Timeout: replyTimeout, LocalAddr: &net.TCPAddr{IP: src.AsSlice()}}
	return d.Dial("tcp4", addr.String())
}

// roundTrip sends a request and checks the reply, on a connection with a
// deadline.
func roundTrip(conn net.Conn, request, buf []byte, want expectation) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	n := 0
	for {
		got, err := conn.Read(buf[n:])
		n += got
		head, size, parseErr := parseReply(buf[:n])
		switch {
		case parseErr != nil:
			return parseErr
		case size > 0:
			if err := want.check(head); err != nil {
				return err
			}
			if head.chunked {
				return readChunked(conn, buf, buf[size:n])
			}
			return readRest(conn, buf, head.length-(n-size))
		case err != nil:
			return err
		case n == len(buf):
			return errLongHead
		}
	}
}

// readChunked reads a chunked body of which the first piece is there.
func readChunked(conn io.Reader, buf, first []byte) error {
	var c chunks
	for {
		switch rest, err := c.pass(first); {
		case err != nil:
			return err
		case len(rest) > 0:
			return errExtra
		case c.state == allDone:
			return nil
		}
		n, err := conn.Read(buf)
		if n == 0 && err != nil {
			return err
		}
		first = buf[:n]
	}
}

func readRest(conn io.Reader, buf []byte, left int) error {
	for left > 0 {
		n, err := conn.Read(buf[:min(left, len(buf))])
		left -= n
		if err != nil && left > 0 {
			return err
		}
	}
	if left < 0 {
		return errExtra
	}
	return nil
}
