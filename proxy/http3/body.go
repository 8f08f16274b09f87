package http3

import (
	"io"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// glance is how long to look for what has arrived already.
const glance = 200 * time.Microsecond

// content returns the next piece of the request body, of no more than most
// bytes; io.EOF after the last. It is valid until the next call.
func (x *Exchange) content(most int, deadline int64) ([]byte, error) {
	if x.bad != nil {
		return nil, x.bad
	}
	p, err := x.piece(most, deadline)
	switch err {
	case nil, io.EOF, stream.ErrTimeout, stream.ErrInterrupted:
		return p, err
	}
	x.bad = err
	x.c.failed(err)
	return nil, err
}

func (x *Exchange) piece(most int, deadline int64) ([]byte, error) {
	for {
		if n := min(x.left, uint64(x.in.buffered()), uint64(most)); n > 0 {
			return x.take(int(n))
		}
		var err error
		if x.left > 0 {
			err = truncated(x.in.fill(int(min(x.left, bodyBuffer)), deadline))
		} else {
			err = x.nextContent(deadline)
		}
		if err != nil {
			return nil, err
		}
	}
}

// take takes what is buffered of the body.
func (x *Exchange) take(n int) ([]byte, error) {
	p := x.in.bytes()[:n]
	x.in.pos += n
	x.left -= uint64(n)
	x.came += int64(n)
	if x.length >= 0 && x.came > x.length && x.accept == "" {
		return nil, streamError{codeMessage} // row 28
	}
	if x.left == 0 && x.in.eof && x.in.buffered() == 0 {
		if err := x.whole(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// nextContent finds the next DATA frame, and takes the others on the way.
func (x *Exchange) nextContent(deadline int64) error {
	h, err := x.in.nextFrame(deadline)
	switch {
	case err == io.EOF:
		if err := x.whole(); err != nil {
			return err
		}
		return io.EOF
	case err != nil:
		return err
	case h.kind == frameData && !x.trailed:
		x.in.open(h)
		if x.left = h.length; x.left == 0 {
			return x.c.spend(multiplex.CostEmpty)
		}
		return nil
	case h.kind == frameHeaders:
		return x.readTrailers(h, deadline)
	case known(h.kind):
		return connError{codeFrameUnexpected}
	}
	return x.ignore(h)
}

// whole is the end of the request: it must have what it said (RFC 9114 4.1.2).
func (x *Exchange) whole() error {
	if x.length >= 0 && x.came != x.length && x.accept == "" {
		return streamError{codeMessage}
	}
	x.theirEnd = true
	return nil
}

// BodyDone reports whether the whole request body was read.
func (x *Exchange) BodyDone() bool { return x.theirEnd }

// Awaits100 reports whether the client waits for 100 (Continue) before it sends
// its body.
func (x *Exchange) Awaits100() bool {
	return !x.continued && x.req.Expect100 && !x.theirEnd && x.came == 0 && x.in.buffered() == 0
}

// Continue sends 100 (Continue) if the client waits for it.
func (x *Exchange) Continue() error {
	if !x.Awaits100() {
		return nil
	}
	x.mayContinue()
	return x.writeHead(100, nil)
}

func (x *Exchange) mayContinue() {
	x.continued = true
	x.bodyStart = stream.Now()
}

// KeepFromContinue says that the body will be read while a response may be
// written: no 100 (Continue) may come in between.
func (x *Exchange) KeepFromContinue() { x.continued = true }

// bodyDeadline is when the next byte of the body must be there, as with
// HTTP/1.1: for the body to keep the minimum rate, and before it was silent for
// too long. Messages of gRPC come when there are any.
func (x *Exchange) bodyDeadline(o *http1.Options) int64 {
	if x.grpc {
		if o.StreamSilence <= 0 {
			return stream.Never
		}
		return stream.Now() + int64(o.StreamSilence)
	}
	minRate := o.BodyMinRate
	silence := stream.Now() + int64(http1.BodySilence)
	if minRate <= 0 {
		return silence
	}
	return min(silence, x.bodyStart+int64(http1.BodyGrace)+x.came/int64(minRate)*int64(1e9))
}

// bodyError is an error of the body's as the contract has it.
func bodyError(err error) error {
	switch err {
	case nil, io.EOF, stream.ErrInterrupted:
		return err
	case stream.ErrTimeout:
		return http1.ErrBodyTimeout
	}
	return errGone
}

// HoldBody reads the request body until it is whole or max bytes are held. With
// wait false it takes only what has arrived. What is held stays valid until the
// exchange is over or ReadBody is called.
func (x *Exchange) HoldBody(max int, wait bool) (held []byte, whole bool, err error) {
	if wait {
		if err := x.Continue(); err != nil {
			return nil, false, err
		}
	}
	o := x.c.handler.Options()
	for len(x.held) < max && !x.theirEnd {
		deadline := stream.Now() + int64(glance)
		if wait {
			deadline = x.bodyDeadline(o)
		}
		p, err := x.content(max-len(x.held), deadline)
		if err == io.EOF || err == stream.ErrTimeout && !wait {
			break
		}
		if err != nil {
			return nil, false, bodyError(err)
		}
		x.held = append(x.held, p...)
	}
	return x.held, x.theirEnd, nil
}

// ReadBody returns the next piece of the request body, valid until the next
// call; io.EOF after the last. It goes on behind what was held.
func (x *Exchange) ReadBody() ([]byte, error) {
	if err := x.Continue(); err != nil {
		return nil, err
	}
	if x.theirEnd {
		return nil, io.EOF
	}
	p, err := x.content(bodyBuffer, x.bodyDeadline(x.c.handler.Options()))
	return p, bodyError(err)
}

// Trailers adds the request's trailer fields that may be forwarded.
func (x *Exchange) Trailers(dst *httpmsg.Fields) {
	announced, _ := x.req.Get(httpmsg.Trailer)
	http1.AddTrailers(dst, x.trailer, announced)
}

// InterruptBody makes ReadBody in another goroutine return; ResumeBody undoes
// it once that goroutine is done.
func (x *Exchange) InterruptBody() { x.in.interrupt(true) }

// ResumeBody undoes InterruptBody.
func (x *Exchange) ResumeBody() { x.in.interrupt(false) }
