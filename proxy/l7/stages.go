package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
)

// stages are the stages of an exchange, in order.
type stages []stageViews

// stageViews is a stage and what it sees of the two bodies.
type stageViews struct {
	Stage
	request, response view
}

// view is what a stage sees of one body.
type view struct {
	hold int  // bytes it wants in one piece; 0: none
	over bool // it has seen all it gets
}

// ends reports whether a verdict ends the exchange.
func (v *Verdict) ends() bool { return v.Action == Answer || v.Action == Abort }

// limit is how many bytes a Hold is for.
func (v *Verdict) limit() int {
	if v.Limit <= 0 {
		return DefaultHold
	}
	return min(v.Limit, MaxHold)
}

// onHead shows the request head. hold is how much of the body the most
// demanding stage wants held; 0: none does.
func (s stages) onHead(r *httpmsg.Request) (v Verdict, hold int) {
	for i := range s {
		v := s[i].OnHead(r)
		if v.ends() {
			return v, 0
		}
		if v.Action == Hold {
			s[i].request.hold = v.limit()
			hold = max(hold, s[i].request.hold)
		}
	}
	return Verdict{}, hold
}

// onResponseHead shows the response head, as onHead does.
func (s stages) onResponseHead(r *httpmsg.Response) (v Verdict, hold int) {
	for i := range s {
		v := s[i].OnResponseHead(r)
		if v.ends() {
			return v, 0
		}
		if v.Action == Hold {
			s[i].response.hold = v.limit()
			hold = max(hold, s[i].response.hold)
		}
	}
	return Verdict{}, hold
}

// onBody shows the next piece of the request body. The first one is what is
// held, where something is.
func (s stages) onBody(piece []byte, end bool) Verdict {
	for i := range s {
		if v := s[i].request.show(s[i].OnBody, piece, end); v.ends() {
			return v
		}
	}
	return Verdict{}
}

// onResponseBody shows the next piece of the response body, as onBody does.
func (s stages) onResponseBody(piece []byte, end bool) Verdict {
	for i := range s {
		if v := s[i].response.show(s[i].OnResponseBody, piece, end); v.ends() {
			return v
		}
	}
	return Verdict{}
}

// show gives a stage a piece of a body, unless it has seen all it gets.
func (v *view) show(to func([]byte, bool) Verdict, piece []byte, end bool) Verdict {
	if v.over {
		return Verdict{}
	}
	if v.hold == 0 {
		v.over = end
		return to(piece, end)
	}
	// These are the held bytes; another stage may have asked for more.
	first, rest := piece[:min(len(piece), v.hold)], piece[min(len(piece), v.hold):]
	v.hold = 0
	whole := end && len(rest) == 0
	said := to(first, whole)
	if v.over = whole || !said.Watch; said.ends() || v.over || len(rest) == 0 {
		return said
	}
	v.over = end
	return to(rest, end)
}

// done lets the stages add to the record, and ends their part.
func (s stages) done(r *telemetry.Record) {
	for i := range s {
		if w, ok := s[i].Stage.(Recorder); ok {
			w.Record(r)
		}
		s[i].Done()
	}
}

// onResponseTrailers tells of response trailers, as onTrailers does.
func (s stages) onResponseTrailers() (send bool) {
	send = true
	for i := range s {
		if t, ok := s[i].Stage.(ResponseTrailerStage); ok && !t.OnResponseTrailers() {
			send = false
		}
	}
	return send
}

// onTrailers tells of request trailers; false when a stage wants them dropped.
func (s stages) onTrailers() (send bool) {
	send = true
	for i := range s {
		if t, ok := s[i].Stage.(TrailerStage); ok && !t.OnTrailers() {
			send = false
		}
	}
	return send
}
