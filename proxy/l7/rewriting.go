package l7

import (
	"errors"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/l7/rewrite"
)

var (
	errRewrittenDots = &rewrite.Refusal{Status: 400, Reason: "rewrite: dot segment in the new path"}
	errRewrittenLong = &rewrite.Refusal{Status: 414, Reason: "rewrite: the URL becomes too long"}
	errRewriteLoop   = &rewrite.Refusal{Status: 500, Reason: "rewrite: the path map was to be looked at a third time"}
)

// rewriteRequest runs the rewrite set of the target, and that of the target
// that a new path leads to; false when the request was refused. Fields are not
// changed before Apply.
func (f *flow) rewriteRequest() bool {
	if why := f.runRewrites(); why != nil {
		info := telemetry.ErrorInfoInvalidHeader
		switch {
		case why.Status == 500:
			info = "" // as Azure has none for a loop
		case f.rewrite.SetPath || f.rewrite.SetQuery:
			info = telemetry.ErrorInfoRequestURIInvalid
		}
		f.refuse(why.Status, why.Reason, info)
		return false
	}
	return true
}

// runRewrites is rewriteRequest without an answer.
func (f *flow) runRewrites() *rewrite.Refusal {
	x := &f.rewrite
	x.Begin(f.req, f.facts(), rewrite.Limits{Fields: f.snap.Limits.HeadBytes, URL: f.snap.Limits.URLBytes})
	f.rewriting = true
	for again := false; f.target.Rewrite != nil && !x.Ran(f.target.Rewrite); again = true {
		if why := asRefusal(x.Request(f.target.Rewrite)); why != nil {
			return why
		}
		if why := f.takeURL(); why != nil {
			return why
		}
		if !x.Reevaluate {
			break
		}
		if again {
			return errRewriteLoop
		}
		if !f.choose() {
			return &rewrite.Refusal{Status: 400, Reason: errPathParams.Error()}
		}
	}
	return f.findPolicies()
}

// asRefusal is an error of package rewrite's.
func asRefusal(err error) *rewrite.Refusal {
	if err == nil {
		return nil
	}
	if why := (*rewrite.Refusal)(nil); errors.As(err, &why) {
		return why
	}
	return &rewrite.Refusal{Status: 500, Reason: err.Error()}
}

// facts is what rewrites know of the request beside its head.
func (f *flow) facts() rewrite.Facts {
	facts := rewrite.Facts{Client: f.client.Addr, Peer: f.client.Peer, Trusted: f.trusted, Secure: f.secure,
		TLSVersion: f.rec.TLSVersion, Cipher: f.rec.Cipher, Port: f.listener.Port, Proto: f.proto, Offered: f.offered, Trips: f.trips, Cert: f.cert}
	if f.x != nil { // there is none to explain
		facts.Received = f.x.Received()
	}
	return facts
}

// takeURL puts the new path and query in the place of those received. The
// path is made canonical once more; it may not climb, and what a request may
// not have it may not have either (hostile-input rows 54 and 57).
func (f *flow) takeURL() *rewrite.Refusal {
	x, q := &f.rewrite, f.req
	if x.SetPath {
		text := q.Bytes(x.Path)
		path, same, err := httpmsg.CanonicalPath(f.scratch[:0], text, f.pathOptions())
		switch {
		case err != nil:
			return &rewrite.Refusal{Status: 400, Reason: "rewrite: " + err.Error()}
		case rewrite.DotSegments(text):
			return errRewrittenDots
		}
		if q.Path = x.Path; !same {
			f.scratch = path
			q.Path = q.Keep(path)
		}
		q.Rewritten = true
	}
	if x.SetQuery {
		q.Query, q.HasQuery, q.Rewritten = x.Query, x.HasQuery, true
	}
	if q.Rewritten && int(q.Path.Len+q.Query.Len)+1 > f.snap.Limits.URLBytes {
		return errRewrittenLong
	}
	return nil
}

// findPolicies finds out whether the new path belongs to another rule than the
// one that serves the request: the firewall policies of both judge it then, so
// that no rewrite leads around one.
func (f *flow) findPolicies() *rewrite.Refusal {
	if !f.req.Rewritten || f.listener.Paths == nil {
		return nil
	}
	t, ambiguous := f.listener.Paths.Find(f.req, f.req.Bytes(f.req.Path), f.trusted)
	if ambiguous {
		return &rewrite.Refusal{Status: 400, Reason: errPathParams.Error()}
	}
	if t != f.target {
		f.also = t
	}
	return nil
}

// rewriteResponse runs the rules of the sets on the response. What it refuses
// is answered when the backend's connection is given up.
func (f *flow) rewriteResponse(r *httpmsg.Response) *rewrite.Refusal {
	if !f.rewriting {
		return nil
	}
	received := f.rewrite.Received
	if f.upload == nil { // else somebody is reading
		received = f.x.Received()
	}
	return asRefusal(f.rewrite.Response(r, received, f.x.Sent(), f.snap.Limits.ResponseHeadBytes))
}

// refuseResponse answers instead of a response that cannot be rewritten.
func (f *flow) refuseResponse(why *rewrite.Refusal) {
	f.rec.Termination = telemetry.Termination{'P', 'H'}
	if !f.x.BodyDone() {
		f.x.CloseAfter()
	}
	f.refuse(why.Status, why.Reason, telemetry.ErrorInfoUpstreamInvalid)
}
