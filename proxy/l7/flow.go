package l7

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
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
	shard    uint32
	tlsGroup string
	tlsFor   string
	proto    string
	secure   bool
	trusted  bool

	first    *Listener // stands for the address; nil when that was removed
	listener *Listener // nil until the host is known
	target   *Target   // nil until the path is known

	stages stages
	held   held    // the request body, for a stage, until it need not be sent again
	kept   held    // the response body, for a stage, until its head is sent
	copies copies  // what stages keep of either
	upload *upload // the second goroutine, while there is one

	up             *http1.Upstream // memory for the backend's side
	backend        *proxy.Backend
	inFlight       bool     // backend counts the request
	streamed       bool     // the response body took more than one piece
	trailers       trailers // of the request
	answerTrailers trailers // of the response
	failure        failure
	repin          bool // the client needs a new affinity cookie

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
	x.Ended = g.flowOf(x).run(x, &c, a)
}

// ServeExchange answers one request of a protocol other than HTTP/1.1, whose
// connection has done what Frontend does for that.
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
	return Connection{Frontend: c.fe.ID, Peer: c.Peer, Local: c.Local, Shard: c.Shard, Secure: c.secure, TLSGroup: c.tlsGroup,
		TLSFor: c.tlsFor, TLSVersion: c.tlsVersion, Cipher: c.cipher, ServerName: c.serverName, Handshake: c.handshake}, a
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
	if f.backend != nil && f.inFlight {
		f.backend.End()
	}
	if c := f.up.Conn(); c != nil {
		c.Stream.Abort()
	}
	if f.listener != nil {
		f.listener.Metrics.Ended(f.shard)
	}
	f.held.forget(&f.gw.held)
	f.kept.forget(&f.gw.held)
	f.copies.end(&f.gw.held)
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
	f := g.flowOf(x)
	c, a := arrived(x)
	f.begin(x, &c, a)
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

// flowOf returns the flow that is pooled with an exchange.
func (g *Gateway) flowOf(x *http1.Exchange) *flow {
	if f, ok := x.Data.(*flow); ok {
		f.gw = g
		return f
	}
	f := newFlow(g)
	x.Data = f
	return f
}

func newFlow(g *Gateway) *flow { return &flow{gw: g, up: http1.NewUpstream()} }

// begin takes the snapshot and notes who asks.
func (f *flow) begin(x Exchange, c *Connection, a Arrival) {
	f.x, f.req = x, x.Request()
	f.shard, f.secure, f.tlsGroup, f.tlsFor, f.proto = c.Shard, c.Secure, c.TLSGroup, c.TLSFor, a.Proto
	f.snap, f.lent = f.gw.acquire(f.shard), true
	f.trusted = f.snap.Trusted.Contains(c.Peer.Addr())
	f.client = Client{Addr: c.Peer, Peer: c.Peer, Local: c.Local, TLS: c.Secure, Proto: a.Proto}
	f.began, f.connected, f.answered = a.Start, 0, 0
	f.first, f.listener = nil, nil
	if s := f.snap.sites(c.Frontend); s != nil && s.First().HTTPS == c.Secure {
		f.first = s.First()
		f.listener = s.Find(f.req.Bytes(f.req.HostName))
	} else {
		x.CloseAfter() // the listener is gone, or has changed its protocol
	}
	f.beginRecord(c, a)
}

// serve takes the request through its steps, each of which may end it.
func (f *flow) serve() {
	switch {
	case f.listener == nil:
		f.refuse(404, "no listener takes this host", telemetry.ErrorInfoInvalidHost)
	case !f.admit():
	case !f.route():
	case f.target.Redirect != nil:
		f.redirect(f.target.Redirect)
	default:
		f.forward()
	}
}

// admit checks the client and the request against the listener's rules.
func (f *flow) admit() bool {
	if f.secure && f.tlsGroup != f.listener.TLSGroup {
		if f.tlsFor != f.listener.Name {
			f.refuse(421, "host belongs to a listener with other TLS settings", telemetry.ErrorInfoInvalidHost)
			return false
		}
		f.x.CloseAfter() // a reload changed the settings: they apply from the next connection on
	}
	f.findClient()
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
	f.target = f.listener.Target
	if m := f.listener.Paths; m != nil {
		var ambiguous bool
		if f.target, ambiguous = m.Find(f.req.Bytes(f.req.Path)); ambiguous {
			f.refuse(400, errPathParams.Error(), telemetry.ErrorInfoRequestURIInvalid)
			return false
		}
	}
	if f.target == nil {
		f.refuse(404, "no rule is bound to the listener", "")
		return false
	}
	f.rec.PathRule = f.target.PathRule
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
	f.snap, f.x, f.req, f.first, f.listener, f.target, f.backend = nil, nil, nil, nil, nil, nil, nil
	f.streamed, f.trailers, f.answerTrailers = false, trailersUnknown, trailersUnknown
	f.repin, f.tunneled, f.upload = false, 0, nil
	if cap(f.scratch) > 16<<10 {
		f.scratch = nil
	}
}
