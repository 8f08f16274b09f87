package l7

import (
	"strconv"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/cache"
	"gatehouse/proxy/http1"
)

// sendEntry answers with a stored response, which is as the backend gave it:
// stages see it, and it is rewritten, for each request anew.
func (f *flow) sendEntry(e *cache.Entry, result cache.Result) {
	c := f.caching
	c.result = result
	r := &f.resp
	e.Fill(r)
	setStatus(r, r.Status)
	now := stream.Now()
	addAge(r, e.Age(now))
	c.addHitStatus(r, e, now)
	body := c.shape(r, e)
	v, _ := f.stages.onResponseHead(r)
	if v.ends() {
		f.obey(v, 'H')
		return
	}
	f.prepareResponse(r)
	if why := f.rewriteResponse(r); why != nil {
		f.refuseResponse(why)
		return
	}
	if f.req.Method == httpmsg.HEAD {
		body = nil
	}
	if !f.stagesAllow(body, true) {
		return
	}
	f.rec.Status = r.Status
	f.rec.ContentType, _ = r.Get(httpmsg.ContentType)
	if err := f.to.Respond(r, body, true); err != nil {
		f.rec.Status = 0
		f.notResponded(err)
	}
}

// shape makes of the whole response what the client asked for, and returns the
// body that belongs to it.
func (c *caching) shape(r *httpmsg.Response, e *cache.Entry) []byte {
	if e.NotModified(c.noneMatch, c.since) {
		notModified(r)
		return nil
	}
	kind, from, to := c.rangeOf(e)
	size := len(e.Body())
	switch kind {
	case cache.RangeOne:
		setStatus(r, 206)
	case cache.RangeOutside:
		setStatus(r, 416)
		r.Delete(httpmsg.ContentType)
		r.Delete(httpmsg.ContentEncoding)
	default:
		return e.Body()
	}
	r.Delete(httpmsg.ContentLength)
	a := r.Arena()
	n := len(a)
	value := r.Kept(cache.AppendContentRange(a, from, to, size), n)
	r.Add(httpmsg.Other, r.KeepString("Content-Range"), value)
	r.ContentLength = int64(to - from)
	return e.Body()[from:to]
}

// notModified makes a 304 of a response (RFC 9110 15.4.5).
func notModified(r *httpmsg.Response) {
	setStatus(r, 304)
	r.Body, r.ContentLength = httpmsg.BodyNone, -1
	r.Delete(httpmsg.ContentLength)
	r.Delete(httpmsg.ContentType)
	r.Delete(httpmsg.ContentEncoding)
	r.DeleteName([]byte("Content-Language"))
}

func setStatus(r *httpmsg.Response, status int) {
	r.Status, r.Reason = status, r.KeepString(http1.ReasonPhrase(status))
}

// addAge says how old the response is (RFC 9111 5.1).
func addAge(r *httpmsg.Response, age int64) {
	name := r.KeepString("Age")
	a := r.Arena()
	n := len(a)
	r.Add(httpmsg.Other, name, r.Kept(cache.AppendSeconds(a, age), n))
}

// addHitStatus adds Cache-Status (RFC 9211) to a response from the cache.
func (c *caching) addHitStatus(r *httpmsg.Response, e *cache.Entry, now int64) {
	name := r.KeepString("Cache-Status")
	a := r.Arena()
	n := len(a)
	switch c.result {
	case cache.Collapsed:
		a = append(a, "gatehouse; fwd=miss; collapsed; ttl="...)
	case cache.Revalidated:
		a = append(a, "gatehouse; fwd=stale; fwd-status=304; ttl="...)
	default:
		a = append(a, "gatehouse; hit; ttl="...)
	}
	r.Add(httpmsg.Other, name, r.Kept(cache.AppendSeconds(a, e.TTL(now)), n))
}

// addForwardStatus adds Cache-Status to a response of the backend's.
func (c *caching) addForwardStatus(r *httpmsg.Response) {
	name := r.KeepString("Cache-Status")
	a := r.Arena()
	n := len(a)
	a = append(a, "gatehouse; fwd="...)
	switch {
	case c.asked.Method != httpmsg.GET && c.asked.Method != httpmsg.HEAD:
		a = append(a, "method"...)
	case c.result == cache.Expired:
		a = strconv.AppendInt(append(a, "stale; fwd-status="...), int64(r.Status), 10)
	case c.result == cache.Miss:
		a = append(a, "miss"...)
	default:
		a = append(a, "bypass"...)
	}
	if c.capture != nil {
		a = append(a, "; stored"...)
	}
	r.Add(httpmsg.Other, name, r.Kept(a, n))
}
