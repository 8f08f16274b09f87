package l7

import (
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

const (
	// patience is how long a backend is awaited before somebody looks whether
	// the client is still there. It is what a client's leaving may go unseen.
	patience = int64(50 * time.Millisecond)
	// holdMax is how much of a request body is collected before anything is
	// sent, when it is known to fit: short requests go out in one piece, and
	// can be sent again.
	holdMax = 15 << 10
	// expectWait is how long a backend is given to answer Expect:
	// 100-continue before the body is sent unasked (RFC 9110 10.1.1).
	expectWait = int64(time.Second)
)

// outcome is what became of sending a request to a member.
type outcome uint8

const (
	// settled: the client has its answer, or is gone.
	settled outcome = iota
	// retryMember: another member should be tried.
	retryMember
	// retryFresh: the same member should be tried on a new connection.
	retryFresh
	// sent: the request, or its beginning, is out.
	sent
)

// forward sends the request to a member of the target's pool and the response
// back.
func (f *flow) forward() {
	f.pin = f.pinned() // by the cookies that the client sent
	if !f.findWeb() {  // which is never compressed
		f.compressResponse()
	}
	if f.target.Caching != nil {
		f.known = f.who.n > 0 || f.req.Count(httpmsg.Authorization) > 0 // whatever becomes of it on the way
	}
	if f.rewriting && f.rewrite.ChangesTarget() {
		f.rewrite.Apply(true)
	}
	f.startStages()
	v, hold := f.stages.onHead(f.req)
	if v.ends() {
		f.obey(v, 'R')
		return
	}
	l, ok := f.holdBody(hold)
	if !ok {
		return
	}
	path, mirrored := f.req.Path, f.mirrored()
	if !f.prepareRequest() || !f.translateWeb(&l) {
		return
	}
	if mirrored {
		f.copyRequest(&l)
		defer f.dropCopy()
	}
	if f.target.Caching == nil {
		f.exchange(l)
	} else {
		f.throughCache(l, path)
	}
	f.endAttempts()
}

// endAttempts gives back what the pool counts of a request beside its members:
// retries, hedges, a place.
func (f *flow) endAttempts() {
	f.endRetry()
	f.endHedge()
	f.leavePool()
}

// giveUp gives everything back that the backend's side of a request has, when
// nobody knows what state it is in.
func (f *flow) giveUp() {
	f.endHedgeOf(f.hedge)
	if f.backend != nil && f.inFlight {
		f.backend.End()
	}
	f.giveUpNext()
	f.endAttempts()
	f.spoilUpstream()
}

// startStages begins the stages of the target.
func (f *flow) startStages() {
	if len(f.target.Stages) == 0 && (f.also == nil || len(f.also.Stages) == 0) {
		return
	}
	f.client.Host = string(f.req.Bytes(f.req.HostName))
	f.client.TraceID, f.client.Memory = f.rec.TraceID, memory{f}
	f.copies.begin()
	for _, m := range f.target.Stages {
		f.startStage(m)
	}
	if f.also == nil {
		return
	}
	for _, m := range f.also.Stages {
		if !slices.Contains(f.target.Stages, m) {
			f.startStage(m)
		}
	}
}

func (f *flow) startStage(m StageMaker) {
	if s := m.Begin(f.client); s != nil {
		f.stages = append(f.stages, stageViews{Stage: s})
	}
}

// endStages lets the stages add to the record, and ends their part.
func (f *flow) endStages() {
	if len(f.stages) == 0 {
		return
	}
	f.stages.done(&f.rec)
	clear(f.stages)
	f.stages = f.stages[:0]
	f.copies.end(&f.gw.held)
}

// exchange finds a member that takes the request, and passes its response on.
func (f *flow) exchange(l load) {
	var failed *proxy.Backend
	pinned, key := f.pin, f.hashKey()
	for attempt := 0; ; attempt++ {
		b, err := f.next, error(nil)
		if f.next = nil; b == nil {
			b, err = f.pick(key, pinned, failed)
		}
		if err != nil && failed != nil {
			f.refuseAs(f.failure) // nobody else to ask
			return
		}
		if err != nil {
			f.noMember(err)
			return
		}
		f.repin = f.repin || pinned != nil && b != pinned
		f.backend, f.inFlight = b, true
		f.rec.Backend = b.Name()
		f.rec.Retries = attempt
		again := f.attempt(b, l, attempt < f.target.Settings.Retries.Attempts)
		if f.inFlight { // else it was given back before the client had the response
			f.inFlight = false
			f.backend.End()
		}
		if !again {
			return
		}
		if !f.beginRetry() {
			f.failure.reason += "; not retried: the budget of retries is spent"
			f.refuseAs(f.failure)
			return
		}
		if failed = f.backend; !f.backoff(attempt) {
			return
		}
	}
}

// attempt sends the request to one member. It reports whether another one
// should be tried; otherwise the client has been answered.
func (f *flow) attempt(b *proxy.Backend, l load, mayRetry bool) (again bool) {
	t := b.Attached().(*Transport)
	f.setHost(b)
	f.tries = 0
	for fresh := false; ; fresh = true {
		o := f.send(t, b, &l, fresh, mayRetry)
		if o != sent {
			return o == retryMember
		}
		if _, all := l.first(); all {
			o = f.receive(t, &l, mayRetry)
		} else {
			o = f.receiveStreaming(t, &l, mayRetry)
		}
		if o != retryFresh {
			return o == retryMember
		}
	}
}

// maxTries is how many connections to one member are tried for a request that
// was not looked at: HTTP/2 has a way to say so.
const maxTries = 3

// tryAgain counts a try of the same member; false if there were enough.
func (f *flow) tryAgain() bool {
	f.tries++
	return f.tries <= maxTries
}

// send gets a connection and sends the request on it. A kept connection that
// turns out to be dead is replaced where that is safe: when not one byte was
// written, or when the request may be repeated and is still held (RFC 9110
// 9.2.2).
func (f *flow) send(t *Transport, b *proxy.Backend, l *load, fresh, mayRetry bool) outcome {
	repeatable := f.req.Method.Idempotent() && l.whole
	first, all := l.first()
	for {
		err := f.bind(t, b, fresh, !repeatable)
		if err != nil {
			return f.connectFailed(b, err, mayRetry)
		}
		f.rec.Tc = max(f.rec.Tc, 0)
		f.connected = stream.Now()
		err = f.up.Start(f.req, first, all, f.connected+f.patience())
		if err == nil {
			return sent
		}
		replace := f.up.Refused() || f.rec.Reused && !f.up.Answered() && (f.up.Sent() == 0 || repeatable)
		awaited, answered := f.up.Awaited(), f.up.Answered() // f.up is nothing to ask once it is dropped
		f.rec.BackendOut += f.up.Sent()
		f.drop(t)
		if !replace || !f.tryAgain() {
			return f.sendFailed(err, awaited, repeatable && mayRetry && !answered)
		}
		fresh = err != stream.ErrStale // a stale one is known before anything is sent: others may live
	}
}

// failure is what is answered when no other member can be tried.
type failure struct {
	status      int
	reason      string
	info        string
	termination telemetry.Termination
}

func (f *flow) refuseAs(why failure) {
	f.rec.Termination = why.termination
	f.refuse(why.status, why.reason, why.info)
}

// isOurs reports whether a connect failed for want of something of our own,
// which says nothing about the member.
func isOurs(err error) bool {
	for _, own := range [...]error{errTransportClosed, errSharedDial, errSharedFull, syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// connectFailed decides what follows a failed connect: nothing was sent, so
// any request may go to another member.
func (f *flow) connectFailed(b *proxy.Backend, err error, mayRetry bool) outcome {
	if err == errClientGone {
		f.clientLeft('C')
		return settled
	}
	if !isOurs(err) {
		b.ConnectFailed(err)
		f.backendTookLong()
	}
	f.failure = failure{502, "connect: " + shortError(err), telemetry.ErrorInfoUpstreamNoLive, telemetry.Termination{'S', 'C'}}
	if mayRetry && f.target.Settings.Retries.OnConnectFailure {
		return retryMember
	}
	f.refuseAs(f.failure)
	return settled
}

// receive reads the response to a request that is out to its end, and passes
// it on.
func (f *flow) receive(t *Transport, l *load, mayRetry bool) outcome {
	err, gone := stream.ErrTimeout, false
	if f.up.Answered() {
		err = f.finalHead(f.connected + f.patience())
	}
	if err == stream.ErrTimeout {
		if deadline := f.headDeadline(f.connected, mayRetry); f.mayHedge() {
			t, err, gone = f.hedgedHead(t, deadline)
		} else {
			err, gone = f.watchedHead(deadline)
		}
	}
	switch {
	case gone || err == errClientGone:
		f.backend.Abandoned(stream.Now(), stream.Now()-f.connected)
		f.drop(t)
		f.clientLeft('H')
		return settled
	case err == nil:
		f.backendAnswered()
		if f.retryStatus(t, l, mayRetry) {
			return retryMember
		}
		f.deliver(t)
		return settled
	}
	return f.noHead(t, err, mayRetry, true)
}

// patience is how long to wait before looking for the client, or for another
// member.
func (f *flow) patience() int64 { return f.target.Settings.patience }

// finalHead reads response heads until a final one, passing informational
// ones on.
func (f *flow) finalHead(deadline int64) error {
	for {
		if err := f.up.ReadHead(deadline); err != nil {
			return err
		}
		r := f.up.Head()
		if r.Status >= 200 || r.Status == 101 {
			f.answered = stream.Now()
			f.rec.Tr = f.answered - f.connected
			f.rec.BackendStatus = r.Status
			return nil
		}
		if err := f.inform(r); err != nil {
			return err
		}
	}
}

// inform passes an informational response on.
func (f *flow) inform(r *httpmsg.Response) error {
	if r.Status == 100 && !f.x.Awaits100() {
		return nil // the client did not ask, or has been told
	}
	http1.StripHopByHop(&r.Fields, false)
	if f.x.Inform(r) != nil {
		return errClientGone
	}
	return nil
}

// noHead decides what follows when no response head came: one more try where
// the request may be repeated, for which its whole body must be held, or an
// answer of our own.
func (f *flow) noHead(t *Transport, err error, mayRetry, whole bool) outcome {
	answered, refused := f.up.Answered(), f.up.Refused()
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received(), f.up.Sent()
	f.drop(t)
	var bad *http1.Error
	repeatable := whole && !answered && f.req.Method.Idempotent()
	f.failure = failure{502, "no response: " + shortError(err), telemetry.ErrorInfoUpstreamClosed, telemetry.Termination{'S', 'H'}}
	switch {
	case refused && whole && f.tryAgain():
		return retryFresh
	case errors.As(err, &bad):
		f.backendFailedToAnswer(bad.Reason)
		f.failure.reason, f.failure.info = bad.Reason, bad.Info
	case err == stream.ErrTimeout:
		f.backendFailedToAnswer("no response in time")
		f.failure.status, f.failure.info = 504, telemetry.ErrorInfoUpstreamTimedOut
		f.failure.reason = "no response in " + f.waited().String()
		if mayRetry && repeatable && f.target.Settings.Retries.OnTimeout {
			return retryMember
		}
	case f.noteReset(err):
		f.backendFailedToAnswer(err.Error())
		if mayRetry && repeatable && f.target.Settings.Retries.OnReset {
			return retryMember
		}
	case f.rec.Reused && repeatable && f.tryAgain():
		return retryFresh
	default:
		f.connectionFailed(err)
		if mayRetry && repeatable && f.target.Settings.Retries.OnReset {
			return retryMember
		}
	}
	f.refuseAs(f.failure)
	return settled
}

// deliver passes the final response on and gives the connection back.
func (f *flow) deliver(t *Transport) {
	r := f.up.Head()
	if r.Status == 101 {
		f.tunnel(t)
		return
	}
	f.held.release(&f.gw.held)
	if f.caching != nil && f.cacheAnswer(t, r) {
		return
	}
	v, hold := f.stages.onResponseHead(r)
	if v.ends() {
		f.drop(t)
		f.obey(v, 'H')
		return
	}
	f.prepareResponse(r)
	if why := f.rewriteResponse(r); why != nil {
		f.drop(t)
		f.refuseResponse(why)
		return
	}
	ok := f.respond(r, hold)
	f.delivered(t, r, ok)
}

// delivered notes the response, and gives the connection back unless that has
// been done.
func (f *flow) delivered(t *Transport, r *httpmsg.Response, ok bool) {
	if !f.inFlight {
		r = &f.resp
	}
	if f.rec.Status == 0 && f.x.Started() { // nothing else was answered instead
		f.rec.Status = r.Status
		kind, _ := r.Get(httpmsg.ContentType)
		f.kind = append(f.kind[:0], kind...) // the response's memory goes with its connection
		f.rec.ContentType = f.kind
	}
	if f.inFlight {
		f.giveBack(t, ok)
	}
}

// giveBack keeps the connection to the member if it may carry another request.
func (f *flow) giveBack(t *Transport, ok bool) {
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received(), f.up.Sent()
	if !ok {
		f.drop(t)
		return
	}
	f.keep(t)
}

// respond sends the head and streams the body, of which stages want hold
// bytes before that; false when the connection to the backend is of no more
// use.
func (f *flow) respond(r *httpmsg.Response, hold int) bool {
	first, end, err := f.up.Buffered()
	if err != nil {
		f.backendFailed(err)
		return false
	}
	over := end
	if !end && (hold > 0 || f.buffers(r)) {
		var ok bool
		if first, over, ok = f.collect(first, hold); !ok {
			return false
		}
		end = over && !f.trailed()
	}
	if !f.stagesAllow(first, over) {
		return false
	}
	if end && f.kept.size > 0 && !f.uploading() {
		r = f.leaveMember(r) // only the client's pace matters from here on
	}
	f.captureResponse()
	err = f.to.Respond(r, first, end)
	f.kept.release(&f.gw.held)
	if err != nil {
		f.notResponded(err)
		return false
	}
	if end {
		return true
	}
	if over {
		return f.finishBody()
	}
	if f.req.Method == httpmsg.HEAD || r.Status == 204 || r.Status == 304 {
		return true
	}
	if len(f.stages) == 0 {
		f.letGo()
	}
	f.streamed = true
	return f.stream()
}

// notResponded ends an exchange whose head could not be sent: to a client that
// is gone, or because it is not fit for it.
func (f *flow) notResponded(err error) {
	e, ok := errors.AsType[*http1.Error](err)
	if !ok {
		f.clientLeft('D')
		return
	}
	f.rec.Termination = telemetry.Termination{'S', 'H'}
	f.refuse(e.Status, e.Reason, telemetry.ErrorInfoUpstreamInvalid)
}

// stagesAllow shows a piece of the response body to the stages.
func (f *flow) stagesAllow(piece []byte, end bool) bool {
	if len(f.stages) == 0 {
		return true
	}
	v := f.inStages(func() Verdict { return f.stages.onResponseBody(piece, end) })
	if v.ends() {
		f.stopResponse(v)
		return false
	}
	return true
}

// stopResponse does what a stage says once the backend has begun to respond.
func (f *flow) stopResponse(v Verdict) {
	if f.upload != nil {
		f.stopUpload(f.upload)
	}
	phase := byte('H')
	if f.x.Started() {
		phase = 'D'
	}
	f.obey(v, phase)
}

// holdResponse collects the response body until it is over or longer than
// hold. One that takes long makes room when it is short, as a request's does.
// With ok false the exchange was ended.
func (f *flow) holdResponse(piece []byte, hold int) (body []byte, over, ok bool) {
	w := pieceWait{f: f}
	defer w.end()
	r, from := f.room(), stream.Now()
	for {
		err := f.kept.add(&f.gw.held, piece, &r)
		if err == nil && len(f.kept.bytes) > hold {
			return f.kept.bytes, false, true
		}
		now := stream.Now()
		if err == nil && !f.up.BodyDone() {
			err = f.gw.held.impatient(&r, now-from)
		}
		if err != nil {
			f.stopResponse(f.noRoom(err))
			return nil, false, false
		}
		// A backend that is silent must not be waited for longer than that.
		piece, err = f.up.ReadBody(min(w.deadline(), now+int64(time.Second)))
		switch {
		case err == nil:
			w.from = 0
		case err == io.EOF:
			return f.kept.bytes, true, true
		case !w.goOn(err):
			return nil, false, false
		}
	}
}

// trailed reports whether trailer fields follow a response body that is over,
// and leaves them in f.resp. The stages are told, once; fields that one of them
// wants dropped are not there.
func (f *flow) trailed() bool {
	f.resp.Reset(nil)
	f.up.Trailers(&f.resp.Fields)
	if f.resp.Len() == 0 {
		return false
	}
	if f.answerTrailers == trailersUnknown {
		f.inStages(func() Verdict {
			if f.answerTrailers = trailersDropped; f.stages.onResponseTrailers() {
				f.answerTrailers = trailersSent
			}
			return Verdict{}
		})
	}
	if f.answerTrailers == trailersDropped {
		f.resp.Reset(nil)
	}
	return f.resp.Len() > 0
}

// stream copies the rest of the response body.
func (f *flow) stream() bool {
	if ok, done := f.splice(); done {
		return ok
	}
	w := pieceWait{f: f}
	defer w.end()
	for {
		p, err := f.up.ReadBody(w.deadline())
		switch {
		case err == nil:
			w.from = 0
			if last, ok := f.to.(lastSink); ok && f.up.BodyDone() && len(f.stages) == 0 && !f.trailed() {
				return f.sent(last.WriteLast(p))
			}
			if !f.stagesAllow(p, false) {
				return false
			}
			if err := f.to.WriteBody(p); err != nil {
				f.clientLeft('D')
				return false
			}
		case err == io.EOF:
			return f.finishBody()
		case !w.goOn(err):
			return false
		}
	}
}

// pieceWait is the wait for the next piece of a response body: at first just
// for that, and when it takes long with an eye on the client.
type pieceWait struct {
	f        *flow
	from     int64 // since when; 0: from now on
	watching bool
}

// deadline is until when to wait before goOn is asked.
func (w *pieceWait) deadline() int64 {
	now := stream.Now()
	if w.from == 0 {
		w.from = now
	}
	last := w.from + int64(w.f.target.Settings.RequestTimeout)
	if w.watching {
		return last
	}
	return min(now+patience, last)
}

// goOn decides what an error of the wait means; with false the exchange has
// been ended. The client cannot be watched while its body is being read.
func (w *pieceWait) goOn(err error) bool {
	f := w.f
	late := stream.Now() >= w.from+int64(f.target.Settings.RequestTimeout)
	switch uploading := f.uploading(); {
	case err == stream.ErrInterrupted:
		f.interrupted()
		return false
	case err == stream.ErrTimeout && uploading && f.x.Gone():
		f.clientLeft('D')
		return false
	case err != stream.ErrTimeout || late:
		f.backendFailed(err)
		return false
	case !uploading && !w.watching:
		f.x.Watch(f.up.Interrupt)
		w.watching = true
	}
	return true
}

// interrupted ends a response that was stopped from elsewhere: because the
// client left, or a stage has refused the rest of the request.
func (f *flow) interrupted() {
	if u := f.upload; u != nil {
		f.stopUpload(u)
		if u.refused.ends() {
			f.stopResponse(u.refused)
			return
		}
		if e, ok := errors.AsType[*http1.Error](u.clientErr); ok {
			f.bodyRefused(e)
			return
		}
	}
	f.clientLeft('D')
}

// bodyRefused ends a response that has begun because of the request's body,
// which is malformed or too slow: the client has not left.
func (f *flow) bodyRefused(e *http1.Error) {
	f.countLimit(e)
	f.rec.Termination = telemetry.Termination{'C', 'D'}
	f.rec.Reason, f.rec.ErrorInfo = e.Reason, e.Info
	if !f.x.Started() {
		f.x.CloseAfter()
		f.refuse(e.Status, e.Reason, e.Info)
		return
	}
	f.x.Abort()
}

// end stops watching the client.
func (w *pieceWait) end() {
	if w.watching {
		w.f.x.Unwatch()
	}
}

// finishBody ends the response, with the trailers that may be passed on.
func (f *flow) finishBody() bool {
	f.trailed() // before the end is shown
	if !f.stagesAllow(nil, true) {
		return false
	}
	return f.sent(f.to.Finish(&f.resp.Fields))
}

// sent notes what became of the end of a response.
func (f *flow) sent(err error) bool {
	if err != nil {
		f.clientLeft('D')
	}
	return err == nil
}

// spliceMin is the size from which moving a body inside the kernel is cheaper
// than copying it.
const spliceMin = 64 << 10

// splice moves a large plain body without copying it; done is false when
// this one has to be copied.
func (f *flow) splice() (ok, done bool) {
	dst := f.to.Direct()
	src, left := f.up.Direct()
	if dst == nil || left < spliceMin || len(f.stages) > 0 {
		return false, false
	}
	s, err := stream.NewSplice(dst, src)
	if err != nil {
		return false, false // no descriptors left: copying works
	}
	defer s.Close()
	w := pieceWait{f: f}
	defer w.end()
	for left > 0 {
		n, err := s.Step(left, w.deadline())
		f.up.Moved(n)
		f.to.Moved(n)
		left -= n
		var failed stream.WriteError
		switch {
		case err == nil:
			w.from = 0
		case errors.As(err, &failed):
			f.clientLeft('D')
			return false, true
		case !w.goOn(err):
			return false, true
		}
	}
	return f.finishBody(), true
}

// backendFailed ends a response that the backend did not complete.
func (f *flow) backendFailed(err error) {
	f.rec.Termination = telemetry.Termination{'S', 'D'}
	f.rec.Reason = "response body: " + shortError(err)
	f.rec.ErrorInfo = telemetry.ErrorInfoUpstreamClosed
	var bad *http1.Error
	switch {
	case err == stream.ErrTimeout:
		f.rec.ErrorInfo = telemetry.ErrorInfoUpstreamTimedOut
	case errors.As(err, &bad):
		f.rec.ErrorInfo = telemetry.ErrorInfoUpstreamInvalid // bad is in the words for a client
	}
	if !f.x.Started() {
		f.refuse(502, f.rec.Reason, f.rec.ErrorInfo)
		return
	}
	f.x.Abort()
}

// clientLeft notes that the client went away, or takes no more.
func (f *flow) clientLeft(phase byte) {
	f.rec.Termination = telemetry.Termination{'C', phase}
	f.rec.Reason = "client left"
	f.rec.ErrorInfo = telemetry.ErrorInfoClientClosed
	if !f.x.Started() {
		f.rec.Status = 499
	}
	f.x.Abort()
}

// clientFailed answers, where that is possible, a body that could not be
// read.
func (f *flow) clientFailed(err error) {
	var e *http1.Error
	if !errors.As(err, &e) {
		f.clientLeft('R')
		return
	}
	f.countLimit(e)
	f.rec.Termination = telemetry.Termination{'C', 'R'}
	f.x.CloseAfter()
	f.refuse(e.Status, e.Reason, e.Info)
}

// shortError names what went wrong on a connection, without addresses.
func shortError(err error) string {
	var errno syscall.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, stream.ErrTimeout) || errors.As(err, &op) && op.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return err.Error()
}
