package l7

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http2"
	"gatehouse/proxy/l7/rewrite"
)

// flow is the way of one request through the gateway. It is pooled with the
// exchange that carries the request.
type flow struct {
	gw   *Gateway
	x    Exchange
	snap *Snapshot
	lent bool // snap is still counted
	req  *httpmsg.Request

	// The client's connection.
	client   Client
	frontend int // its ID
	shard    uint32
	tlsGroup string
	tlsFor   string
	offered  []uint16
	trips    rewrite.RoundTripper
	cert     *tlscert.ClientCert // nil: none was asked for
	proto    string
	secure   bool
	trusted  bool
	early    bool // the request may be a replay

	first    *Listener // stands for the address; nil when that was removed
	listener *Listener // nil until the host is known
	target   *Target   // nil until the path is known

	stages stages
	held   held    // the request body, for a stage, until it need not be sent again
	kept   held    // the response body, for a stage, until its head is sent
	copies copies  // what stages keep of either
	upload *upload // the second goroutine, while there is one
	copied *copied // for a mirror, until it is given away; nil: none

	to             sink // where the backend's response goes: x, or what changes it on the way there
	compressing    compressing
	web            grpcWeb
	up             upstream        // the backend's side: one, or two
	one            *http1.Upstream // memory for it over HTTP/1.1
	two            *http2.Upstream // and over HTTP/2; nil until it is needed
	tries          int             // of the member, beyond the first
	grpcCode       int             // what to answer to gRPC; 0: what the status says
	backend        *proxy.Backend
	inFlight       bool            // backend counts the request
	retrying       bool            // its pool counts it among the retries
	entered        bool            // its pool counts it
	hedging        bool            // its pool counts a hedge of it
	hedge          *hedge          // while it is under way
	spare          *http1.Upstream // memory for a hedge; nil: there was none yet
	next           *proxy.Backend  // of the next attempt, which it counts already; nil: to be picked
	firstSent      int64           // when the first attempt began, where each has a timeout
	lastWait       time.Duration   // how long the last one was given; 0: requestTimeout
	streamed       bool            // the response body took more than one piece
	trailers       trailers        // of the request
	answerTrailers trailers        // of the response
	failure        failure
	repin          bool           // the client needs a new affinity cookie
	pin            *proxy.Backend // what its affinity cookie names

	rewrite   rewrite.Exchange
	rewriting bool    // rewrite is in use
	quotas    []quota // what rate limits said that the client is told
	also      *Target // what the new path would lead to; nil: target, or the path is not new

	who identity // what authentications have found out

	bodyMax  int64 // bound on the request's body; 0: none
	bodyRead int64 // of it

	caching     *caching // what the cache of its target does for it; nil: there is none
	cacheMemory *caching
	known       bool // the client has said who it is, as it came

	tunneled int64 // bytes from the client after an upgrade

	resp    httpmsg.Response // a response of our own
	rec     telemetry.Record
	scratch []byte
	kind    []byte // the response's Content-Type, for the record

	// Points in time on the clock of stream.Now.
	began     int64
	connected int64
	answered  int64
}

// Options implements http1.Handler.
func (g *Gateway) Options(c *http1.ServerConn) *http1.Options {
	return g.options.Load()
}

// Serve implements http1.Handler.
func (g *Gateway) Serve(x *http1.Exchange) {
	c, a := arrived(x)
	x.Ended = g.flowIn(&x.Data).run(x, &c, a)
}

// ServeExchange answers one request of a protocol other than those that
// Frontend accepts, whose connection has done what Frontend does for that.
func (g *Gateway) ServeExchange(x Exchange, c *Connection, a Arrival) {
	newFlow(g).run(x, c, a)
}

// run takes one request from its beginning to its end, and returns when that
// was.
func (f *flow) run(x Exchange, c *Connection, a Arrival) int64 {
	defer f.contain(x)
	f.begin(x, c, a)
	f.serve()
	return f.end()
}

// arrived is what the gateway needs to know of an HTTP/1.1 exchange and its
// connection.
func arrived(x *http1.Exchange) (Connection, Arrival) {
	c := x.Conn().Data.(*conn)
	a := Arrival{Start: x.HeadStart, HeadDone: x.HeadDone, Proto: "HTTP/1.1"}
	if x.Request().Minor == 0 {
		a.Proto = "HTTP/1.0"
	}
	a.First, a.IdleSince = x.First()
	return c.connection(), a
}

// contain keeps a bug that a request ran into from ending the process: the
// client's connection is cut, what the request had counted is given back, and
// the memory it used is not used again.
func (f *flow) contain(x Exchange) {
	r := recover()
	if r == nil {
		return
	}
	f.gw.bug(r)
	x.Spoil()
	f.giveUp()
	f.compressing.drop()
	if f.listener != nil {
		f.listener.Metrics.Ended(f.shard)
	}
	f.held.forget(&f.gw.held)
	f.kept.forget(&f.gw.held)
	f.copies.end(&f.gw.held)
	if f.copied != nil {
		f.copied.body.forget(&f.gw.held)
		f.copied = nil
	}
	f.letGo()
}

// bug logs and counts a panic.
func (g *Gateway) bug(r any) {
	g.panics.Add(1)
	g.log.Error("bug: panic while serving; please report it", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
}

// survive is deferred by goroutines of the data path: a bug ends what they
// did, by clean, and not the process.
func (g *Gateway) survive(clean func()) {
	if r := recover(); r != nil {
		g.bug(r)
		clean()
	}
}

// Refuse implements http1.Handler.
func (g *Gateway) Refuse(x *http1.Exchange, why *http1.Error) {
	c, a := arrived(x)
	g.flowIn(&x.Data).turnDown(x, &c, a, why)
}

// turnDown answers what is no request that can be served.
func (f *flow) turnDown(x Exchange, c *Connection, a Arrival, why *http1.Error) {
	f.begin(x, c, a)
	f.countLimit(why)
	f.rec.Termination = telemetry.Termination{'P', 'R'}
	if why.Status == 408 {
		f.rec.Termination = telemetry.Termination{'C', 'R'}
	}
	if why.Status == 0 {
		f.rec.Reason, f.rec.ErrorInfo = why.Reason, why.Info
		f.x.Abort()
	} else {
		f.refuse(why.Status, why.Reason, why.Info)
	}
	f.end()
}

func newFlow(g *Gateway) *flow {
	one := http1.NewUpstream()
	return &flow{gw: g, one: one, up: one}
}

// begin takes the snapshot and notes who asks.
func (f *flow) begin(x Exchange, c *Connection, a Arrival) {
	f.x, f.to, f.req = x, x, x.Request()
	f.shard, f.secure, f.tlsGroup, f.tlsFor, f.proto = c.Shard, c.Secure, c.TLSGroup, c.TLSFor, a.Proto
	f.frontend, f.offered, f.trips = c.Frontend, c.Offered, c.Trips
	f.cert, f.early = c.ClientCert, a.Early
	f.snap, f.lent = f.gw.acquire(f.shard), true
	f.trusted = f.snap.Trusted.Contains(c.Peer.Addr())
	f.client = Client{Addr: c.Peer, Peer: c.Peer, Local: c.Local, TLS: c.Secure, Proto: a.Proto}
	f.began, f.connected, f.answered, f.grpcCode = a.Start, 0, 0, 0
	f.first, f.listener = nil, nil
	if s := f.snap.sites(c.Frontend); s != nil && s.First().HTTPS == c.Secure {
		f.first = s.First()
		f.listener = s.Find(f.req.Bytes(f.req.HostName))
	} else {
		x.Retire() // the listener is gone, or has changed its protocol
	}
	f.beginRecord(c, a)
}

// serve takes the request through its steps, each of which may end it.
func (f *flow) serve() {
	switch {
	case f.snap.Challenges != nil && f.meetChallenge():
	case f.listener == nil:
		f.refuse(404, "no listener takes this host", telemetry.ErrorInfoInvalidHost)
	case !f.admit():
	case f.early && f.tooEarly():
	case !f.route():
	case f.target.CORS != nil && f.preflight():
	case !f.pass() || !f.share() || !f.withinSize():
	case f.target.Redirect != nil:
		f.redirect(f.target.Redirect)
	default:
		f.forward()
	}
}

// pass takes the request past what its target, and the one that a rewrite leads
// to, ask of it: rate limits come before anybody is asked who it is, so that
// guesses count.
func (f *flow) pass() bool {
	came := f.target
	switch {
	case !f.withinRates():
	case came.Auth != nil && !f.authenticate(came.Auth):
	case came.Redirect == nil && came.Rewrite != nil && !f.rewriteRequest():
	case f.rewriting && !f.authenticateRewritten():
	case f.target != came && !f.withinRatesBeyond(came):
	default:
		return true
	}
	return false
}

// admit checks the client and the request against the listener's rules.
func (f *flow) admit() bool {
	if f.secure && (f.tlsGroup != f.listener.TLSGroup || f.cert.Stale(f.rec.Start)) && !f.regroup() {
		return false
	}
	f.findClient()
	if f.snap.Identity != nil {
		f.dropIdentity(&f.req.Fields)
	}
	if rule := f.listener.Access.deniedBy(f.client.Addr.Addr()); rule != nil {
		f.refuse(403, "access rule "+ruleLabel(rule), "")
		return false
	}
	if f.looped() {
		f.refuse(508, "request came back to this gateway", "")
		return false
	}
	if tooManyCookies(&f.req.Fields) {
		f.refuse(431, "too many cookies", telemetry.ErrorInfoInvalidHeader)
		return false
	}
	if f.req.Form == httpmsg.AsteriskForm {
		f.req.Path = f.req.KeepString("*")
		return true
	}
	return f.canonicalise()
}

// regroup decides on a request for a listener with other TLS settings than
// those of the handshake, or whose client's certificate may no longer be good;
// false: it was refused. If a reload changed the settings of the listener
// itself, they apply from the next connection on, except that the client's
// certificate must be good now.
func (f *flow) regroup() bool {
	if f.tlsGroup != f.listener.TLSGroup && f.tlsFor != f.listener.Name {
		f.refuse(421, "host belongs to a listener with other TLS settings", telemetry.ErrorInfoInvalidHost)
		return false
	}
	f.x.Retire()
	var shown []*x509.Certificate
	if f.cert != nil {
		shown = f.cert.Shown
	}
	cert, err := f.listener.ClientAuth.Client(shown, time.Now())
	f.cert = cert
	f.noteClientCert()
	if err != nil {
		f.refuse(421, err.Error(), telemetry.ErrorInfoHTTPSNoCert)
		return false
	}
	return true
}

// noteClientCert puts the client's certificate into the record.
func (f *flow) noteClientCert() {
	r := &f.rec
	if r.ClientVerify, r.ClientFingerprint, r.ClientIssuer = "", "", ""; f.cert != nil {
		r.ClientVerify, r.ClientFingerprint, r.ClientIssuer = f.cert.Verdict, f.cert.Fingerprint, f.cert.Issuer
	}
}

// canonicalise makes the path that routing decides on and that is forwarded.
func (f *flow) canonicalise() bool {
	path, same, err := f.canonicalPath()
	if err != nil {
		f.refuse(400, err.Error(), telemetry.ErrorInfoRequestURIInvalid)
		return false
	}
	f.req.Path = f.req.RawPath
	if !same {
		f.scratch = path
		f.req.Path = f.req.Keep(path)
	}
	return true
}

// canonicalPath normalises the path as the listener wants it; same says that
// it was canonical already.
func (f *flow) canonicalPath() (path []byte, same bool, err error) {
	return httpmsg.CanonicalPath(f.scratch[:0], f.req.Bytes(f.req.RawPath), f.pathOptions())
}

func (f *flow) pathOptions() httpmsg.PathOptions {
	return httpmsg.PathOptions{
		KeepEncodedSlash:     f.listener.EncodedSlash == config.EncodedSlashKeep,
		KeepDuplicateSlashes: f.listener.DuplicateSlashes == config.DuplicateSlashesKeep,
	}
}

// errPathParams refuses a path whose reading would decide what rules apply.
var errPathParams = errors.New("path parameter (;) makes the path match another path rule than without it")

// route chooses the target.
func (f *flow) route() bool {
	switch {
	case !f.choose():
		f.refuse(400, errPathParams.Error(), telemetry.ErrorInfoRequestURIInvalid)
	case f.target == nil:
		f.refuse(404, "no rule is bound to the listener", "")
	default:
		return true
	}
	return false
}

// choose finds the target of the path, nil for none; false when the path is
// ambiguous.
func (f *flow) choose() bool {
	f.target = f.listener.Target
	if m := f.listener.Paths; m != nil {
		var ambiguous bool
		if f.target, ambiguous = m.Find(f.req, f.req.Bytes(f.req.Path), f.trusted); ambiguous {
			return false
		}
	}
	if f.target == nil {
		return true
	}
	f.rec.PathRule, f.rec.Pool, f.rec.Settings = f.target.PathRule, "", ""
	if s := f.target.Settings; s != nil {
		f.rec.Pool, f.rec.Settings = s.Pool, s.Name
	}
	return true
}

// findClient evaluates what trusted proxies say of the client.
func (f *flow) findClient() {
	if !f.trusted {
		return
	}
	addr := httpmsg.ClientFromForwarded(&f.req.Fields, f.client.Peer.Addr(), f.snap.Trusted.Contains)
	if addr != f.client.Peer.Addr() {
		f.client.Addr = netip.AddrPortFrom(addr, 0)
		f.rec.ClientAddr = f.client.Addr
	}
}

// beginRecord notes what is known from the start.
func (f *flow) beginRecord(c *Connection, a Arrival) {
	r := &f.rec
	r.Reset()
	r.Start = stream.WallAt(a.Start)
	r.ClientAddr, r.PeerAddr = c.Peer, c.Peer
	appendTraceID(r.TraceID[:0])
	r.Th = 0
	if a.First {
		r.Th = max(c.Handshake, 0)
	}
	r.Ti = max(a.Start-a.IdleSince-r.Th, 0)
	if a.HeadDone > 0 {
		r.TR = a.HeadDone - a.Start
	}
	r.TLS, r.TLSVersion, r.Cipher, r.ServerName = f.secure, c.TLSVersion, c.Cipher, c.ServerName
	if f.cert != nil {
		f.noteClientCert()
	}
	if l := f.listener; l != nil {
		r.Listener, r.Rule = l.Name, l.Rule
		f.client.Listener = l.Name
		l.Metrics.Began(f.shard)
	}
}

// end writes the record and lets go of everything. It returns the time.
func (f *flow) end() int64 {
	f.endStages()
	f.held.release(&f.gw.held)
	f.kept.release(&f.gw.held)
	now := stream.Now()
	r := &f.rec
	r.Ta = now - f.began
	f.fillTimers(r, now)
	r.BytesIn, r.BytesOut = f.x.Received()+f.tunneled, f.x.Sent()
	f.describe(r)
	f.metrics().Observe(f.shard, r)
	if f.listener != nil {
		f.listener.Metrics.Ended(f.shard)
	}
	if f.gw.access != nil {
		f.gw.access.Log(f.shard, r)
	}
	f.release()
	return now
}

// fillTimers fills in the timers that others leave. Tw is what lies between
// the request's head and the connect that was the last, or a kept connection:
// holding a body, earlier attempts. With that, the parts make up the whole.
func (f *flow) fillTimers(r *telemetry.Record, now int64) {
	if f.connected > 0 {
		if r.Reused {
			r.Tc = 0
		}
		r.Tw = max(f.connected-max(r.Tc, 0)-f.began-max(r.TR, 0), 0)
	}
	if f.answered > 0 {
		r.Td = now - f.answered
	}
}

// describe fills in the text of the record, which points into the request.
func (f *flow) describe(r *telemetry.Record) {
	q := f.req
	if q.Len() == 0 && q.Target.Len == 0 {
		return // refused before there was a request
	}
	r.Method, r.Target = q.Bytes(q.MethodText), q.Bytes(q.Target)
	if r.Path = q.Bytes(q.Path); len(r.Path) == 0 {
		r.Path = q.Bytes(q.RawPath) // refused before it was made canonical
	}
	r.Query = q.Bytes(q.Query)
	r.Host = q.Bytes(q.Authority)
	r.UserAgent, _ = q.Get(httpmsg.UserAgent)
	r.Referer, _ = q.Get(httpmsg.Referer)
	r.Proto = f.proto
}

// metrics returns the counters that the request belongs to.
func (f *flow) metrics() *telemetry.Route {
	switch {
	case f.target != nil && f.target.Metrics != nil:
		return f.target.Metrics
	case f.listener != nil:
		return f.listener.Unrouted
	}
	return f.snap.Unrouted
}

// letGo ends the use of the snapshot; long bodies and tunnels outlive it.
func (f *flow) letGo() {
	if !f.lent {
		return
	}
	f.lent = false
	f.snap.release(f.shard)
}

// release drops what must not be kept in the pool.
func (f *flow) release() {
	f.letGo()
	f.snap, f.x, f.to, f.req, f.first, f.listener, f.target, f.backend = nil, nil, nil, nil, nil, nil, nil, nil
	f.cert = nil
	f.streamed, f.trailers, f.answerTrailers = false, trailersUnknown, trailersUnknown
	f.offered, f.trips = nil, nil
	f.firstSent, f.lastWait = 0, 0
	f.quotas = f.quotas[:0]
	f.repin, f.pin, f.tunneled, f.upload, f.also = false, nil, 0, nil, nil
	f.known = false
	if f.rewriting {
		f.rewriting = false
		f.rewrite.End()
	}
	if f.who.n > 0 {
		f.who.reset()
	}
	if f.compressing.policy != nil {
		f.compressing.end()
	}
	if f.web.on {
		f.web.end()
	}
	if cap(f.scratch) > 16<<10 {
		f.scratch = nil
	}
}
