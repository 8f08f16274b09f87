package authority

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
	"gatehouse/dnslb/wire"
	"gatehouse/internal/cidr"
)

// RateLimit bounds how many alike responses a network gets over UDP: whoever
// forges source addresses gains nothing (response rate limiting). All sockets
// share one. Its memory is fixed: networks that share a bucket share a limit,
// which two seldom do.
type RateLimit struct {
	perSecond  uint32
	slip       uint32
	v4, v6     int
	exempt     *cidr.Table[struct{}]
	seed       uint64
	buckets    []atomic.Uint64 // second in the upper half, responses in it in the lower
	refusedAll atomic.Uint32   // counts refused ones, for slip
}

// limitBuckets is how many buckets there are: 512 KiB.
const limitBuckets = 1 << 16

// NewRateLimit makes the limit of a configuration; nil: there is none.
func NewRateLimit(c config.ResponseRateLimit) *RateLimit {
	if c.PerSecond == 0 {
		return nil
	}
	return &RateLimit{perSecond: uint32(c.PerSecond), slip: uint32(c.Slip), v4: c.IPv4Prefix, v6: c.IPv6Prefix,
		exempt: cidr.Set(c.Exempt), seed: rand.Uint64(), buckets: make([]atomic.Uint64, limitBuckets)}
}

// judgement is what becomes of a response.
type judgement uint8

const (
	allowed judgement = iota
	dropped
	slipped // sent truncated
)

// judge counts a response.
func (l *RateLimit) judge(from *server.Peer, p *reply, q *wire.Query) judgement {
	client := from.Addr.Addr()
	if l.exempt.Contains(client) {
		return allowed
	}
	bits := l.v6
	if client.Is4() {
		bits = l.v4
	}
	network, _ := client.Prefix(bits)
	h := l.seed ^ uint64(p.code)<<56
	for _, b := range network.Addr().As16() {
		h = (h ^ uint64(b)) * 1099511628211
	}
	// Of answers each name and type is counted for itself; what is not there,
	// and what a wildcard makes, is one thing, or random names would never be
	// alike.
	if p.code == answered {
		h = (h ^ uint64(q.Type)) * 1099511628211
		for _, b := range p.found {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	if l.count(int(h>>(64-16)), from.Now) <= l.perSecond {
		return allowed
	}
	if l.slip > 0 && l.refusedAll.Add(1)%l.slip == 0 {
		return slipped
	}
	return dropped
}

// count is how many responses a bucket had in this second, with this one.
func (l *RateLimit) count(bucket int, now time.Time) uint32 {
	second := uint64(uint32(now.Unix())) << 32
	b := &l.buckets[bucket%limitBuckets]
	for {
		old := b.Load()
		next := second | 1
		if old>>32 == second>>32 {
			if next = old + 1; uint32(next) == 0 {
				return ^uint32(0)
			}
		}
		if b.CompareAndSwap(old, next) {
			return uint32(next)
		}
	}
}
