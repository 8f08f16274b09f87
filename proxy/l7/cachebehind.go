package l7

import (
	"errors"
	"sync"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/cache"
)

const (
	// maxBehind bounds the validations that nobody waits for, of all caches
	// together. One too many is left to the next request.
	maxBehind = 256
	// behindTime bounds each of them: a backend that dribbles keeps nobody.
	behindTime = int64(time.Minute)
)

// behind is the validations under way that nobody waits for.
type behind struct {
	mu      sync.Mutex
	n       int
	stopped bool
	watched map[*nobody]func() // how each is interrupted
	done    sync.WaitGroup
}

// begin counts one in; false if there are too many, or the gateway stops.
func (b *behind) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.n == maxBehind {
		return false
	}
	b.n++
	b.done.Add(1)
	return true
}

func (b *behind) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n--
	b.done.Done()
}

// stop interrupts all of them and waits for their ends. There are no more.
func (b *behind) stop() {
	b.mu.Lock()
	b.stopped = true
	for x, interrupt := range b.watched {
		x.gone = true
		interrupt()
	}
	clear(b.watched)
	b.mu.Unlock()
	b.done.Wait()
}

// revalidate asks the backend whether a stale response is good while the client
// gets it (RFC 5861 3), unless somebody does already.
func (f *flow) revalidate(e *cache.Entry) {
	c := f.caching
	flight, leads := c.rule.Cache.Join(&c.query)
	if !leads {
		flight.Leave(false)
		return
	}
	if !f.gw.behind.begin() {
		flight.End(cache.Useless)
		return
	}
	c.rule.Cache.CountBackground()
	b := f.behindOf(e, flight)
	go b.runBehind()
}

// behindOf makes a flow with a request of its own that says the same.
func (f *flow) behindOf(e *cache.Entry, flight *cache.Flight) *flow {
	x := &nobody{gw: f.gw, began: stream.Now()}
	x.req.Clone(f.req)
	b := newFlow(f.gw)
	b.x, b.to, b.req = x, x, &x.req
	b.shard, b.secure, b.proto, b.trusted, b.client = f.shard, f.secure, f.proto, f.trusted, f.client
	b.first, b.listener, b.target = f.first, f.listener, f.target
	b.snap, b.lent = f.snap, true
	b.snap.refs[b.shard%refShards].n.Add(1) // f has it
	b.began = x.began
	b.rec.Reset()
	b.rec.TraceID = f.rec.TraceID
	if b.rewriting = f.rewriting && f.rewrite.SetHost; b.rewriting {
		b.rewrite.SetHost, b.rewrite.Host = true, f.rewrite.Host
	}
	c := f.caching
	b.cacheMemory = &caching{f: b, rule: c.rule, asked: c.asked, plain: c.plain, arrived: x.began, behind: true,
		entry: e.Again(), flight: flight, query: cache.Query{Fields: &x.req.Fields,
			Key: append([]byte(nil), c.query.Key...), Extra: append([]byte(nil), c.query.Extra...)}}
	b.cacheMemory.asked.Method = httpmsg.GET
	x.req.Method, x.req.MethodText = httpmsg.GET, x.req.KeepString("GET") // a HEAD may have brought it about
	b.caching = b.cacheMemory
	x.caching = b.caching
	return b
}

// runBehind asks, and stores the response. There is no line in the access log:
// no client asked.
func (f *flow) runBehind() {
	g := f.gw
	defer g.behind.end()
	defer f.letGo()
	defer f.endBehind()
	defer g.survive(f.giveUp)
	f.fetch(load{whole: true})
	f.endAttempts()
}

// endBehind is endCaching without counting a request.
func (f *flow) endBehind() {
	c := f.caching
	f.caching = nil
	if c.capture != nil {
		c.capture.Close()
	}
	if c.entry != nil {
		c.entry.Release()
	}
	c.flight.End(cache.Useless)
}

// nobody is the client of a request that the gateway sends of its own accord:
// an Exchange whose response goes no further than the cache.
type nobody struct {
	gw      *Gateway
	req     httpmsg.Request
	caching *caching
	began   int64
	started bool
	gone    bool // the gateway stops; guarded by behind.mu
}

// errNobody ends a response that nobody wants.
var errNobody = errors.New("the response is not for the cache, or takes too long")

func (x *nobody) Request() *httpmsg.Request { return &x.req }

// Respond implements sink: for a response that is not stored, nobody is there.
func (x *nobody) Respond(*httpmsg.Response, []byte, bool) error {
	x.started = true
	return x.WriteBody(nil)
}

func (x *nobody) WriteBody([]byte) error {
	if x.caching.capture == nil || stream.Now() > x.began+behindTime {
		return errNobody
	}
	return nil
}

// Watch implements Exchange; who leaves is the gateway.
func (x *nobody) Watch(onGone func()) {
	b := &x.gw.behind
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		x.gone = true
		onGone()
		return
	}
	if b.watched == nil {
		b.watched = map[*nobody]func(){}
	}
	b.watched[x] = onGone
}

// Unwatch implements Exchange.
func (x *nobody) Unwatch() bool {
	b := &x.gw.behind
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watched, x)
	return x.gone
}

func (x *nobody) Gone() bool {
	x.gw.behind.mu.Lock()
	defer x.gw.behind.mu.Unlock()
	return x.gone
}

func (x *nobody) Finish(*httpmsg.Fields) error             { return nil }
func (x *nobody) Direct() *stream.Conn                     { return nil }
func (x *nobody) Moved(int64)                              {}
func (x *nobody) Inform(*httpmsg.Response) error           { return nil }
func (x *nobody) Started() bool                            { return x.started }
func (x *nobody) CloseAfter()                              {}
func (x *nobody) Retire()                                  {}
func (x *nobody) Abort()                                   {}
func (x *nobody) Spoil()                                   {}
func (x *nobody) Received() int64                          { return 0 }
func (x *nobody) Sent() int64                              { return 0 }
func (x *nobody) HoldBody(int, bool) ([]byte, bool, error) { return nil, true, nil }
func (x *nobody) ReadBody() ([]byte, error)                { return nil, errNobody }
func (x *nobody) Trailers(*httpmsg.Fields)                 {}
func (x *nobody) BodyDone() bool                           { return true }
func (x *nobody) Awaits100() bool                          { return false }
func (x *nobody) Continue() error                          { return nil }
func (x *nobody) KeepFromContinue()                        {}
func (x *nobody) InterruptBody()                           {}
func (x *nobody) ResumeBody()                              {}
func (x *nobody) Switch(*httpmsg.Response, []byte) (stream.Tunnel, []byte, error) {
	return nil, nil, errNobody
}
