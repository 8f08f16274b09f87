package cache

import (
	"time"

	"gatehouse/internal/httpmsg"
)

// passTime is how long requests do not wait for each other after a response
// that could not be stored.
const passTime = 60 * time.Second

// Capture takes a response down while it passes by.
type Capture struct {
	entry    *Entry
	buf      []byte
	reserved int64 // for buf
	most     int
	since    uint32
	length   int64 // of the whole body; -1: not known
	failed   bool  // or it is done
}

// Epoch is how often responses for a query were invalidated. It is asked for
// before the backend is, and tells whether the response is still good when it
// has come.
func (c *Cache) Epoch(q *Query) uint32 { return c.epoch(c.hash(q.Key)).Load() }

// Capture begins to take down a response to a query, if it may be stored (RFC
// 9111 3) and is not known to be too large; else nil.
func (c *Cache) Capture(q *Query, asked *Asked, r *httpmsg.Response, p *Policy, t *Times, since uint32, maxObject int) *Capture {
	s := read(&r.Fields)
	lifetime, ok := s.storable(asked, r.Status, p, t)
	length := int64(-1)
	switch {
	case !ok, r.Body == httpmsg.BodyToClose && r.Status != 204: // nobody knows whether that is whole (3.3)
		return nil
	case r.Body != httpmsg.BodyChunked:
		length = max(r.ContentLength, 0)
	}
	if length > int64(maxObject) {
		return nil
	}
	e := &Entry{home: c, key: string(q.Key), extra: string(q.Extra), status: r.Status, content: &content{}, received: t.Received}
	e.refs.Store(1)
	e.content.refs.Store(1)
	if e.vary = selected(&r.Fields, q.Fields); len(e.vary) > maxVary {
		return nil
	}
	e.keep(&r.Fields, &s.cc)
	if !s.dated {
		e.add(httpmsg.Date, []byte("Date"), t.Wall.UTC().AppendFormat(nil, dateLayouts[0])) // RFC 9110 6.6.1
	}
	e.age(&s, p, t, lifetime)
	e.finish()
	k := &Capture{entry: e, most: maxObject, since: since, length: length}
	if !c.reserve(e.size) {
		return nil
	}
	if length > 0 && !k.grow(int(length)) {
		k.Close()
		return nil
	}
	return k
}

// age sets how long an entry may be used.
func (e *Entry) age(s *said, p *Policy, t *Times, lifetime int64) {
	e.received, e.initialAge, e.lifetime = t.Received, s.initialAge(t), lifetime
	e.noCache = s.cc.Has(NoCache)
	e.sMaxAge = s.cc.Has(SMaxAge)
	e.mustRevalidate = s.cc.Has(MustRevalidate | ProxyRevalidate)
	e.whileRevalidate, e.ifError = int64(p.StaleWhileRevalidate), int64(p.StaleIfError)
	if e.sMaxAge { // no stale responses, unless this one says so itself (RFC 9111 5.2.2.10)
		e.whileRevalidate, e.ifError = 0, 0
	}
	if s.cc.Has(StaleWhileRevalidate) {
		e.whileRevalidate = s.cc.StaleWhileRevalidate * second
	}
	if s.cc.Has(StaleIfError) {
		e.ifError = s.cc.StaleIfError * second
	}
}

// grow makes room for n bytes in all. Old and new memory count, as both are
// there for a moment.
func (k *Capture) grow(n int) bool {
	c := k.entry.home
	if !c.reserve(int64(n)) {
		return false
	}
	buf := make([]byte, len(k.buf), n)
	copy(buf, k.buf)
	c.used.Add(-k.reserved)
	k.buf, k.reserved = buf, int64(n)
	return true
}

// Write takes down a piece of the body; false when the response is too large:
// it cannot be stored any more.
func (k *Capture) Write(p []byte) bool {
	need := len(k.buf) + len(p)
	if k.failed || need > cap(k.buf) && (need > k.most || k.length >= 0 || !k.grow(min(max(need, 2*cap(k.buf), 4<<10), k.most))) {
		k.failed = true
		return false
	}
	k.buf = append(k.buf, p...)
	return true
}

// Bytes is what has been taken down, until Close.
func (k *Capture) Bytes() []byte { return k.buf }

// Entry is the response, until Close; before Commit without its body.
func (k *Capture) Entry() *Entry { return k.entry }

// Whole reports whether the length of the body is known before it has come.
func (k *Capture) Whole() bool { return k.length >= 0 }

// Commit puts the response, which is whole, into the cache; false if it is too
// large, or was invalidated meanwhile.
func (k *Capture) Commit() bool {
	if k.failed || k.length > int64(len(k.buf)) || cap(k.buf) > len(k.buf) && !k.grow(len(k.buf)) {
		k.failed = true
		return false
	}
	e := k.entry
	e.content.bytes, k.reserved = k.buf[:len(k.buf):len(k.buf)], 0
	e.refs.Add(1)
	k.failed = true // nothing more is taken down
	if !e.home.put(e, k.since) {
		return false
	}
	e.home.stats.stores.Add(1)
	return true
}

// Close ends the capture. What was not committed is given up.
func (k *Capture) Close() {
	k.entry.home.used.Add(-k.reserved)
	k.buf, k.reserved = nil, 0
	k.entry.Release()
}

// MarkPass notes that the last response to a query could not be stored:
// requests for it do not wait for each other for a while.
func (c *Cache) MarkPass(q *Query, now int64) {
	e := &Entry{home: c, key: string(q.Key), extra: string(q.Extra), pass: true, received: now, lifetime: int64(passTime)}
	e.refs.Store(1)
	e.measure()
	if c.reserve(e.size) {
		c.put(e, c.Epoch(q))
	}
}
