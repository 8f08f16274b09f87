package l7

import (
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/cache"
)

// fetch asks a backend, and stores what it says.
func (f *flow) fetch(l load) {
	c := f.caching
	switch {
	case c.several:
		c.result = cache.Bypass
	case c.entry != nil:
		c.result = cache.Expired
	default:
		c.result = cache.Miss
	}
	c.stores = c.asked.Method == httpmsg.GET && c.plain && !c.several && !c.asked.NoStore && (c.byteRange == nil || c.entry != nil)
	if (c.stores || c.entry != nil) && !c.several && !(c.pass && c.entry == nil) {
		c.askForAll()
	}
	c.ask(l)
	if c.again { // the 304 was about another response
		c.again, c.ifStale = false, false
		c.entry.Release()
		c.entry = nil
		dropConditions(f.req)
		f.endAttempts() // it has no place in its pool any more: that is for the next one
		c.ask(l)
	}
}

func (c *caching) ask(l load) {
	c.epoch = c.rule.Cache.Epoch(&c.query)
	c.sent, c.asking = stream.Now(), true
	c.f.exchange(l)
	c.asking = false
}

// askForAll makes the request one for the whole response, or for whether the
// stored one is good (RFC 9111 4.3.1). The client's own conditions are judged
// by the outcome. Where nothing is stored, they are left to the backend.
func (c *caching) askForAll() {
	q := c.f.req
	dropConditions(q)
	if c.entry == nil {
		return
	}
	if tag := c.entry.ETag(); tag != nil {
		q.Add(httpmsg.Other, q.KeepString("If-None-Match"), q.Keep(tag))
		c.ifStale = true
	}
	if modified := c.entry.LastModified(); modified != nil {
		q.Add(httpmsg.Other, q.KeepString("If-Modified-Since"), q.Keep(modified))
		c.ifStale = true
	}
}

// dropConditions drops what makes a response less than the whole one.
func dropConditions(q *httpmsg.Request) {
	for i := range q.Len() {
		id, name, _, ok := q.At(i)
		if ok && id == httpmsg.Other && (httpmsg.EqualFold(name, "range") || httpmsg.EqualFold(name, "if-range") ||
			httpmsg.EqualFold(name, "if-none-match") || httpmsg.EqualFold(name, "if-modified-since")) {
			q.DeleteAt(i)
		}
	}
}

// cacheAnswer does what a cache does with the head of a backend's response. It
// reports whether the client has been answered, or will be.
func (f *flow) cacheAnswer(t *Transport, r *httpmsg.Response) (done bool) {
	c := f.caching
	c.asking = false
	times := cache.Times{Asked: c.sent, Received: f.answered, Wall: time.Unix(0, stream.WallAt(f.answered))}
	switch {
	case !safe(c.asked.Method):
		c.invalidate(r)
	case c.ifStale && r.Status == 304:
		c.validated(t, r, &times)
		return true
	case c.mayFailOver(r.Status):
		f.drop(t)
		f.sendStale("the backend failed", "")
		return true
	case c.asked.Method == httpmsg.HEAD && c.entry != nil:
		c.headAnswered(r, &times)
	case c.stores:
		c.begin(r, &times)
	}
	c.addForwardStatus(r)
	return false
}

// safe reports whether a method changes nothing (RFC 9110 9.2.1).
func safe(m httpmsg.Method) bool {
	return m == httpmsg.GET || m == httpmsg.HEAD || m == httpmsg.OPTIONS || m == httpmsg.TRACE
}

// invalidate removes what a request may have changed (RFC 9111 4.4).
func (c *caching) invalidate(r *httpmsg.Response) {
	if r.Status < 200 || r.Status >= 400 {
		return
	}
	c.rule.Cache.Invalidate(c.query.Key)
	for i := range r.Len() {
		id, name, value, ok := r.At(i)
		if !ok || id != httpmsg.Location && !httpmsg.EqualFold(name, "content-location") {
			continue
		}
		if key := c.rule.Cache.SameOrigin(c.query.Key, value); key != nil {
			c.rule.Cache.Invalidate(key)
		}
	}
}

// validated sends the stored response, which the backend says is good.
func (c *caching) validated(t *Transport, r *httpmsg.Response, times *cache.Times) {
	f := c.f
	if !c.entry.Confirms(r) {
		c.rule.Cache.Forget(c.entry)
		c.again = true
		f.delivered(t, r, true)
		return
	}
	asked := c.asked
	asked.Method = httpmsg.GET // what is stored is the answer to one
	if e := c.rule.Cache.Renewed(c.entry, &c.query, &asked, r, &c.rule.Policy, times, c.epoch); e != nil {
		c.entry.Release()
		c.entry = e
		c.endFlight(cache.Stored)
	}
	f.delivered(t, r, true)
	if !c.behind {
		f.sendEntry(c.entry, cache.Revalidated)
	}
}

// headAnswered updates, or gives up, a stored response by what a HEAD request
// brought (RFC 9111 4.3.5).
func (c *caching) headAnswered(r *httpmsg.Response, times *cache.Times) {
	if r.Status != 200 || !c.entry.SameAs(r) {
		c.rule.Cache.Forget(c.entry)
		return
	}
	asked := c.asked
	asked.Method = httpmsg.GET
	if e := c.rule.Cache.Renewed(c.entry, &c.query, &asked, r, &c.rule.Policy, times, c.epoch); e != nil {
		e.Release()
	}
}

// begin begins to take the response down, or tells those who wait that it is
// not for them.
func (c *caching) begin(r *httpmsg.Response, times *cache.Times) {
	if c.capture = c.rule.Cache.Capture(&c.query, &c.asked, r, &c.rule.Policy, times, c.epoch, c.rule.MaxObject); c.capture == nil {
		if c.flight != nil {
			c.rule.Cache.MarkPass(&c.query, times.Received)
		}
		c.endFlight(cache.Useless)
	}
}

func (c *caching) endFlight(o cache.Outcome) {
	if c.flight != nil {
		c.flight.End(o)
	}
}

// captureResponse puts the cache between the response and what changes it on its way to
// the client.
func (f *flow) captureResponse() {
	if c := f.caching; c != nil && c.capture != nil {
		c.next, f.to = f.to, c
	}
}

// Respond implements sink.
func (c *caching) Respond(r *httpmsg.Response, body []byte, end bool) error {
	keeps := c.capture.Write(body)
	if end || r.Status == 204 {
		c.commit()
	}
	if keeps && c.capture.Whole() && c.capture.Entry().NotModified(c.noneMatch, c.since) {
		c.muted = true
		return c.respondNotModified(r)
	}
	c.shown = len(body)
	return c.next.Respond(r, body, end)
}

// respondNotModified answers a client that has the response; its body is for
// the cache only. The flow goes by the status that the backend gave.
func (c *caching) respondNotModified(r *httpmsg.Response) error {
	status, body, length := r.Status, r.Body, r.ContentLength
	notModified(r)
	c.f.rec.Status = 304
	err := c.next.Respond(r, nil, true)
	r.Status, r.Body, r.ContentLength = status, body, length
	return err
}

// WriteBody implements sink. While others wait for the end, what comes is not
// sent: how fast a client reads is its own affair, and not theirs.
func (c *caching) WriteBody(p []byte) error {
	keeps := c.capture.Write(p)
	switch {
	case c.muted:
		return nil
	case keeps && c.flight != nil && c.flight.Waiting() > 0:
		return nil
	case !keeps:
		c.endFlight(cache.Useless)
	}
	if err := c.catchUp(keeps, len(p)); err != nil {
		return err
	}
	c.shown += len(p)
	return c.next.WriteBody(p)
}

// catchUp sends what was held back, but for the last piece, which the capture
// may have.
func (c *caching) catchUp(has bool, last int) error {
	all := c.capture.Bytes()
	if has {
		all = all[:len(all)-last]
	}
	if c.shown >= len(all) {
		return nil
	}
	late := all[c.shown:]
	c.shown = len(all)
	return c.next.WriteBody(late)
}

// Finish implements sink.
func (c *caching) Finish(trailers *httpmsg.Fields) error {
	c.commit()
	if c.muted {
		return nil
	}
	if err := c.catchUp(false, 0); err != nil {
		return err
	}
	return c.next.Finish(trailers)
}

// Direct implements sink: what is taken down has to be seen.
func (c *caching) Direct() *stream.Conn { return nil }

// Moved implements sink.
func (c *caching) Moved(int64) {}

// commit stores the response, which is whole.
func (c *caching) commit() {
	if c.capture.Commit() {
		c.endFlight(cache.Stored)
		return
	}
	c.endFlight(cache.Useless)
}
