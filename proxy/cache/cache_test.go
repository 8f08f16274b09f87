package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
)

// wall is when the tests happen.
var wall = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) string { return wall.Add(d).Format(dateLayouts[0]) }

// fields makes the fields of a message of "Name: value" lines.
func fields(lines ...string) *httpmsg.Fields {
	f := &httpmsg.Fields{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		f.AddString(name, strings.TrimSpace(value))
	}
	return f
}

func response(status int, body string, lines ...string) *httpmsg.Response {
	r := &httpmsg.Response{Fields: *fields(lines...), Status: status, Body: httpmsg.BodyLength, ContentLength: int64(len(body))}
	return r
}

func query(uri string, lines ...string) *Query {
	return &Query{Key: []byte(uri), Extra: []byte("x"), Fields: fields(lines...)}
}

// times are those of a response that came a second after it was asked for.
func times() *Times { return &Times{Asked: 9 * second, Received: 10 * second, Wall: wall} }

// store puts a response into a cache; false if it may not be, or has no room.
func store(c *Cache, q *Query, r *httpmsg.Response, body string, p *Policy) bool {
	k := c.Capture(q, &Asked{Method: httpmsg.GET}, r, p, times(), c.Epoch(q), 1<<20)
	if k == nil {
		return false
	}
	defer k.Close()
	return k.Write([]byte(body)) && k.Commit()
}

func newCache() *Cache { return New("test", 1<<20, KeyRule{}) }

func TestRFC9111Section3WhatMayBeStored(t *testing.T) {
	get := Asked{Method: httpmsg.GET}
	known := Asked{Method: httpmsg.GET, Known: true}
	ttl := Policy{DefaultTTL: time.Minute}
	for _, w := range []struct {
		name   string
		asked  Asked
		status int
		lines  []string
		policy Policy
		want   bool
	}{
		{"max-age", get, 200, []string{"Cache-Control: max-age=5"}, Policy{}, true},
		{"nothing said", get, 200, nil, Policy{}, false},
		{"a default", get, 200, nil, ttl, true},
		{"a default, with cookies", Asked{Method: httpmsg.GET, Cookies: true}, 200, nil, ttl, false},
		{"a default, for an error", get, 404, nil, ttl, false},
		{"a default, for 302", get, 302, nil, ttl, false},
		{"an error that says so", get, 404, []string{"Cache-Control: max-age=5"}, Policy{}, true},
		{"an error with max-age=0", get, 500, []string{"Cache-Control: max-age=0", `ETag: "x"`}, Policy{}, false},
		{"a status that is not known", get, 299, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"206", get, 206, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"401", get, 401, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"another method", Asked{Method: httpmsg.POST}, 200, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"no-store", get, 200, []string{"Cache-Control: no-store, max-age=5"}, Policy{}, false},
		{"no-store asked for", Asked{Method: httpmsg.GET, NoStore: true}, 200, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"must-understand, 5.2.2.3", get, 200, []string{"Cache-Control: must-understand, no-store, max-age=5"}, Policy{}, true},
		{"must-understand of what is not", get, 299, []string{"Cache-Control: must-understand, no-store, max-age=5"}, Policy{}, false},
		{"private", get, 200, []string{"Cache-Control: private, max-age=5"}, Policy{}, false},
		{"private fields", get, 200, []string{`Cache-Control: private="x", max-age=5`}, Policy{}, true},
		{"no-cache with a validator", get, 200, []string{"Cache-Control: no-cache", `ETag: "x"`}, Policy{}, true},
		{"no-cache without", get, 200, []string{"Cache-Control: no-cache"}, Policy{}, false},
		{"3.5", known, 200, []string{"Cache-Control: max-age=5"}, Policy{}, false},
		{"3.5, public", known, 200, []string{"Cache-Control: max-age=5, public"}, Policy{}, true},
		{"3.5, must-revalidate", known, 200, []string{"Cache-Control: max-age=5, must-revalidate"}, Policy{}, true},
		{"3.5, a default", known, 200, []string{"Cache-Control: public"}, ttl, false},
		{"cookie", get, 200, []string{"Cache-Control: max-age=5", "Set-Cookie: a=b"}, Policy{}, false},
		{"cookie named", get, 200, []string{`Cache-Control: max-age=5, no-cache="Set-Cookie"`, "Set-Cookie: a=b"}, Policy{}, true},
		{"Vary *", get, 200, []string{"Cache-Control: max-age=5", "Vary: a, *"}, Policy{}, false},
		{"Vary of too many", get, 200, []string{"Cache-Control: max-age=5", "Vary: " + manyNames(40)}, Policy{}, false},
		{"CDN-Cache-Control, RFC 9213", get, 200, []string{"Cache-Control: no-store", "CDN-Cache-Control: max-age=5"}, Policy{}, true},
		{"CDN-Cache-Control forbids", get, 200, []string{"Cache-Control: max-age=5", "CDN-Cache-Control: no-store"}, Policy{}, false},
		{"CDN-Cache-Control malformed", get, 200, []string{"Cache-Control: no-store", "CDN-Cache-Control: max-age=5; x"}, Policy{}, false},
		{"CDN-Cache-Control empty", get, 200, []string{"Cache-Control: no-store", "CDN-Cache-Control:"}, Policy{}, false},
	} {
		t.Run(w.name, func(t *testing.T) {
			c := newCache()
			k := c.Capture(query("http://a/"), &w.asked, response(w.status, "", w.lines...), &w.policy, times(), 0, 1<<20)
			if (k != nil) != w.want {
				t.Errorf("may be stored: %v", k != nil)
			}
			if k != nil {
				k.Close()
			}
			if c.Stats().Bytes != 0 {
				t.Errorf("%d bytes are left", c.Stats().Bytes)
			}
		})
	}
}

func TestRFC9111Section42FreshnessAndAge(t *testing.T) {
	for _, w := range []struct {
		name     string
		lines    []string
		ttl, age int64 // in seconds, when it has just come
	}{
		{"s-maxage first", []string{"Cache-Control: max-age=5, s-maxage=9", "Expires: " + at(time.Hour)}, 8, 1},
		{"max-age then", []string{"Cache-Control: max-age=5", "Expires: " + at(time.Hour)}, 4, 1},
		{"Expires", []string{"Expires: " + at(time.Minute), "Date: " + at(0)}, 59, 1},
		{"Expires by the server's clock", []string{"Expires: " + at(time.Hour+time.Minute), "Date: " + at(time.Hour)}, 59, 1},
		{"Expires without Date", []string{"Expires: " + at(time.Minute)}, 59, 1},
		{"two Expires", []string{"Expires: " + at(time.Minute), "Expires: " + at(time.Hour)}, 59, 1},
		{"RFC 850", []string{"Expires: Sunday, 01-Mar-26 12:01:00 GMT"}, 59, 1},
		{"asctime", []string{"Expires: Sun Mar  1 12:01:00 2026"}, 59, 1},
		{"Age", []string{"Cache-Control: max-age=60", "Age: 20"}, 39, 21},
		{"Age of nonsense", []string{"Cache-Control: max-age=60", "Age: x"}, 59, 1},
		{"an old Date", []string{"Cache-Control: max-age=60", "Date: " + at(-30*time.Second), "Age: 20"}, 30, 30},
		{"a Date to come", []string{"Cache-Control: max-age=60", "Date: " + at(time.Hour)}, 59, 1},
	} {
		t.Run(w.name, func(t *testing.T) {
			c, q := newCache(), query("http://a/")
			if !store(c, q, response(200, "", w.lines...), "", &Policy{}) {
				t.Fatal("not stored")
			}
			e := c.Lookup(q)
			defer e.Release()
			if age, ttl := e.Age(10*second)/second, e.TTL(10*second)/second; age != w.age || ttl != w.ttl {
				t.Errorf("age %d, fresh for %d; want %d and %d", age, ttl, w.age, w.ttl)
			}
			if age := e.Age(15*second) / second; age != w.age+5 {
				t.Errorf("five seconds later the age is %d", age)
			}
		})
	}
	for _, expires := range []string{"0", "-1", "never", at(-time.Hour)} {
		c, q := newCache(), query("http://a/")
		store(c, q, response(200, "", "Expires: "+expires, `ETag: "x"`), "", &Policy{DefaultTTL: time.Hour})
		if e := c.Lookup(q); e == nil || e.Judge(&Directives{}, 10*second) != Validate {
			t.Errorf("Expires: %s is fresh", expires)
		}
	}
}

func TestRFC9111Section4WhatMayBeUsed(t *testing.T) {
	defaults := Policy{StaleWhileRevalidate: 20 * time.Second}
	for _, w := range []struct {
		name     string
		says     string // the response
		policy   Policy
		asks     string // the request
		age      int64
		want     Use
		failOver bool
	}{
		{"fresh", "max-age=10", Policy{}, "", 9, Fresh, false},
		{"stale when the age is the lifetime", "max-age=10", Policy{}, "", 10, Validate, false},
		{"no-cache", "no-cache, max-age=10", Policy{}, "", 1, Validate, false},
		{"no-cache asked for", "max-age=10", Policy{}, "no-cache", 1, Validate, false},
		{"max-age", "max-age=10", Policy{}, "max-age=5", 5, Fresh, false},
		{"over max-age", "max-age=10", Policy{}, "max-age=5", 6, Validate, false},
		{"min-fresh", "max-age=10", Policy{}, "min-fresh=5", 5, Fresh, false},
		{"under min-fresh", "max-age=10", Policy{}, "min-fresh=5", 6, Validate, false},
		{"max-stale", "max-age=10", Policy{}, "max-stale=5", 15, Stale, false},
		{"over max-stale", "max-age=10", Policy{}, "max-stale=5", 16, Validate, false},
		{"max-stale of any age", "max-age=10", Policy{}, "max-stale", 1000, Stale, false},
		{"max-stale, must-revalidate", "max-age=10, must-revalidate", Policy{}, "max-stale", 11, Validate, false},
		{"max-stale, proxy-revalidate", "max-age=10, proxy-revalidate", Policy{}, "max-stale", 11, Validate, false},
		{"max-stale, s-maxage", "s-maxage=10", Policy{}, "max-stale", 11, Validate, false},
		{"while-revalidate", "max-age=10, stale-while-revalidate=5", Policy{}, "", 15, Background, false},
		{"too late", "max-age=10, stale-while-revalidate=5", Policy{}, "", 16, Validate, false},
		{"by default", "max-age=10", defaults, "", 30, Background, false},
		{"by default, but said otherwise", "max-age=10, stale-while-revalidate=0", defaults, "", 11, Validate, false},
		{"by default, s-maxage", "s-maxage=10", defaults, "", 11, Validate, false},
		{"said, s-maxage", "s-maxage=10, stale-while-revalidate=5", defaults, "", 11, Background, false},
		{"by default, must-revalidate", "max-age=10, must-revalidate", defaults, "", 11, Validate, false},
		{"if-error", "max-age=10, stale-if-error=5", Policy{}, "", 15, Validate, true},
		{"if-error, too late", "max-age=10, stale-if-error=5", Policy{}, "", 16, Validate, false},
		{"if-error by default", "max-age=10", Policy{StaleIfError: 5 * time.Second}, "", 15, Validate, true},
		{"if-error, must-revalidate", "max-age=10, stale-if-error=5, must-revalidate", Policy{}, "", 11, Validate, false},
		{"if-error, no-cache asked for", "max-age=10, stale-if-error=5", Policy{}, "no-cache", 11, Validate, false},
	} {
		t.Run(w.name, func(t *testing.T) {
			c, q := newCache(), query("http://a/")
			store(c, q, response(200, "", "Cache-Control: "+w.says, `ETag: "x"`), "", &w.policy)
			e := c.Lookup(q)
			if e == nil {
				t.Fatal("not stored")
			}
			var d Directives
			d.Add([]byte(w.asks))
			now := (9 + w.age) * second // it was a second old at 10
			if got := e.Judge(&d, now); got != w.want {
				t.Errorf("use %d, want %d", got, w.want)
			}
			if got := e.MayFailOver(&d, now); got != w.failOver {
				t.Errorf("instead of an error: %v", got)
			}
		})
	}
}

func TestRFC9111Section31FieldsThatAreNotStored(t *testing.T) {
	c, q := newCache(), query("http://a/")
	store(c, q, response(200, "x", `Cache-Control: max-age=5, private="X-Secret", no-cache="x-volatile"`, "Connection: x-hop", "X-Hop: 1", "X-Secret: 1", "X-Volatile: 1",
		"Age: 3", "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Trailer: a", "Transfer-Encoding: chunked", "Keep-Alive: 5", "Upgrade: x", "X-Stays: 1"), "x", &Policy{})
	var r httpmsg.Response
	e := c.Lookup(q)
	e.Fill(&r)
	got := string(r.AppendLines(nil))
	want := "Cache-Control: max-age=5, private=\"X-Secret\", no-cache=\"x-volatile\"\r\nX-Stays: 1\r\nDate: " + at(0) + "\r\n"
	if got != want || string(e.Body()) != "x" {
		t.Errorf("stored is %q, want %q", got, want)
	}
}

func TestRFC9111Section432Conditions(t *testing.T) {
	c, q := newCache(), query("http://a/")
	store(c, q, response(200, "x", "Cache-Control: max-age=5", `ETag: W/"a,b"`, "Last-Modified: "+at(-time.Hour), "Date: "+at(0)), "x", &Policy{})
	e := c.Lookup(q)
	for _, w := range []struct {
		name, since string
		match       []string
		want        bool
	}{
		{"the tag", "", []string{`W/"a,b"`}, true},
		{"weakly", "", []string{`"a,b"`}, true},
		{"in a list", "", []string{`"x", W/"y" , "a,b"`}, true},
		{"in another line", "", []string{`"x"`, `"a,b"`}, true},
		{"any", "", []string{"*"}, true},
		{"another", "", []string{`"x"`}, false},
		{"no quotes", "", []string{`a,b`}, false},
		{"a part", "", []string{`"a`}, false},
		{"the tag wins over the date", at(0), []string{`"x"`}, false},
		{"not modified", at(0), nil, true},
		{"the same date", at(-time.Hour), nil, true},
		{"modified", at(-2 * time.Hour), nil, false},
		{"no date", "yesterday", nil, false},
		{"nothing", "", nil, false},
	} {
		t.Run(w.name, func(t *testing.T) {
			var lines [][]byte
			for _, l := range w.match {
				lines = append(lines, []byte(l))
			}
			if got := e.NotModified(lines, []byte(w.since)); got != w.want {
				t.Errorf("not modified: %v", got)
			}
		})
	}
	if e.MayRange([]byte(`W/"a,b"`)) || !e.MayRange([]byte(at(-time.Hour))) || e.MayRange([]byte(at(0))) || !e.MayRange(nil) {
		t.Error("If-Range is read otherwise")
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=0-1,2-3", "BYTES = 3-99999999999999999999"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, field string, size int) {
		if size < 0 {
			return
		}
		kind, from, to := RangeOf([]byte(field), size)
		if kind == RangeOne && (from < 0 || from >= to || to > size) || kind != RangeOne && (from != 0 || to != 0) {
			t.Errorf("%q of %d is %d: %d to %d", field, size, kind, from, to)
		}
	})
}

// The bound holds at every moment, whatever is stored, fetched, sent, purged
// and evicted, and nothing is counted in the end that is not there.
func TestTheBoundHoldsUnderRandomLoad(t *testing.T) {
	const most = 256 << 10
	c := New("test", most, KeyRule{})
	body := strings.Repeat("x", 40<<10)
	var stop, over atomic.Bool
	var all sync.WaitGroup
	go func() {
		for !stop.Load() {
			if c.used.Load() > most {
				over.Store(true)
			}
		}
	}()
	for worker := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			var held []*Entry
			for range 4000 {
				q := query(fmt.Sprintf("http://a/%d", r.IntN(60)), fmt.Sprint("A: ", r.IntN(3)))
				part := body[:r.IntN(len(body))]
				switch r.IntN(8) {
				case 0:
					c.Invalidate(q.Key)
				case 1:
					c.MarkPass(q, 1)
				case 2, 3:
					if e := c.Lookup(q); e != nil && len(held) < 8 {
						held = append(held, e)
					} else if e != nil {
						e.Release()
					}
				case 4:
					for _, e := range held {
						e.Release()
					}
					held = nil
				case 5: // of a length that is not known, and given up now and then
					answer := response(200, part, "Cache-Control: max-age=5", "Vary: a")
					answer.Body = httpmsg.BodyChunked
					if k := c.Capture(q, &Asked{Method: httpmsg.GET}, answer, &Policy{}, times(), c.Epoch(q), 1<<20); k != nil {
						for left := part; len(left) > 0 && k.Write([]byte(left[:min(len(left), 3000)])); left = left[min(len(left), 3000):] {
						}
						if r.IntN(2) == 0 {
							k.Commit()
						}
						k.Close()
					}
				default:
					store(c, q, response(200, part, "Cache-Control: max-age=5", "Vary: a"), part, &Policy{})
				}
			}
			for _, e := range held {
				e.Release()
			}
		})
	}
	all.Wait()
	stop.Store(true)
	if over.Load() || c.used.Load() > most {
		t.Error("more than the bound was taken")
	}
	if c.Stats().Evictions == 0 || c.Stats().Stores == 0 {
		t.Errorf("%+v", c.Stats())
	}
	var counted int64
	for i := range c.shards {
		s := &c.shards[i]
		counted += s.evict.small.bytes + s.evict.main.bytes
		for _, list := range s.uris {
			for _, e := range list {
				counted -= e.bytes()
			}
		}
	}
	if counted != 0 {
		t.Errorf("queues and maps differ by %d bytes", counted)
	}
	if c.PurgeAll(); c.used.Load() != 0 {
		t.Errorf("%d bytes are counted of an empty cache", c.used.Load())
	}
}

// What was removed counts as long as it is being sent.
func TestWhatIsBeingSentCounts(t *testing.T) {
	c, q := newCache(), query("http://a/")
	store(c, q, response(200, "12345", "Cache-Control: max-age=5"), "12345", &Policy{})
	e := c.Lookup(q)
	full := c.used.Load()
	if c.PurgeAll(); c.used.Load() != full {
		t.Errorf("%d bytes count, want %d", c.used.Load(), full)
	}
	if e.Release(); c.used.Load() != 0 {
		t.Errorf("%d bytes are left", c.used.Load())
	}
}

// A flood of URLs that nobody asks for again leaves what is used.
func TestAFloodDrivesOutOnlyItself(t *testing.T) {
	c := newCache()
	body := strings.Repeat("x", 1<<10)
	put := func(uri string) {
		store(c, query(uri), response(200, body, "Cache-Control: max-age=5"), body, &Policy{})
	}
	use := func() (n int) {
		for i := range 100 {
			if e := c.Lookup(query(fmt.Sprintf("http://a/used/%d", i))); e != nil {
				n++
				e.Release()
			}
		}
		return n
	}
	for i := range 100 {
		put(fmt.Sprintf("http://a/used/%d", i))
	}
	use()
	for i := range 20000 {
		if put(fmt.Sprintf("http://a/flood/%d", i)); i%1000 == 0 {
			use()
		}
	}
	if n := use(); n < 95 {
		t.Errorf("%d of 100 are left", n)
	}
}

// A response that was asked for before its URI was invalidated is not stored.
func TestInvalidationReachesWhatIsUnderWay(t *testing.T) {
	for name, invalidate := range map[string]func(*Cache){
		"one":      func(c *Cache) { c.Invalidate([]byte("http://a/x")) },
		"spelling": func(c *Cache) { c.Invalidate([]byte("http://a:80/x")) },
		"prefix":   func(c *Cache) { c.PurgePrefix("http://a/") },
		"all":      func(c *Cache) { c.PurgeAll() },
	} {
		t.Run(name, func(t *testing.T) {
			c, q := newCache(), query("http://a/x")
			k := c.Capture(q, &Asked{Method: httpmsg.GET}, response(200, "", "Cache-Control: max-age=5"), &Policy{}, times(), c.Epoch(q), 1<<20)
			invalidate(c)
			if k.Commit() {
				t.Error("it was stored")
			}
			if k.Close(); c.Lookup(q) != nil || c.used.Load() != 0 {
				t.Errorf("it is there, %d bytes", c.used.Load())
			}
		})
	}
}

func TestPurge(t *testing.T) {
	uris := []string{"http://a.test/", "http://a.test/img/1", "http://a.test/img/2?x", "http://a.test:80/img/3", "http://a.test:8080/img/4", "https://a.test/img/5", "https://[::1]:8443/", "http://b.test/img/1"}
	for _, w := range []struct {
		name  string
		purge func(*Cache) int
		want  int
	}{
		{"url", func(c *Cache) int { return c.Invalidate([]byte("http://a.test/img/2?x")) }, 1},
		{"url, port written", func(c *Cache) int { return c.Invalidate([]byte("http://a.test:80/img/1")) }, 1},
		{"url, port not written", func(c *Cache) int { return c.Invalidate([]byte("http://a.test/img/3")) }, 1},
		{"no such", func(c *Cache) int { return c.Invalidate([]byte("http://a.test/img/2")) }, 0},
		{"prefix", func(c *Cache) int { return c.PurgePrefix("http://a.test/img/") }, 3},
		{"host", func(c *Cache) int { return c.PurgeHost("a.test") }, 6},
		{"address", func(c *Cache) int { return c.PurgeHost("[::1]") }, 1},
		{"all", func(c *Cache) int { return c.PurgeAll() }, 8},
	} {
		t.Run(w.name, func(t *testing.T) {
			c := newCache()
			for _, u := range uris {
				store(c, query(u), response(200, "", "Cache-Control: max-age=5"), "", &Policy{})
			}
			if got := w.purge(c); got != w.want || c.Stats().Entries != len(uris)-w.want {
				t.Errorf("%d were removed, want %d; %d are left", got, w.want, c.Stats().Entries)
			}
		})
	}
}

func TestRFC9111Section44SameOriginOnly(t *testing.T) {
	c := newCache()
	for reference, want := range map[string]string{
		"/b?c": "http://a.test/b?c", "http://a.test/b#x": "http://a.test/b", "http://a.test": "", "http://a.test.evil/": "", "//b.test/": "",
		"https://a.test/": "", "http://b.test/": "", "b": "", "": "",
	} {
		if got := c.SameOrigin([]byte("http://a.test/x?y"), []byte(reference)); string(got) != want {
			t.Errorf("%q is %q, want %q", reference, got, want)
		}
	}
}

// A name that a server may read as one that is in the key is in the key.
func TestTheQueryInTheKey(t *testing.T) {
	some := KeyRule{Query: []string{"id", "page"}}
	for _, w := range []struct {
		rule        KeyRule
		query, want string
	}{
		{KeyRule{}, "b=1&a=2", "?b=1&a=2"},
		{KeyRule{}, "", "?"},
		{KeyRule{NoQuery: true}, "b=1&a=2", ""},
		{some, "utm=1&id=2&x&page=3&id=4", "?id=2&page=3&id=4"},
		{some, "utm=1", ""},
		{some, "%69d=2", "?%69d=2"},
		{some, "id[]=2&id%5B0%5D=3", "?id[]=2&id%5B0%5D=3"},
		{some, "utm=1;id=2", "?utm=1;id=2"},
		{some, "+id=2", "?+id=2"},
		{some, "ID=2", ""},
	} {
		if got := w.rule.AppendQuery(nil, []byte(w.query), true); string(got) != w.want {
			t.Errorf("%q is %q, want %q", w.query, got, w.want)
		}
	}
}

// However many variants are made of one URI, few are kept, and the bound is in
// the way of none that was used before.
func TestVariantsOfAURIAreBounded(t *testing.T) {
	c := newCache()
	for i := range 3 * maxVariants {
		store(c, query("http://a/", fmt.Sprint("X: ", i)), response(200, "", "Cache-Control: max-age=5", "Vary: x"), "", &Policy{})
	}
	if n := c.Stats().Entries; n != maxVariants {
		t.Errorf("%d variants are kept", n)
	}
}

func TestAFlightIsForWhatWouldBeTheSameResponse(t *testing.T) {
	c := newCache()
	join := func(q *Query) (*Flight, bool) { return c.Join(q) }
	a, leads := join(query("http://a/", "X: 1"))
	if b, again := join(query("http://a/", "X: 2")); !leads || again || a != b {
		t.Error("while it is not known what responses vary by, there are two flights")
	}
	a.End(Stored)
	a.End(Useless)
	if <-a.Done(); a.Outcome() != Stored {
		t.Error("the second end counted")
	}
	store(c, query("http://a/", "X: 3"), response(200, "", "Cache-Control: max-age=5", "Vary: x"), "", &Policy{})
	a, _ = join(query("http://a/", "X: 1"))
	b, leads := join(query("http://a/", "X: 2"))
	if !leads || a == b {
		t.Error("different variants are one flight")
	}
	a.Leave(true)
	if _, leads := join(query("http://a/", "X: 1")); !leads {
		t.Error("a flight that lasts too long is joined still")
	}
}

func TestRFC9111Section32AnUpdateSharesTheBody(t *testing.T) {
	c, q := newCache(), query("http://a/")
	store(c, q, response(200, "12345", "Cache-Control: max-age=5", `ETag: "x"`, "A: 1", "A: 2"), "12345", &Policy{})
	old := c.Lookup(q)
	before := c.used.Load()
	e := c.Renewed(old, q, &Asked{Method: httpmsg.GET}, response(304, "", "Cache-Control: max-age=50", "A: 3", "Content-Length: 7", "Content-Type: x/y"), &Policy{}, times(), c.Epoch(q))
	if e == nil {
		t.Fatal("not updated")
	}
	var r httpmsg.Response
	e.Fill(&r)
	if got := string(r.AppendLines(nil)); strings.Count(got, "A: ") != 1 || !strings.Contains(got, "A: 3") || strings.Contains(got, "Content-") || &e.Body()[0] != &old.Body()[0] {
		t.Errorf("updated to %q", got)
	}
	old.Release()
	if after := c.used.Load(); after-before > 128 || before-after > 128 {
		t.Errorf("%d bytes became %d", before, after)
	}
	// One that must not be stored any more is gone.
	if gone := c.Renewed(e, q, &Asked{Method: httpmsg.GET}, response(304, "", "Cache-Control: no-store"), &Policy{}, times(), c.Epoch(q)); gone != nil || c.Lookup(q) != nil {
		t.Error("it is still there")
	}
	if e.Release(); c.used.Load() != 0 {
		t.Errorf("%d bytes are left", c.used.Load())
	}
}

func BenchmarkLookup(b *testing.B) {
	c, q := newCache(), query("http://a/", "Accept-Encoding: gzip", "User-Agent: x")
	store(c, q, response(200, "12345", "Cache-Control: max-age=5", "Vary: accept-encoding"), "12345", &Policy{})
	b.ReportAllocs()
	for b.Loop() {
		e := c.Lookup(q)
		if e == nil || !bytes.Equal(e.Body(), []byte("12345")) {
			b.Fatal("not there")
		}
		e.Release()
	}
}

// manyNames is a list of so many field names.
func manyNames(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint("a", i))
	}
	return strings.Join(all, ", ")
}
