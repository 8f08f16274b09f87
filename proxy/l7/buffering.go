package l7

import (
	"bytes"
	"io"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// bufferPause is how long a backend may be silent before what is held of its
// response goes out: who sends a little now and then wants it to arrive.
const bufferPause = int64(200 * time.Millisecond)

// buffers reports whether the response is taken in before it is sent: not one
// that comes as it happens.
func (f *flow) buffers(r *httpmsg.Response) bool {
	if f.target.Settings.ResponseBuffering.MaxSize == 0 || f.req.Method == httpmsg.HEAD || f.uploading() {
		return false
	}
	kind, _ := r.Get(httpmsg.ContentType)
	kind, _, _ = bytes.Cut(kind, []byte{';'})
	const events, calls = "text/event-stream", "application/grpc"
	return !httpmsg.EqualFold(httpmsg.TrimSpace(kind), events) && !(len(kind) >= len(calls) && httpmsg.EqualFold(kind[:len(calls)], calls))
}

// collect holds the beginning of a response: hold bytes for stages, or what
// responseBuffering says.
func (f *flow) collect(piece []byte, hold int) (body []byte, over, ok bool) {
	if hold > 0 {
		return f.holdResponse(piece, hold)
	}
	return f.bufferResponse(piece)
}

// bufferResponse takes in the response body, of which piece has come, until it
// is over, longer than is to be held, or its backend pauses. Where there is no
// memory it is passed on as it comes. With ok false the exchange was ended.
func (f *flow) bufferResponse(piece []byte) (body []byte, over, ok bool) {
	w := pieceWait{f: f}
	defer w.end()
	most, r, from := f.target.Settings.ResponseBuffering.MaxSize, f.room(), stream.Now()
	if f.kept.ensure(&f.gw.held, len(piece)+loadMax, &r) != nil {
		return piece, false, true
	}
	f.kept.bytes = append(f.kept.bytes, piece...)
	for last := from; len(f.kept.bytes) <= most; {
		now := stream.Now()
		full := f.kept.ensure(&f.gw.held, len(f.kept.bytes)+loadMax, &r) != nil || f.gw.held.impatient(&r, now-from) != nil
		if full || now >= last+bufferPause {
			break
		}
		piece, err := f.up.ReadBody(min(w.deadline(), last+bufferPause))
		switch {
		case err == nil:
			w.from, last = 0, stream.Now()
			f.kept.bytes = append(f.kept.bytes, piece...)
		case err == io.EOF:
			return f.kept.bytes, true, true
		case !w.goOn(err):
			return nil, false, false
		}
	}
	return f.kept.bytes, f.up.BodyDone(), true
}

// ensure makes room for a body of a length.
func (d *held) ensure(from *holdings, length int, r *room) error {
	if length <= cap(d.bytes) {
		return nil
	}
	return d.grow(from, length, r)
}

// leaveMember gives the member back before the client has the response, which
// is held to its end: from then on only the client's pace matters. It returns
// the response in memory that stays.
func (f *flow) leaveMember(r *httpmsg.Response) *httpmsg.Response {
	own := &f.resp
	own.Reset(nil)
	own.Status, own.Minor, own.Body, own.ContentLength, own.Close = r.Status, r.Minor, r.Body, r.ContentLength, r.Close
	own.Reason = own.Keep(r.Bytes(r.Reason))
	for i := range r.Len() {
		if id, name, value, ok := r.At(i); ok {
			n := own.Keep(name)
			own.Add(id, n, own.Keep(value))
		}
	}
	f.giveBack(f.backend.Attached().(*Transport), true)
	f.inFlight = false
	f.backend.End()
	return own
}
