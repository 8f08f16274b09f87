package telemetry

import (
	"sync/atomic"
	"unsafe"
)

// routeKey is the identity of a Route: fit label values.
type routeKey struct {
	listener, rule, pool string
}

// Route counts the requests of one listener, rule and pool. It is safe for
// use by any number of goroutines.
type Route struct {
	key    routeKey
	shards []atomic.Pointer[routeShard]
}

// routeShard is one core's part of a Route. It is allocated when its core
// first serves the route, so that ten thousand configured but idle hosts cost
// next to nothing.
type routeShard struct {
	routeCounters
	_ [cacheLine - unsafe.Sizeof(routeCounters{})%cacheLine]byte // no false sharing with what comes next
}

const cacheLine = 64

// routeCounters are in this order so that a usual request, answered in a few
// milliseconds, touches three cache lines: with ten thousand hosts in turn none
// of them is in the cache. TestAUsualRequestTouchesFewLines knows.
type routeCounters struct {
	codes      [codeClasses]atomic.Uint64
	bytesIn    atomic.Uint64
	bytesOut   atomic.Uint64 // from here on the second line
	backendIn  atomic.Uint64
	backendOut atomic.Uint64
	reuses     atomic.Uint64
	duration   histogram
	retries    atomic.Uint64
	connects   atomic.Uint64
	_          [8]byte
	response   histogram // a line for its sum and its first buckets
	connect    histogram
	ended      [terminations]atomic.Uint64
}

// codeClasses are "none" (no status was sent), 1xx to 5xx, and "other".
const codeClasses = 7

func codeClass(status int) int {
	switch c := status / 100; {
	case status == 0:
		return 0
	case c >= 1 && c <= 5:
		return c
	}
	return codeClasses - 1
}

func codeLabel(class int) string {
	return labelOf(class, []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"})
}

func newRoute(key routeKey, shards int) *Route {
	return &Route{key: key, shards: make([]atomic.Pointer[routeShard], shards)}
}

// Observe counts the exchange that r describes.
func (t *Route) Observe(shard uint32, r *Record) {
	p := &t.shards[shard&uint32(len(t.shards)-1)]
	s := p.Load()
	if s == nil {
		s = allocShard(p)
	}
	s.codes[codeClass(r.Status)].Add(1)
	s.bytesIn.Add(uint64(r.BytesIn))
	s.bytesOut.Add(uint64(r.BytesOut))
	s.duration.observe(r.Ta)
	if r.Tr >= 0 {
		s.response.observe(r.Tr)
	}
	if r.Backend != "" {
		s.observeBackend(r)
	}
	if i := r.Termination.index(); i != 0 {
		s.ended[i].Add(1)
	}
}

func (s *routeShard) observeBackend(r *Record) {
	s.backendIn.Add(uint64(r.BackendIn))
	s.backendOut.Add(uint64(r.BackendOut))
	if r.Retries > 0 {
		s.retries.Add(uint64(r.Retries))
	}
	if r.Reused {
		s.reuses.Add(1)
		return
	}
	if r.Tc >= 0 {
		s.connects.Add(1)
		s.connect.observe(r.Tc)
	}
}

// allocShard allocates the shard that p points to, unless somebody else just
// did.
func allocShard[T any](p *atomic.Pointer[T]) *T {
	if s := new(T); p.CompareAndSwap(nil, s) {
		return s
	}
	return p.Load()
}

// terminations is the size of the closed set of terminations: four parties,
// six phases, and one for letters that HAProxy does not have.
const terminations = 4*6 + 1

// index returns the place of t among the terminations; 0 is the normal one.
func (t Termination) index() int {
	if t == (Termination{'-', '-'}) || t == (Termination{}) {
		return 0
	}
	who, phase := -1, -1
	switch t[0] {
	case '-':
		who = 0
	case 'C':
		who = 1
	case 'S':
		who = 2
	case 'P':
		who = 3
	}
	switch t[1] {
	case '-':
		phase = 0
	case 'R':
		phase = 1
	case 'Q':
		phase = 2
	case 'C':
		phase = 3
	case 'H':
		phase = 4
	case 'D':
		phase = 5
	}
	if who < 0 || phase < 0 {
		return terminations - 1
	}
	return who*6 + phase
}

// terminationLabel is the inverse of index.
func terminationLabel(i int) string {
	if i == terminations-1 {
		return "other"
	}
	return string([]byte{"-CSP"[i/6], "-RQCHD"[i%6]})
}
