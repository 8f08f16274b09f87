package http3

import (
	"io"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"

	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// errHeadTimeout refuses a request whose head does not come.
var errHeadTimeout = &http1.Error{Status: 408, Reason: "request head not complete in time", Info: "ERRORINFO_CLIENT_TIMED_OUT"}

// errHeadTooLarge refuses a head that need not be read to be too large.
var errHeadTooLarge = &http1.Error{Status: 431, Reason: "request head too large", Info: "ERRORINFO_INVALID_HEADER"}

// readHead reads the head of the request; with an error there is none, and
// nobody to answer.
func (x *Exchange) readHead(o *http1.Options) error {
	deadline := x.headStart + int64(o.HeadTimeout)
	h, err := x.firstHeaders(uint64(4*o.HeadBytes), deadline)
	if err == nil && h.length > uint64(2*o.HeadBytes) {
		x.refusal = errHeadTooLarge // whatever it says
		return nil
	}
	var block []byte
	if err == nil {
		block, err = x.in.payload(h, deadline)
	}
	if err == stream.ErrTimeout {
		x.refusal = errHeadTimeout
		return nil
	}
	if err != nil {
		return err
	}
	x.section.Begin(&o.Limits)
	if err := x.decode(block); err != nil {
		return err
	}
	return x.parse(o, deadline)
}

// firstHeaders finds the frame that a request begins with, behind no more than
// most bytes of what is to be ignored (RFC 9114 4.1, 9).
func (x *Exchange) firstHeaders(most uint64, deadline int64) (frameHead, error) {
	for {
		h, err := x.in.nextFrame(deadline)
		switch {
		case err == io.EOF:
			return h, streamError{codeRequestIncomplete}
		case err != nil, h.kind == frameHeaders:
			return h, err
		case known(h.kind):
			return h, connError{codeFrameUnexpected}
		case h.length > most:
			return h, connError{codeExcessiveLoad}
		}
		most -= h.length
		if err := x.ignore(h); err != nil {
			return h, err
		}
	}
}

// ignore skips a frame that this package does not know.
func (x *Exchange) ignore(h frameHead) error {
	x.in.skip(h)
	return x.c.spend(multiplex.CostUnknown)
}

// decode takes the fields of a block. There is no table that later ones need:
// what is refused is not decoded any further.
func (x *Exchange) decode(block []byte) error {
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return connError{codeDecompression}
		}
		x.section.Field(f.Name, f.Value)
		if x.section.Refusal != nil || x.section.Malformed {
			return nil
		}
	}
}

// parse makes the request.
func (x *Exchange) parse(o *http1.Options, deadline int64) error {
	ends, err := x.endsHere(deadline)
	if err != nil {
		return err
	}
	s := &x.section
	if s.Check(ends); s.Refusal != nil {
		x.refusal = s.Refusal
		return nil
	}
	var p multiplex.Parsed
	p, x.refusal = s.Parse(x.head[:0], &x.req, &o.Limits, ends)
	x.head, x.length, x.accept, x.grpc = p.Head, p.Length, p.Accept, p.GRPC
	return nil
}

// endsHere reports whether the stream ends behind the head. It says so nowhere
// but by ending, which may be in a packet of its own: a request of a kind that
// has no body is given the time for it, so that backends are not told that it
// has one.
func (x *Exchange) endsHere(deadline int64) (bool, error) {
	if x.in.buffered() > 0 {
		return false, nil
	}
	if !x.section.Bodiless() {
		deadline = min(deadline, stream.Now()+int64(glance))
	}
	switch err := x.in.fill(maxFrameHead, deadline); err {
	case io.EOF:
		x.theirEnd = true
		return true, nil
	case nil, stream.ErrTimeout:
		return false, nil
	default:
		return false, err
	}
}

// Trailers end a request body (RFC 9114 4.1).
func (x *Exchange) readTrailers(h frameHead, deadline int64) error {
	switch {
	case x.trailed || x.accept != "":
		return connError{codeFrameUnexpected}
	case h.length > maxTrailers:
		return streamError{codeMessage}
	}
	block, err := x.in.payload(h, deadline)
	if err != nil {
		return err
	}
	x.trailed = true
	x.section.BeginTrailers()
	if err := x.decode(block); err != nil {
		return err
	}
	lines, ok := x.section.TrailerLines()
	if !ok {
		return streamError{codeMessage}
	}
	x.trailer = append(x.trailer[:0], lines...)
	return nil
}

// giveUp ends a stream on which there is no request to answer.
func (x *Exchange) giveUp(err error) {
	why := codeRequestCancelled
	if e, ok := err.(streamError); ok {
		why = e.code
	}
	x.c.failed(err)
	x.stream.CancelRead(quic.StreamErrorCode(why))
	x.stream.CancelWrite(quic.StreamErrorCode(why))
	x.c.failed(x.c.spend(multiplex.CostReset))
}
