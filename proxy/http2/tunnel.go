package http2

import (
	"io"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// WebSocket over HTTP/2 (RFC 8441): a client asks for it by an extended
// CONNECT, which is to a backend an upgrade of HTTP/1.1 (RFC 6455), and its
// stream is the connection from there on.

// Switch answers an extended CONNECT with 200: the stream is a tunnel.
func (x *Exchange) Switch(r *httpmsg.Response, _ []byte) (stream.Tunnel, []byte, error) {
	if err := multiplex.Switched(r, x.accept); err != nil {
		return x.tunnel(), nil, err
	}
	x.started = true
	return x.tunnel(), nil, x.writeHead(200, &r.Fields, false)
}

func (x *Exchange) tunnel() stream.Tunnel { return &tunnel{x} }

// tunnel is a stream that is used as a connection.
type tunnel struct{ x *Exchange }

// ReadLent implements stream.Tunnel.
func (t *tunnel) ReadLent(l stream.Lender, deadline int64) (int, error) {
	x := t.x
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	for len(x.body) == 0 {
		switch {
		case x.interrupted:
			return 0, stream.ErrInterrupted
		case x.reset:
			return 0, errGone
		case x.theirEnd:
			return 0, io.EOF
		case deadline != stream.Never && stream.Now() >= deadline:
			return 0, stream.ErrTimeout
		}
		x.wait(deadline)
	}
	n := copy(l.Lend(), x.body)
	x.drop(n)
	return n, nil
}

// Write implements stream.Tunnel.
func (t *tunnel) Write(a, b, d []byte) error {
	c := t.x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range [...][]byte{a, b, d} {
		if err := t.x.sendData(p, false); err != nil {
			return err
		}
	}
	c.tend()
	return nil
}

// CloseWrite implements stream.Tunnel.
func (t *tunnel) CloseWrite() error { return t.x.Finish(nil) }

// Interrupt implements stream.Tunnel.
func (t *tunnel) Interrupt() { t.x.InterruptBody() }

// Resume undoes Interrupt.
func (t *tunnel) Resume() { t.x.ResumeBody() }

// Close implements stream.Tunnel: what is still open ends with the exchange.
func (t *tunnel) Close() error { return nil }
