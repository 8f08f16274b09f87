package l7

import (
	"bytes"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/cache"
)

// Caching is how the responses of a target are cached.
type Caching struct {
	Cache     *cache.Cache
	Policy    cache.Policy
	MaxObject int // bytes of a body
	// ID tells the responses of targets apart that share the cache, over
	// reloads. A listener is a part of it.
	ID string
}

const (
	// collapseWait is how long a request waits for the response to another.
	collapseWait = int64(5 * time.Second)
	// maxWaits bounds how often it does, when clients leave whose requests
	// others wait for.
	maxWaits = 8
)

// caching is what a request has to do with a cache. It is kept with its flow;
// that its memory is used again makes a hit cheap.
type caching struct {
	f     *flow
	rule  *Caching
	query cache.Query
	asked cache.Asked
	says  cache.Directives

	// What the client asks for on a condition, or in part; its fields are
	// dropped when the whole response is asked for.
	noneMatch [][]byte
	since     []byte
	ifRange   []byte
	byteRange []byte

	lookUp  bool // the request may be answered from the cache
	plain   bool // it says nothing that is not in the key: its response may be stored
	several bool // ranges
	waited  bool // for the response to another request
	pass    bool // the last response could not be stored
	behind  bool // nobody waits for the response

	arrived int64
	entry   *cache.Entry  // stale; the response is better, or says that it is good
	flight  *cache.Flight // led by this request
	capture *cache.Capture
	epoch   uint32
	sent    int64 // when the backend was asked
	asking  bool  // it has not answered yet
	ifStale bool  // it was asked whether the entry is good
	again   bool  // it has answered, but not that
	stores  bool  // its response is stored, if it may be

	next  sink // behind the capture
	muted bool // the client has its answer; only the capture goes on
	shown int  // bytes of the capture that the client has

	result cache.Result
}

// throughCache answers a request of a target that has a cache. path is the one
// that the client asked for, if no rewrite has changed it.
func (f *flow) throughCache(l load, path httpmsg.Span) {
	c := f.beginCaching(path)
	defer f.endCaching()
	switch {
	case !c.lookUp:
		c.result = cache.Bypass
		f.exchange(l)
	case !f.fromCache():
		f.fetch(l)
	}
}

// beginCaching reads what the request says to a cache.
func (f *flow) beginCaching(path httpmsg.Span) *caching {
	c := f.cacheMemory
	if c == nil {
		c = &caching{}
		f.cacheMemory = c
	}
	*c = caching{f: f, rule: f.target.Caching, noneMatch: c.noneMatch[:0],
		query: cache.Query{Key: c.query.Key[:0], Extra: c.query.Extra[:0], Fields: &f.req.Fields}}
	f.caching = c
	c.arrived = stream.Now()
	q := f.req
	c.says = cache.DirectivesOf(&q.Fields)
	if c.rule.Policy.IgnoreClientNoCache {
		c.says.Ignore(cache.NoCache | cache.MaxAge | cache.MinFresh)
	}
	c.asked = cache.Asked{Method: q.Method, Known: f.known || f.cert != nil && len(f.cert.Shown) > 0, NoStore: c.says.Has(cache.NoStore)}
	matched := c.readFields()
	c.makeKey(path)
	hosted := q.HostName.Len > 0 && q.Form != httpmsg.AsteriskForm
	bodiless := q.Body == httpmsg.BodyNone || q.Body == httpmsg.BodyLength && q.ContentLength == 0
	c.lookUp = hosted && bodiless && !matched && q.UpgradeTo.Len == 0 && (q.Method == httpmsg.GET || q.Method == httpmsg.HEAD)
	return c
}

// readFields finds the fields that matter to a cache; matched reports one that
// only the backend can judge (RFC 9110 13.1.1, 13.1.4).
func (c *caching) readFields() (matched bool) {
	for i := range c.f.req.Len() {
		id, name, value, ok := c.f.req.At(i)
		switch {
		case !ok:
		case id == httpmsg.Cookie:
			c.asked.Cookies = true
		case id == httpmsg.Authorization:
			c.asked.Known = true
		case id != httpmsg.Other:
		case httpmsg.EqualFold(name, "if-none-match"):
			c.noneMatch = append(c.noneMatch, value)
		case httpmsg.EqualFold(name, "if-modified-since"):
			c.since = value
		case httpmsg.EqualFold(name, "if-range"):
			c.ifRange = value
		case httpmsg.EqualFold(name, "range"):
			c.byteRange = value
		case httpmsg.EqualFold(name, "if-match"), httpmsg.EqualFold(name, "if-unmodified-since"):
			matched = true
		}
	}
	if c.asked.Method != httpmsg.GET {
		c.byteRange = nil // RFC 9110 14.2
	}
	return matched
}

// endCaching ends what the request had to do with the cache.
func (f *flow) endCaching() {
	c := f.caching
	if c == nil {
		return
	}
	f.caching = nil
	if c.capture != nil {
		c.capture.Close()
	}
	if c.entry != nil {
		c.entry.Release()
	}
	if c.flight != nil {
		outcome := cache.Useless
		if f.rec.Termination[0] == 'C' {
			outcome = cache.Left
		}
		c.flight.End(outcome) // unless it has ended
	}
	c.rule.Cache.Count(c.result)
	f.rec.CacheResult = c.result.String()
	*c = caching{noneMatch: c.noneMatch[:0], query: cache.Query{Key: c.query.Key, Extra: c.query.Extra}}
	clear(c.noneMatch[:cap(c.noneMatch)])
}

// makeKey makes the key of the request: the URI that was asked for, and apart
// from it where that was routed to and what else the backend is told that may
// change its response (hostile-input rows 69 and 70).
func (c *caching) makeKey(path httpmsg.Span) {
	f, q := c.f, c.f.req
	asked, query, hasQuery := q.Bytes(path), q.Bytes(q.Query), q.HasQuery
	if q.Rewritten {
		asked, _, _ = f.canonicalPath()
		_, query, hasQuery = bytes.Cut(q.Bytes(q.Target), []byte{'?'})
	}
	c.plain = plainAuthority(f) && plainPath(q.Bytes(q.RawPath), asked)
	rule := c.rule.Cache.Rule()
	key := cache.AppendURI(c.query.Key, f.secure, q.Bytes(q.HostName), q.Port, asked)
	c.query.Key = rule.AppendQuery(key, query, hasQuery)

	extra := append(append(c.query.Extra, c.rule.ID...), 0)
	if q.Rewritten || q.Path != path {
		extra = append(append(append(extra, q.Bytes(q.Path)...), '?'), q.Bytes(q.Query)...)
	}
	extra = append(extra, 0)
	if f.rewriting && f.rewrite.SetHost {
		extra = append(extra, q.Bytes(f.rewrite.Host)...)
	}
	if f.trusted {
		extra = appendTrusted(extra, q)
	}
	c.query.Extra = rule.AppendHeaders(extra, &q.Fields)
}

// appendTrusted appends what a trusted proxy says of the URI.
func appendTrusted(dst []byte, q *httpmsg.Request) []byte {
	for i := range q.Len() {
		id, name, value, ok := q.At(i)
		switch {
		case !ok:
		case id == httpmsg.XForwardedHost, id == httpmsg.XForwardedProto, id == httpmsg.XForwardedPort,
			id == httpmsg.Other && httpmsg.EqualFold(name, "x-forwarded-prefix"):
			dst = append(append(append(dst, 0, byte(id)), value...), 0)
		}
	}
	return dst
}

// plainAuthority reports whether the host is written as in the key: backends
// are told how the client wrote it (X-Forwarded-Host).
func plainAuthority(f *flow) bool {
	said, name := f.req.Bytes(f.req.Authority), f.req.Bytes(f.req.HostName)
	return f.canonicalHost() && (len(said) == len(name) || said[len(name)+1] != '0')
}

// plainPath reports whether the path was written as in the key, but for the
// case of the digits of an encoding: backends are told that (X-Original-URL).
func plainPath(raw, path []byte) bool { return httpmsg.EqualFoldBytes(raw, path) }

// fromCache answers a request from the cache, perhaps after a wait for the
// response to another one. Not so if it has to be sent on.
func (f *flow) fromCache() bool {
	c := f.caching
	for round := 0; ; round++ {
		if f.tryEntry() {
			return true
		}
		if c.says.Has(cache.OnlyIfCached) { // RFC 9111 5.2.1.7
			c.result = cache.Unavailable
			f.refuse(504, "not in the cache, and only-if-cached", "")
			return true
		}
		if !c.mayWait() || round == maxWaits {
			return false
		}
		flight, leads := c.rule.Cache.Join(&c.query)
		if leads {
			c.flight = flight
			if !f.tryEntry() {
				return false
			}
			flight.End(cache.Stored) // it has come just now
			return true
		}
		again, answered := f.await(flight)
		if !again {
			return answered
		}
	}
}

// mayWait reports whether the request may use the response to another that has
// not come yet. One that says who it is from mostly gets one of its own.
func (c *caching) mayWait() bool {
	return c.asked.Method == httpmsg.GET && c.plain && !c.pass && !c.several && !c.asked.NoStore && !c.asked.Known &&
		(c.byteRange == nil || c.entry != nil)
}

// tryEntry answers from the cache if there is a response that may be used
// without asking. One that may not is kept.
func (f *flow) tryEntry() bool {
	c := f.caching
	now := stream.Now()
	e := c.rule.Cache.Lookup(&c.query)
	if e == nil {
		return false
	}
	if e.Pass() {
		c.pass = e.TTL(now) > 0
		e.Release()
		return false
	}
	use := e.Judge(&c.says, now)
	if use == cache.Validate && c.waited && e.ReceivedSince(c.arrived) {
		use = cache.Fresh // to whoever has waited for it
	}
	if kind, _, _ := c.rangeOf(e); kind == cache.RangeSeveral {
		c.several = true
		e.Release()
		return false
	}
	if use == cache.Validate {
		if c.entry != nil {
			c.entry.Release()
		}
		c.entry = e
		return false
	}
	if use == cache.Background {
		f.revalidate(e)
	}
	f.sendEntry(e, hitOf(use, c.waited))
	e.Release()
	return true
}

func hitOf(use cache.Use, waited bool) cache.Result {
	switch {
	case waited:
		return cache.Collapsed
	case use == cache.Fresh:
		return cache.Hit
	}
	return cache.HitStale
}

// await waits for the response that another request is getting. again says
// that it is there, or that somebody else has to ask; answered, that there is
// nothing left to do.
func (f *flow) await(flight *cache.Flight) (again, answered bool) {
	c := f.caching
	left := collapseWait - (stream.Now() - c.arrived)
	short := time.NewTimer(time.Duration(min(patience, max(left, 0))))
	defer short.Stop()
	select {
	case <-flight.Done():
	case <-short.C:
		if gone := f.awaitWatching(flight, time.Duration(left-patience)); gone {
			flight.Leave(false)
			f.clientLeft('Q')
			return false, true
		}
	}
	select {
	case <-flight.Done():
	default:
		flight.Leave(true)
		return false, false
	}
	flight.Leave(false)
	c.waited = flight.Outcome() == cache.Stored
	return flight.Outcome() != cache.Useless, false
}

// awaitWatching waits with an eye on the client.
func (f *flow) awaitWatching(flight *cache.Flight, most time.Duration) (gone bool) {
	left := make(chan struct{})
	f.x.Watch(func() { close(left) })
	long := time.NewTimer(max(most, 0))
	defer long.Stop()
	select {
	case <-flight.Done():
	case <-long.C:
	case <-left:
	}
	return f.x.Unwatch()
}

// rangeOf is the range of an entry that the client asks for.
func (c *caching) rangeOf(e *cache.Entry) (kind cache.RangeKind, from, to int) {
	if c.byteRange == nil || e.Status() != 200 || !e.MayRange(c.ifRange) {
		return cache.RangeNone, 0, 0
	}
	return cache.RangeOf(c.byteRange, len(e.Body()))
}

// failOver sends a stale response instead of an error that a backend is to
// blame for, where that may be (RFC 5861 4).
func (f *flow) failOver(status int, reason, info string) bool {
	if !f.caching.asking || !f.caching.mayFailOver(status) {
		return false
	}
	f.sendStale(reason, info)
	return true
}

// mayFailOver reports whether a stale response may be sent instead of one with
// a status.
func (c *caching) mayFailOver(status int) bool {
	return c.entry != nil && !c.behind && !c.f.x.Started() && (status == 500 || status >= 502 && status <= 504) &&
		c.entry.MayFailOver(&c.says, stream.Now())
}

// sendStale sends it, and says why.
func (f *flow) sendStale(reason, info string) {
	f.caching.asking = false
	f.rec.Reason, f.rec.ErrorInfo = reason+"; a stale response was sent", info
	f.sendEntry(f.caching.entry, cache.HitStale)
}
