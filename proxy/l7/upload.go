package l7

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
)

// upload is the second goroutine of an exchange: it sends the request body
// while the first awaits the response.
type upload struct {
	done      chan struct{}
	ending    atomic.Bool // the last piece is being sent
	ended     int64       // when
	clientErr error       // reading the body failed
	sendErr   error       // sending it failed
	refused   Verdict
	held      []byte // what it begins with: stages have seen it

	// stages is held around every call of a stage: they are for one goroutine
	// at a time.
	stages sync.Mutex
}

// receiveStreaming passes on the response to a request whose body is still
// coming in, or is held but too long to be sent in one go.
func (f *flow) receiveStreaming(t *Transport, l *load, mayRetry bool) outcome {
	if f.x.Awaits100() && !f.awaitContinue(t) {
		return settled
	}
	f.x.KeepFromContinue()
	u := &upload{done: make(chan struct{}), held: l.rest()}
	if len(u.held) == 0 {
		f.held.release(&f.gw.held) // it is sent, and cannot be sent again
	}
	f.upload = u
	go f.sendBody(u)
	err := f.streamingHead(u, mayRetry && l.whole)
	if err == nil {
		f.backendAnswered()
		if f.uploaded(u) && f.retryStatus(t, l, mayRetry) {
			return retryMember
		}
		f.deliverStreaming(t, u)
		return settled
	}
	f.stopUpload(u)
	return f.uploadFailed(t, u, err, l.whole, mayRetry)
}

// streamingHead reads the response head while the body goes out. The request
// timeout begins when it is out; until then the minimum body rate and the
// write stall bound the exchange.
func (f *flow) streamingHead(u *upload, mayRetry bool) error {
	for {
		err := f.finalHead(stream.Now() + patience)
		if err != stream.ErrTimeout {
			return err
		}
		if !f.uploading() {
			return f.headAfterUpload(u, mayRetry)
		}
		if f.x.Gone() {
			return errClientGone
		}
	}
}

// errClientGone ends the wait for a response when the client left while its
// body was stuck behind a backend that does not read.
var errClientGone = errors.New("client left")

// uploading reports whether the second goroutine still reads the client's
// body.
func (f *flow) uploading() bool {
	if f.upload == nil {
		return false
	}
	select {
	case <-f.upload.done:
		return false
	default:
		return true
	}
}

// headAfterUpload awaits the head once the body is out.
func (f *flow) headAfterUpload(u *upload, mayRetry bool) error {
	f.x.Watch(f.up.Interrupt)
	err := f.finalHead(f.headDeadline(u.ended, mayRetry))
	if f.x.Unwatch() {
		u.clientErr = io.EOF
		return stream.ErrInterrupted
	}
	return err
}

// sendBody sends the body piece by piece. A client or backend that fails makes
// the other side's wait end.
func (f *flow) sendBody(u *upload) {
	defer func() {
		if r := recover(); r != nil { // see contain, which cannot see this goroutine
			f.gw.bug(r)
			u.refused = Verdict{Action: Abort, Reason: "bug"}
			f.up.Interrupt()
		}
		u.ended = stream.Now()
		close(u.done)
	}()
	defer f.gw.survive(func() {
		u.clientErr = errClientGone
		f.up.Interrupt()
	})
	if !f.sendHeld(u) {
		return
	}
	for {
		p, err := f.readRequest()
		if err == nil && !f.stagesPass(u, p, false) {
			return
		}
		if err == nil || err == io.EOF {
			p, err = f.decodePiece(p, err)
		}
		if err == io.EOF {
			f.giveCopy()
			f.endUpload(u)
			return
		}
		if err != nil {
			u.clientErr = err
			f.up.Interrupt()
			return
		}
		f.copyBody(p)
		if f.x.BodyDone() {
			u.ending.Store(true)
		}
		if err := f.up.SendBody(p); err != nil {
			u.sendErr = err // a response may be there all the same
			return
		}
	}
}

// sendHeld sends what was held for stages, piece by piece so that each is
// bounded by the write stall.
func (f *flow) sendHeld(u *upload) bool {
	for left := u.held; len(left) > 0; {
		n := min(len(left), loadMax)
		if n == len(left) && f.x.BodyDone() {
			u.ending.Store(true)
		}
		if err := f.up.SendBody(left[:n]); err != nil {
			u.sendErr = err
			return false
		}
		left = left[n:]
	}
	return true
}

// stagesPass shows the stages a piece of the body; false when one of them
// wants no more of it sent.
func (f *flow) stagesPass(u *upload, p []byte, end bool) bool {
	if len(f.stages) == 0 {
		return true
	}
	v := f.inStages(func() Verdict { return f.stages.onBody(p, end) })
	if !v.ends() {
		return true
	}
	u.refused = v
	f.up.Interrupt()
	return false
}

// inStages calls stages, which are for one goroutine at a time.
func (f *flow) inStages(call func() Verdict) Verdict {
	if f.upload != nil {
		f.upload.stages.Lock()
		defer f.upload.stages.Unlock()
	}
	return call()
}

// endUpload sends the end of the body.
func (f *flow) endUpload(u *upload) {
	var trailers httpmsg.Request
	if f.x.Trailers(&trailers.Fields); trailers.Len() > 0 && !f.sendTrailers() {
		trailers.Reset(nil)
	}
	if f.snap.Identity != nil {
		f.dropIdentity(&trailers.Fields)
	}
	if !f.stagesPass(u, nil, true) {
		return
	}
	u.ending.Store(true)
	u.sendErr = f.up.SendEnd(&trailers.Fields)
}

// deliverStreaming passes the response on while the upload may go on.
func (f *flow) deliverStreaming(t *Transport, u *upload) {
	u.settle()
	if f.uploaded(u) {
		f.held.release(&f.gw.held)
	} else {
		// A response before the end of the request is usually a refusal: the
		// backend need not read the rest, and the client is not kept.
		f.x.CloseAfter()
	}
	r := f.up.Head()
	if f.caching != nil {
		f.cacheAnswer(t, r) // a request with a body is never answered from there
	}
	hold := 0
	v := f.inStages(func() (v Verdict) { v, hold = f.stages.onResponseHead(r); return v })
	if v.ends() {
		f.stopUpload(u)
		f.drop(t)
		f.obey(v, 'H')
		return
	}
	f.prepareResponse(r)
	if why := f.rewriteResponse(r); why != nil {
		f.stopUpload(u)
		f.drop(t)
		f.refuseResponse(why)
		return
	}
	ok := f.respond(r, hold)
	f.stopUpload(u)
	f.delivered(t, r, ok)
}

// settle waits for an upload whose last piece is on its way: a backend may
// have that and answer before the goroutine that sent it is scheduled again.
func (u *upload) settle() {
	if !u.ending.Load() {
		return
	}
	late := time.NewTimer(time.Duration(patience))
	defer late.Stop()
	select {
	case <-u.done:
	case <-late.C:
	}
}

// uploaded reports whether the whole body is out.
func (f *flow) uploaded(u *upload) bool {
	select {
	case <-u.done:
		return u.clientErr == nil && u.sendErr == nil && !u.refused.ends()
	default:
		return false
	}
}

// stopUpload ends the second goroutine and waits for it.
func (f *flow) stopUpload(u *upload) {
	select {
	case <-u.done:
		return
	default:
	}
	f.x.InterruptBody()
	f.up.Shut()
	<-u.done
	f.x.ResumeBody()
}

// uploadFailed answers when there is no response to pass on, unless the
// request can be sent again: whole says that all of its body is held.
func (f *flow) uploadFailed(t *Transport, u *upload, err error, whole, mayRetry bool) outcome {
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received(), f.up.Sent()
	switch {
	case u.refused.ends():
		f.drop(t)
		f.x.CloseAfter()
		f.obey(u.refused, 'R')
	case err == errClientGone:
		f.drop(t)
		f.clientLeft(u.phase())
	case u.clientErr != nil && !errors.Is(u.clientErr, stream.ErrInterrupted):
		f.drop(t)
		f.clientFailed(u.clientErr)
	default:
		if !whole {
			f.x.CloseAfter()
		}
		return f.noHead(t, err, mayRetry, whole)
	}
	return settled
}

// phase is what was under way, as in telemetry.Termination, when an upload was
// stopped because the client has left: reading its body, or the wait for a
// backend to take that and to answer.
func (u *upload) phase() byte {
	if u.clientErr != nil {
		return 'R'
	}
	return 'H'
}

// awaitContinue lets the backend decide whether the client should send its
// body; false when the client has its answer.
func (f *flow) awaitContinue(t *Transport) bool {
	err := f.headBeforeBody(stream.Now() + expectWait)
	r := f.up.Head()
	switch {
	case err == errClientGone:
		f.drop(t)
		f.clientLeft('H')
		return false
	case err == stream.ErrTimeout:
		return f.tellContinue(t)
	case err != nil:
		f.x.CloseAfter()
		f.noHead(t, err, false, false)
		return false
	case r.Status == 100:
		return f.tellContinue(t)
	case r.Status < 200 && r.Status != 101:
		http1.StripHopByHop(&r.Fields, false)
		f.x.Inform(r)
		return f.awaitContinue(t)
	}
	// A final response: the body will not be wanted.
	f.answered = stream.Now()
	f.rec.Tr, f.rec.BackendStatus = f.answered-f.connected, r.Status
	f.x.CloseAfter()
	f.deliver(t)
	return false
}

// headBeforeBody reads a response head while the client waits to be told to
// go on, with an eye on it.
func (f *flow) headBeforeBody(deadline int64) error {
	for {
		now := stream.Now()
		err := f.up.ReadHead(min(now+patience, deadline))
		if err != stream.ErrTimeout || now >= deadline {
			return err
		}
		if f.x.Gone() {
			return errClientGone
		}
	}
}

func (f *flow) tellContinue(t *Transport) bool {
	if err := f.x.Continue(); err != nil {
		f.drop(t)
		f.clientLeft('R')
		return false
	}
	return true
}
