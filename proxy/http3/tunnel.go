package http3

import (
	"io"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// Switch answers an extended CONNECT (RFC 9220) with 200: the stream is a
// tunnel.
func (x *Exchange) Switch(r *httpmsg.Response, _ []byte) (stream.Tunnel, []byte, error) {
	if err := multiplex.Switched(r, x.accept); err != nil {
		return &tunnel{x}, nil, err
	}
	x.started = true
	return &tunnel{x}, nil, x.writeHead(200, &r.Fields)
}

// tunnel is a stream that is used as a connection.
type tunnel struct{ x *Exchange }

// ReadLent implements stream.Tunnel.
func (t *tunnel) ReadLent(l stream.Lender, deadline int64) (int, error) {
	x := t.x
	p, err := x.content(bodyBuffer, deadline)
	switch err {
	case nil:
	case io.EOF, stream.ErrTimeout, stream.ErrInterrupted:
		return 0, err
	default:
		return 0, errGone
	}
	n := copy(l.Lend(), p)
	x.untake(len(p) - n)
	return n, nil
}

// untake gives back the last of what content has returned.
func (x *Exchange) untake(n int) {
	x.in.pos -= n
	x.left += uint64(n)
	x.came -= int64(n)
	if n > 0 {
		x.theirEnd = false
	}
}

// Write implements stream.Tunnel.
func (t *tunnel) Write(a, b, d []byte) error {
	for _, p := range [...][]byte{a, b, d} {
		if err := t.x.WriteBody(p); err != nil {
			return err
		}
	}
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
