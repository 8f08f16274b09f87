package http3

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"github.com/quic-go/qpack"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// blockWriter is what the encoder writes to.
type blockWriter struct{ buf []byte }

// Write implements io.Writer.
func (w *blockWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// appendHead appends HEADERS: a response head, or trailers with status 0. What
// the encoder makes of fields depends on nothing before them: there is no
// dynamic table.
func (x *Exchange) appendHead(dst []byte, status int, f *httpmsg.Fields) []byte {
	x.block.buf = x.block.buf[:0]
	if status != 0 {
		x.encode(":status", multiplex.StatusText(status))
	}
	if f != nil {
		for i := range f.Len() {
			id, name, value, ok := f.At(i)
			if ok && multiplex.MayPass(id) {
				x.lower = httpmsg.AppendLower(x.lower[:0], name)
				x.encode(unsafe.String(unsafe.SliceData(x.lower), len(x.lower)), unsafe.String(unsafe.SliceData(value), len(value)))
			}
		}
	}
	_ = x.encoder.Close() // does not fail
	return append(appendFrameHead(dst, frameHeaders, len(x.block.buf)), x.block.buf...)
}

// encode encodes a field, of which nothing is kept.
func (x *Exchange) encode(name, value string) {
	_ = x.encoder.WriteField(qpack.HeaderField{Name: name, Value: value}) // a blockWriter takes everything
}

// Inform sends an informational response (1xx) other than 101.
func (x *Exchange) Inform(r *httpmsg.Response) error {
	if r.Status == 100 {
		x.mayContinue()
	}
	return x.writeHead(r.Status, &r.Fields)
}

func (x *Exchange) writeHead(status int, f *httpmsg.Fields) error {
	x.out = x.appendHead(x.out[:0], status, f)
	return x.write(x.out)
}

// Respond sends the head of the final response with the first piece of its
// body; end says that the body ends with it. Framing fields are the exchange's
// to write, as with HTTP/1.1.
func (x *Exchange) Respond(r *httpmsg.Response, body []byte, end bool) error {
	if x.accept != "" && r.Status < 300 {
		return multiplex.ErrNoSwitch
	}
	if multiplex.Bodiless(&x.req, r.Status) {
		body, end = nil, true
	} else {
		multiplex.AddLength(r)
	}
	x.started = true
	x.out = x.appendHead(x.out[:0], r.Status, &r.Fields)
	if len(body) > 0 {
		x.out = appendFrameHead(x.out, frameData, len(body))
		if len(body) <= joined {
			x.out, body = append(x.out, body...), nil
		}
	}
	if err := x.write(x.out); err != nil {
		return err
	}
	if err := x.write(body); err != nil || !end {
		return err
	}
	return x.closeWrite()
}

// WriteBody sends a piece of the response body.
func (x *Exchange) WriteBody(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	x.out = appendFrameHead(x.out[:0], frameData, len(p))
	if len(p) <= joined {
		x.out, p = append(x.out, p...), nil
	}
	if err := x.write(x.out); err != nil {
		return err
	}
	return x.write(p)
}

// WriteLast sends the last piece of the response body.
func (x *Exchange) WriteLast(p []byte) error {
	if err := x.WriteBody(p); err != nil {
		return err
	}
	return x.closeWrite()
}

// Finish ends the response body; trailers may be nil.
func (x *Exchange) Finish(trailers *httpmsg.Fields) error {
	if x.finished {
		return nil
	}
	if trailers != nil && trailers.Len() > 0 {
		if err := x.writeHead(0, trailers); err != nil {
			return err
		}
	}
	return x.closeWrite()
}

// closeWrite ends our side of the stream.
func (x *Exchange) closeWrite() error {
	if x.Gone() {
		return errGone
	}
	x.finished = true
	return x.stream.Close()
}

// write writes all of p. It waits while the client's windows are shut or the
// network is slow, for no longer than a write may stall.
func (x *Exchange) write(p []byte) error {
	for len(p) > 0 {
		if err := x.stream.SetWriteDeadline(x.stallsAt()); err != nil {
			return errGone
		}
		n, err := x.stream.Write(p)
		x.sent += int64(n)
		p = p[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return errGone
		case n < leastProgress && len(p) > 0:
			return stream.ErrTimeout
		}
	}
	return nil
}

func (x *Exchange) stallsAt() time.Time {
	if x.c.stall <= 0 {
		return time.Time{}
	}
	return time.Now().Add(x.c.stall)
}

// Started reports whether the head of a final response was sent.
func (x *Exchange) Started() bool { return x.started }

// CloseAfter does nothing: a request that is not read to its end does not harm
// those beside it.
func (x *Exchange) CloseAfter() {}

// Retire has the client open a new connection for what comes next.
func (x *Exchange) Retire() { x.c.Drain() }

// Abort resets the stream.
func (x *Exchange) Abort() { x.aborted = true }

// Spoil resets the stream and keeps the exchange's memory from being used
// again.
func (x *Exchange) Spoil() { x.aborted, x.spoiled = true, true }

// Direct returns nil: the body needs framing.
func (x *Exchange) Direct() *stream.Conn { return nil }

// Moved is for Direct.
func (x *Exchange) Moved(int64) {}
