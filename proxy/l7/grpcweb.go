package l7

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/http1"
)

// grpcWeb makes gRPC of a request of gRPC-Web, which is what browsers can
// speak, and stands before the client's exchange to make gRPC-Web of the
// response (gRPC: PROTOCOL-WEB.md): trailers become the end of the body, and all
// of it base64 for clients that cannot read bytes.
type grpcWeb struct {
	on      bool
	decodes bool // the request is base64
	encodes bool // the response is to be
	decoder base64Decoder

	next   sink
	active bool // the response is one of gRPC
	told   bool // its head has the status already
	out    []byte
}

const (
	grpcType     = "application/grpc"
	grpcWebType  = "application/grpc-web"
	grpcTextType = "application/grpc-web-text"

	// webPiece is how much is encoded at a time; without a rest, so that only
	// the end of what came together is padded.
	webPiece = 48 << 10
)

// isOfType reports whether a Content-Type is this one, with or without what
// messages are written in and parameters, and returns that.
func isOfType(kind []byte, name string) (rest []byte, ok bool) {
	if len(kind) < len(name) || !httpmsg.EqualFold(kind[:len(name)], name) {
		return nil, false
	}
	rest = kind[len(name):]
	return rest, len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
}

// webKind reports whether a Content-Type is gRPC-Web's, and of which kind.
func webKind(kind []byte) (text, ok bool) {
	if _, ok := isOfType(kind, grpcTextType); ok {
		return true, true
	}
	_, ok = isOfType(kind, grpcWebType)
	return false, ok
}

// findWeb reports whether the request is one of gRPC-Web that is translated for
// its target, and notes how its client writes.
func (f *flow) findWeb() bool {
	w := &f.web
	if w.on || f.target == nil || f.target.Settings == nil || !f.target.Settings.GRPCWeb || f.req.Method != httpmsg.POST {
		return w.on
	}
	kind, _ := f.req.Get(httpmsg.ContentType)
	if w.decodes, w.on = webKind(kind); !w.on {
		return false
	}
	w.encodes = w.decodes
	accept, _ := f.req.Lookup("accept")
	if text, ok := webKind(accept); ok {
		w.encodes = text
	}
	return true
}

// contentType is that of a response, whose messages are written in rest.
func (w *grpcWeb) contentType(rest string) string {
	if w.encodes {
		return grpcTextType + rest
	}
	return grpcWebType + rest
}

// translateWeb makes gRPC of a request of gRPC-Web, once all have seen it who
// judge what the client sent; false when it was refused.
func (f *flow) translateWeb(l *load) bool {
	if !f.web.on {
		return true
	}
	f.setGRPCType()
	f.req.TETrailers = true
	f.web.next, f.to = f.to, &f.web
	if !f.web.decodes {
		return true
	}
	if f.req.Body != httpmsg.BodyNone {
		f.req.Delete(httpmsg.ContentLength)
		f.req.Body = httpmsg.BodyChunked
	}
	if len(f.held.bytes) == 0 {
		l.body = slices.Clone(l.body) // the exchange's memory is its own: it may be moving it
	}
	var err error
	if l.body, err = f.decodeWeb(l.body, l.whole); err != nil {
		f.clientFailed(err)
		return false
	}
	return true
}

func (f *flow) setGRPCType() {
	for i := range f.req.Len() {
		id, live := f.req.IDAt(i)
		if !live || id != httpmsg.ContentType {
			continue
		}
		name := grpcWebType
		if f.web.decodes {
			name = grpcTextType
		}
		if rest, ok := isOfType(f.req.ValueAt(i), name); ok {
			f.req.SetValueAt(i, f.req.KeepString(grpcType+string(rest)))
		}
	}
}

// errWebText refuses a request whose body is not what its type says.
var errWebText = &http1.Error{Status: 400, Reason: "body of grpc-web-text is not base64", Info: telemetry.ErrorInfoInvalidRequest}

// decodeWeb is what a piece of the request body is to the backend, in the
// piece's memory; end says that no other follows.
func (f *flow) decodeWeb(p []byte, end bool) ([]byte, error) {
	if !f.web.decodes {
		return p, nil
	}
	p, ok := f.web.decoder.decode(p)
	if !ok || end && !f.web.decoder.whole() {
		return nil, errWebText
	}
	return p, nil
}

// decodePiece is decodeWeb for what reading the body has brought: a piece, or
// io.EOF.
func (f *flow) decodePiece(p []byte, end error) ([]byte, error) {
	p, err := f.decodeWeb(p, end != nil)
	return p, cmp.Or(err, end)
}

// Respond implements sink.
func (w *grpcWeb) Respond(r *httpmsg.Response, body []byte, end bool) error {
	kind, _ := r.Get(httpmsg.ContentType)
	rest, ok := isOfType(kind, grpcType)
	if w.active = ok && r.Status == 200; !w.active {
		return w.next.Respond(r, body, end) // of something that speaks no gRPC: what it says is for people
	}
	given := w.contentType(string(rest))
	r.Delete(httpmsg.ContentType)
	r.Add(httpmsg.ContentType, r.KeepString("Content-Type"), r.KeepString(given))
	if _, w.told = r.Lookup("grpc-status"); w.told && end && len(body) == 0 {
		return w.next.Respond(r, nil, true) // its trailers are its head, as with gRPC
	}
	r.Delete(httpmsg.ContentLength)
	r.Body, r.ContentLength = httpmsg.BodyChunked, -1
	first := min(len(body), webPiece)
	if err := w.next.Respond(r, w.encode(body[:first]), false); err != nil {
		return err
	}
	if err := w.WriteBody(body[first:]); err != nil || !end {
		return err
	}
	return w.Finish(nil)
}

// encode is p as the client reads it, valid until the next call.
func (w *grpcWeb) encode(p []byte) []byte {
	if !w.encodes || len(p) == 0 {
		return p
	}
	w.out = base64.StdEncoding.AppendEncode(w.out[:0], p)
	return w.out
}

// WriteBody implements sink. Whatever came is padded and sent at once.
func (w *grpcWeb) WriteBody(p []byte) error {
	if !w.active {
		return w.next.WriteBody(p)
	}
	for len(p) > 0 {
		n := min(len(p), webPiece)
		if err := w.next.WriteBody(w.encode(p[:n])); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Finish implements sink.
func (w *grpcWeb) Finish(trailers *httpmsg.Fields) error {
	if !w.active {
		return w.next.Finish(trailers)
	}
	if none := trailers == nil || trailers.Len() == 0; !none || !w.told {
		if err := w.WriteBody(appendTrailerFrame(nil, trailers)); err != nil {
			return err
		}
	}
	return w.next.Finish(nil)
}

// appendTrailerFrame appends trailers as gRPC-Web has them. A response without
// any is cut off, which clients would take for success.
func appendTrailerFrame(dst []byte, trailers *httpmsg.Fields) []byte {
	from := len(dst)
	dst = append(dst, 0x80, 0, 0, 0, 0)
	said := false
	for i := 0; trailers != nil && i < trailers.Len(); i++ {
		_, name, value, ok := trailers.At(i)
		if !ok {
			continue
		}
		said = said || httpmsg.EqualFold(name, "grpc-status")
		dst = append(httpmsg.AppendLower(dst, name), ": "...)
		dst = append(append(dst, value...), "\r\n"...)
	}
	if !said {
		dst = append(dst, "grpc-status: 13\r\ngrpc-message: the backend sent no status\r\n"...)
	}
	binary.BigEndian.PutUint32(dst[from+1:], uint32(len(dst)-from-5))
	return dst
}

// Direct implements sink.
func (w *grpcWeb) Direct() *stream.Conn {
	if w.active {
		return nil
	}
	return w.next.Direct()
}

// Moved implements sink.
func (w *grpcWeb) Moved(n int64) { w.next.Moved(n) }

// end lets go of the response; what it was encoded in is kept.
func (w *grpcWeb) end() { *w = grpcWeb{out: w.out[:0]} }

// base64Decoder decodes base64 that comes in pieces, cut anywhere, and may be
// several texts one behind the other, each with its padding.
type base64Decoder struct {
	bits   uint32 // not yet given out
	at     uint8  // characters of the group of four that were read
	padded bool   // the group has had a "="
}

// decode decodes a piece in its own memory: a byte is given out as soon as its
// last bit is there, so there are never more of them than characters.
func (d *base64Decoder) decode(p []byte) (out []byte, ok bool) {
	n := 0
	for _, c := range p {
		v := base64Values[c]
		switch {
		case c == '=' && d.pad():
			continue
		case v < 0 || d.padded:
			return nil, false
		}
		d.bits = d.bits<<6 | uint32(v)
		if d.at++; d.at > 1 {
			left := 8 - 2*d.at // of this character's bits
			p[n] = byte(d.bits >> left)
			n++
			d.bits &= 1<<left - 1
		}
		d.at %= 4
	}
	return p[:n], true
}

// pad takes a "="; false where none may be, or bits are left over that stand
// for nothing (RFC 4648 3.5).
func (d *base64Decoder) pad() bool {
	if d.at < 2 || d.bits != 0 {
		return false
	}
	d.at = (d.at + 1) % 4
	d.padded = d.at != 0
	return true
}

// whole reports whether the text may end here.
func (d *base64Decoder) whole() bool { return d.at == 0 }

// base64Values are what characters stand for; negative: nothing.
var base64Values = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = int8(i)
	}
	return t
}()
