package l7

import (
	"io"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
)

// load is the body of a request, as far as it is there before a member is
// asked.
type load struct {
	body  []byte
	whole bool // nothing follows, trailers included: the request can be sent again
}

// loadMax is how much of a body is sent in one piece, before anybody looks
// for the response: a backend that answers while it reads, or does not read,
// must not find nobody there.
const loadMax = 64 << 10

// first is what the request is begun with; end says that it is all of it.
func (l *load) first() (p []byte, end bool) {
	if len(l.body) > loadMax {
		return l.body[:loadMax], false
	}
	return l.body, l.whole
}

// rest is what is held behind the first piece.
func (l *load) rest() []byte { return l.body[min(len(l.body), loadMax):] }

// holdBody collects a short body, or for a stage that holds, what it wants. A
// client that waits for 100 (Continue) is left waiting unless a stage holds:
// the backend may refuse the request.
func (f *flow) holdBody(hold int) (l load, ok bool) {
	if f.req.Body == httpmsg.BodyNone {
		return load{whole: true}, hold == 0 || f.stagesTake(nil, true)
	}
	if hold = max(hold, f.target.Settings.RequestBuffering.MaxSize); hold > 0 {
		return f.holdForStages(hold)
	}
	wait := f.req.Body == httpmsg.BodyLength && f.req.ContentLength <= holdMax && !f.x.Awaits100()
	body, whole, err := f.holdRequest(holdMax, wait)
	if err != nil {
		f.clientFailed(err)
		return load{}, false
	}
	trailed := whole && f.hasTrailers()
	if (whole || len(body) > 0) && !f.stagesTake(body, whole) {
		return load{}, false
	}
	return load{body, whole && !trailed}, true
}

// holdForStages collects the body until it is whole or longer than hold: for
// stages, or for requestBuffering.
func (f *flow) holdForStages(hold int) (l load, ok bool) {
	body, whole, err := f.holdRequest(hold+1, true)
	if err == nil && !whole && len(body) <= hold {
		body, whole, err = f.holdMore(body, hold)
	}
	if err == errNoRoom || err == errNoClientRoom {
		f.obey(f.noRoom(err), 'R')
		return load{}, false
	}
	if err != nil {
		f.clientFailed(err)
		return load{}, false
	}
	f.req.Expect100 = false // it has been told to go on, whatever the backend thinks
	trailed := whole && f.hasTrailers()
	if !f.stagesTake(body, whole) {
		return load{}, false
	}
	return load{body, whole && !trailed}, true
}

// holdMore goes on where the exchange's own memory is full.
func (f *flow) holdMore(piece []byte, hold int) (body []byte, whole bool, err error) {
	r, from := f.room(), stream.Now()
	for {
		if err = f.held.add(&f.gw.held, piece, &r); err != nil {
			return nil, false, err
		}
		if whole = f.x.BodyDone(); whole || len(f.held.bytes) > hold {
			return f.held.bytes, whole, nil
		}
		if err = f.gw.held.impatient(&r, stream.Now()-from); err != nil {
			return nil, false, err
		}
		if piece, err = f.readRequest(); err == io.EOF {
			return f.held.bytes, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// room is how much memory held bodies may take, those of the exchange's client
// among them. That is who the request is from, not who sent it: a trusted proxy
// brings the requests of many. Its own, and those of clients that it does not
// name, are nobody's.
func (f *flow) room() room {
	r := room{all: f.snap.HeldBytes, own: int64(f.snap.Limits.HeldBytesPerClient)}
	if r.all <= 0 {
		r.all = defaultHeldBytes
	}
	if addr := f.client.Addr.Addr(); r.own > 0 && !f.snap.Trusted.Contains(addr) {
		r.client = clientKey(addr)
	}
	return r
}

// noRoom counts that a body cannot be held, and is the answer to its exchange.
func (f *flow) noRoom(why error) Verdict {
	f.countNoRoom(why, "body not held")
	return Verdict{Action: Answer, Status: 503, Reason: why.Error()}
}

// countNoRoom counts and logs that there is no memory for a body.
func (f *flow) countNoRoom(why error, what string) {
	limit := telemetry.LimitHeldBytes
	if why == errNoClientRoom {
		limit = telemetry.LimitHeldBytesPerClient
	}
	f.listener.Metrics.LimitHit(f.shard, limit)
	f.gw.logLimited(what, "client", f.client.Addr.Addr().String(), "limit", limit.String())
}

// stagesTake shows the stages the beginning of the body; false when one of
// them ended the exchange.
func (f *flow) stagesTake(body []byte, end bool) bool {
	if v := f.stages.onBody(body, end); v.ends() {
		f.obey(v, 'R')
		return false
	}
	return true
}

// hasTrailers reports whether trailer fields follow the body that is held:
// they are sent behind it, as those of a body that streams. The stages are
// told.
func (f *flow) hasTrailers() bool {
	if f.req.Body != httpmsg.BodyChunked {
		return false
	}
	f.resp.Reset(nil)
	f.x.Trailers(&f.resp.Fields)
	return f.resp.Len() > 0 && f.sendTrailers()
}

// trailers is what becomes of trailers.
type trailers uint8

const (
	trailersUnknown trailers = iota
	trailersSent
	trailersDropped
)

// sendTrailers asks the stages, once, whether request trailers that are there
// may be sent on.
func (f *flow) sendTrailers() bool {
	if f.trailers == trailersUnknown {
		f.inStages(func() Verdict {
			if f.trailers = trailersDropped; f.stages.onTrailers() {
				f.trailers = trailersSent
			}
			return Verdict{}
		})
	}
	return f.trailers == trailersSent
}
