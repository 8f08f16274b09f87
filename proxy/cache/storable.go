package cache

import (
	"time"

	"gatehouse/internal/httpmsg"
)

// Policy is how a cache is used where no response says otherwise. The zero
// value adds nothing to RFC 9111.
type Policy struct {
	// DefaultTTL is how long a response is fresh that may be cached by its
	// status and does not say for how long (RFC 9111 4.2.2). If zero, it is not
	// stored. It is not for requests with cookies.
	DefaultTTL time.Duration
	// StaleWhileRevalidate and StaleIfError are those of RFC 5861 for responses
	// that have none.
	StaleWhileRevalidate, StaleIfError time.Duration
	// IgnoreClientNoCache takes no notice of no-cache, max-age and min-fresh in
	// requests: no client can make a backend be asked.
	IgnoreClientNoCache bool
}

// Asked is what storing goes by of a request.
type Asked struct {
	Method  httpmsg.Method
	Known   bool // who asks has said who he is: by Authorization, or a certificate
	Cookies bool
	NoStore bool
}

// storable decides whether a response may be stored (RFC 9111 3), and for how
// long it is fresh then.
func (s *said) storable(q *Asked, status int, p *Policy, t *Times) (lifetime int64, ok bool) {
	kind := statusKind(status)
	noStore := s.cc.Has(NoStore) && !s.cc.Has(MustUnderstand) // the statuses below are understood (5.2.2.3)
	switch {
	case q.Method != httpmsg.GET, q.NoStore, kind == unknownStatus, noStore, s.cc.Has(Private), s.varyAny:
		return 0, false
	case q.Known && !s.cc.Has(Public|MustRevalidate|SMaxAge): // 3.5
		return 0, false
	case s.cookie && !s.cc.Has(Public):
		return 0, false
	}
	lifetime, explicit := s.lifetime(t)
	switch {
	case explicit:
		return lifetime, lifetime > 0 || kind != errorStatus && (s.validator() || s.cc.Has(StaleWhileRevalidate|StaleIfError))
	case kind != cacheableStatus || q.Cookies || q.Known:
		return 0, false
	case s.cc.Has(NoCache):
		return 0, s.validator()
	}
	return int64(p.DefaultTTL), p.DefaultTTL > 0
}

const (
	unknownStatus   = iota // not stored: what it means for a cache is not known, or it is for one request
	explicitStatus         // stored if it says for how long
	errorStatus            // the same, and not longer
	cacheableStatus        // heuristically cacheable (RFC 9110 15.1), and no error
)

func statusKind(status int) int {
	switch status {
	case 200, 203, 204, 300, 301, 308:
		return cacheableStatus
	case 302, 303, 307:
		return explicitStatus
	case 400, 403, 404, 405, 410, 414, 451, 500, 501, 502, 503, 504:
		return errorStatus
	}
	return unknownStatus
}
