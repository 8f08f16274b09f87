package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"gatehouse/health"
	"gatehouse/proxy/balance"
)

// Backend is one address of a pool: what requests are sent to and counted
// for. It lives on across reloads as long as its identity does.
//
// All methods are safe for concurrent use, and none but State takes a lock.
type Backend struct {
	live   *live
	queue  *queue // of live
	id     identity
	name   string
	target string
	hash   uint64 // of name and target: the same in all instances

	weight   atomic.Int64
	limit    atomic.Int64           // of requests in flight; 0: none
	closed   atomic.Bool            // the gate: Begin refuses
	token    atomic.Pointer[string] // never nil
	attached atomic.Pointer[attachment]
	watch    *health.Watch // nil: not probed; guarded by live.mu, as is table
	table    *health.Table

	_ [64]byte // the counters are written all the time, what is above is not

	// In flight is begun less ended: two counters cost one atomic addition
	// at either end, and their sum is the total as well.
	begun    atomic.Int64
	ended    atomic.Int64
	refused  atomic.Int64 // begun and ended by a Begin that failed
	failures atomic.Int64 // connect failures in a row
	errors   atomic.Int64 // server errors in a row, while they are counted

	ejections atomic.Uint64

	latency balance.Latency // if live.timed

	adaptive atomic.Pointer[adaptive] // nil: the limit is fixed, or there is none
	limits

	_ [32]byte

	lifecycle // guarded by live.mu
}

// identity is what makes a backend the same after a reload or a lookup,
// within a pool.
type identity struct {
	addr        netip.AddrPort
	unix        string
	target      string // two names for one address may want different Hosts
	fingerprint string
}

func (id identity) address() string {
	if id.unix != "" {
		return "unix:" + id.unix
	}
	return id.addr.String()
}

// attachment gives what Attach returned one type, for an atomic pointer.
type attachment struct{ io.Closer }

func newBackend(l *live, id identity) *Backend {
	b := &Backend{live: l, queue: l.queue, id: id, name: id.address(), target: id.target}
	b.hash = balance.Sum(b.name+" "+b.target, 0)
	b.created = time.Now()
	b.emptied = make(chan struct{}, 1)
	b.token.Store(new(string))
	return b
}

// Name is the address as people write it: 10.0.0.4:80, or unix:/run/app.sock.
func (b *Backend) Name() string { return b.name }

// Pool is the name of the backend pool.
func (b *Backend) Pool() string { return b.live.name }

// Target is the configured host, a name or an IP address, without a port;
// empty for a unix socket.
func (b *Backend) Target() string { return b.target }

// Addr is the address to dial. It is the zero AddrPort for a unix socket.
func (b *Backend) Addr() netip.AddrPort { return b.id.addr }

// Unix is the path of the socket to dial, empty if Addr is meant.
func (b *Backend) Unix() string { return b.id.unix }

// Weight is the backend's share of requests, relative to the others.
func (b *Backend) Weight() int { return int(b.weight.Load()) }

// Token is the value of an affinity cookie that stands for this backend. It
// is 22 characters of base64url, or empty if the pool has no secret.
func (b *Backend) Token() string { return *b.token.Load() }

// Attached is what Options.Attach returned, nil if there is no Attach. It may
// be relied on from a Begin that returned true to the matching End.
func (b *Backend) Attached() any {
	if a := b.attached.Load(); a != nil {
		return a.Closer
	}
	return nil
}

// Begin counts a request in flight, and must be matched by End. It returns
// false, and counts nothing, if the backend is at its limit or is draining;
// then another must be picked.
func (b *Backend) Begin() bool {
	limit, ended := b.limit.Load(), int64(0)
	if limit > 0 {
		// Before the count, not after: what has ended by now is among the
		// n, while of what ends later some may have begun after this.
		ended = b.ended.Load()
	}
	n := b.begun.Add(1)
	// The gate is read after the count: whoever shuts it either makes this
	// fail, or counts this among what it waits for.
	if b.closed.Load() || limit > 0 && n-ended > limit {
		b.refused.Add(1)
		b.End()
		return false
	}
	return true
}

// HasRoom reports whether Begin would have succeeded just now.
func (b *Backend) HasRoom() bool { return !b.closed.Load() && b.load() >= 0 }

// End ends what a successful Begin began.
func (b *Backend) End() {
	n := b.ended.Add(1)
	if b.closed.Load() && n == b.begun.Load() {
		select {
		case b.emptied <- struct{}{}:
		default:
		}
	}
	b.queue.freed()
}

// InFlight is how many requests are between Begin and End.
func (b *Backend) InFlight() int {
	ended := b.ended.Load() // first, so that the difference is not negative
	return int(b.begun.Load() - ended)
}

// Requests is how many requests were begun in all.
func (b *Backend) Requests() uint64 {
	refused := b.refused.Load()
	return uint64(max(b.begun.Load()-refused, 0))
}

// load is what a picker sees: the requests in flight, or -1 at the limit.
func (b *Backend) load() int64 {
	n := b.begun.Load() - b.ended.Load()
	if limit := b.limit.Load(); limit > 0 && n >= limit {
		return -1
	}
	return max(n, 0)
}

// ConnectOK tells that a connection was made, which ends a row of failures
// and an ejection.
func (b *Backend) ConnectOK() {
	if b.failures.Load() != 0 && b.failures.Swap(0) != 0 {
		b.live.readmit(b)
	}
}

// ConnectFailed tells that no connection could be made. Enough in a row
// eject the backend for a time. The caller must not report what was its own
// doing, such as a client that left.
func (b *Backend) ConnectFailed(err error) {
	n := b.failures.Add(1)
	if limit := b.live.ejectAfter.Load(); limit > 0 && n >= limit {
		b.live.eject(b, byConnects, fmt.Sprintf("%d connect failures: %s", n, health.Reason(err)))
	}
}

// Succeeded tells that the member answered a request, and with no 5xx, which
// ends a row of server errors. An ejection goes on: what ends now was sent
// before it.
func (b *Backend) Succeeded() {
	if b.errors.Load() != 0 {
		b.errors.Store(0)
	}
}

// Failed tells of a request that reached the member and failed: a 5xx, no
// response in time, a connection that was closed instead. why is for people.
// Enough in a row eject the backend for a time.
func (b *Backend) Failed(why string) {
	limit := b.live.ejectErrors.Load()
	if limit == 0 {
		return
	}
	if n := b.errors.Add(1); n >= limit {
		b.live.eject(b, byErrors, fmt.Sprintf("%d requests in a row failed, the last: %s", n, why))
	}
}

// Answered tells how long a response took, in nanoseconds, and when it came,
// on the clock of stream.Now. A failure is to be told as what takes long.
func (b *Backend) Answered(now, took int64) {
	if b.live.timed.Load() {
		b.latency.Observe(now, took)
	}
	if a := b.adaptive.Load(); a != nil {
		a.observe(now, took)
	}
}

// Abandoned tells of a request that was given up by its client after so long.
func (b *Backend) Abandoned(now, after int64) {
	if b.live.timed.Load() {
		b.latency.AtLeast(now, after)
	}
	if a := b.adaptive.Load(); a != nil && after > a.tolerated() {
		a.observe(now, after)
	}
}

// State returns what there is to know about the backend. It takes the lock
// of the pool: it is for status pages, not for requests.
func (b *Backend) State() BackendStatus {
	b.live.mu.Lock()
	defer b.live.mu.Unlock()
	return b.snapshot()
}

// affinityToken derives the token of a backend. It says nothing of the
// address to who does not know the secret.
func affinityToken(secret []byte, pool, address string) string {
	if len(secret) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, pool)
	mac.Write([]byte{0}) // no name contains it: the two cannot run together
	io.WriteString(mac, address)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
