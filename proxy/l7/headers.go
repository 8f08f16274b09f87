package l7

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

// appendTraceID appends 32 hexadecimal digits, unique for each request
// (Azure: X-AppGW-Trace-Id).
func appendTraceID(dst []byte) []byte {
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	return hex.AppendEncode(dst, id[:])
}

// looped reports whether the request has passed this process before, or may
// go no further (hostile-input row 50; RFC 9110 7.6.2, 7.6.3).
func (f *flow) looped() bool {
	for i := range f.req.Len() {
		switch id, live := f.req.IDAt(i); {
		case !live:
		case id == httpmsg.Via && bytes.Contains(f.req.ValueAt(i), []byte(f.gw.via)):
			return true
		case id == httpmsg.MaxForwards && f.req.Method == httpmsg.OPTIONS && f.countForward(i):
			return true
		}
	}
	return false
}

// maxCookies is how many cookies a request may carry (hostile-input row 60):
// as many as Go's net/http takes apart.
const maxCookies = 3000

// tooManyCookies counts cookies without taking them apart.
func tooManyCookies(q *httpmsg.Fields) bool {
	n := 0
	for i := range q.Len() {
		if id, live := q.IDAt(i); id == httpmsg.Cookie && live {
			n += 1 + bytes.Count(q.ValueAt(i), []byte(";"))
		}
	}
	return n > maxCookies
}

// countForward takes one from Max-Forwards; true when none is left.
func (f *flow) countForward(i int) bool {
	n, err := strconv.ParseUint(string(f.req.ValueAt(i)), 10, 31)
	if err != nil {
		return false
	}
	if n == 0 {
		return true
	}
	f.req.SetValueAt(i, f.req.KeepString(strconv.FormatUint(n-1, 10)))
	return false
}

// prepareRequest makes the client's request the one that backends get, apart
// from what differs from member to member; false when it was refused.
func (f *flow) prepareRequest() bool {
	q := f.req
	http1.StripHopByHop(&q.Fields, false)
	httpmsg.DropUnsafeNames(&q.Fields)
	httpmsg.DropInternal(&q.Fields)
	q.Delete(httpmsg.Expect)
	if !f.overridePath() {
		f.refuse(400, "path is not canonical once it is overridden", telemetry.ErrorInfoRequestURIInvalid)
		return false
	}
	f.addForwarding()
	if f.who.n > 0 {
		f.tellIdentity()
	}
	if f.rewriting {
		f.rewrite.Apply(false)
	}
	if f.cert != nil {
		f.addClientCert()
	}
	return true
}

// overridePath replaces the part of the path that the path rule matched by
// the settings' path override (Azure: override backend path). The result must
// be as canonical as what it was made from: /api* and /public/ must not make
// /public/../secret of /api../secret (hostile-input row 54).
func (f *flow) overridePath() bool {
	override := f.target.Settings.PathOverride
	if override == "" || f.req.Form == httpmsg.AsteriskForm {
		return true
	}
	rest := f.req.Bytes(f.req.Path)
	if n := len(f.target.Strip); len(rest) >= n && httpmsg.EqualFold(rest[:n], f.target.Strip) {
		rest = rest[n:] // unless a stage has changed it
	}
	a := f.req.Arena()
	n := len(a)
	a = append(a, override...)
	switch {
	case a[len(a)-1] == '/' && len(rest) > 0 && rest[0] == '/':
		rest = rest[1:]
	case a[len(a)-1] != '/' && (len(rest) == 0 || rest[0] != '/') && len(rest) > 0:
		a = append(a, '/')
	}
	a = append(a, rest...)
	f.req.Path = f.req.Kept(a, n)
	_, same, err := httpmsg.CanonicalPath(nil, f.req.Bytes(f.req.Path), f.pathOptions())
	return same && err == nil
}

// addForwarding replaces the client's forwarding fields by ours; those of a
// trusted proxy are kept and added to.
func (f *flow) addForwarding() {
	q := f.req
	forwarded, hasProto, hasHost, hasPort := f.dropForwarding()
	if forwarded < 0 {
		q.Add(httpmsg.XForwardedFor, q.KeepString("X-Forwarded-For"), f.forwardedFor(nil))
	} else {
		q.SetValueAt(forwarded, f.forwardedFor(q.ValueAt(forwarded)))
	}
	if !hasProto {
		proto := "http"
		if f.secure {
			proto = "https"
		}
		q.Add(httpmsg.XForwardedProto, q.KeepString("X-Forwarded-Proto"), q.KeepString(proto))
	}
	if !hasPort {
		a := q.Arena()
		n := len(a)
		a = strconv.AppendUint(a, uint64(f.listener.Port), 10)
		port := q.Kept(a, n)
		q.Add(httpmsg.XForwardedPort, q.KeepString("X-Forwarded-Port"), port)
	}
	if !hasHost && q.Authority.Len > 0 {
		q.Add(httpmsg.XForwardedHost, q.KeepString("X-Forwarded-Host"), q.Authority)
	}
	if q.Authority.Len > 0 {
		q.Add(httpmsg.XOriginalHost, q.KeepString("X-Original-Host"), q.Authority)
	}
	q.Add(httpmsg.XOriginalURL, q.KeepString("X-Original-URL"), f.originalURL())
	q.Add(httpmsg.XAppGWTraceID, q.KeepString("X-AppGW-Trace-Id"), q.Keep(f.rec.TraceID[:]))
	q.Add(httpmsg.Via, q.KeepString("Via"), q.KeepString(f.gw.via))
}

// originalURL is the path and query as the client sent them.
func (f *flow) originalURL() httpmsg.Span {
	q := f.req
	if q.Form != httpmsg.AbsoluteForm {
		return q.Target
	}
	a := q.Arena()
	n := len(a)
	a = append(a, q.Bytes(q.RawPath)...)
	if _, query, ok := bytes.Cut(q.Bytes(q.Target), []byte{'?'}); ok {
		a = append(append(a, '?'), query...)
	}
	return q.Kept(a, n)
}

// dropForwarding deletes the forwarding fields that are not to be believed.
// Of a trusted proxy's it keeps the last X-Forwarded-For line, with the others
// joined to it, and says where that is.
func (f *flow) dropForwarding() (forwardedFor int, proto, host, port bool) {
	forwardedFor = -1
	q := f.req
	for i := range q.Len() {
		id, live := q.IDAt(i)
		if !live {
			continue
		}
		switch id {
		case httpmsg.XForwardedFor:
			if !f.trusted {
				q.DeleteAt(i)
				continue
			}
			if forwardedFor >= 0 {
				q.SetValueAt(i, joinValues(q, forwardedFor, i))
				q.DeleteAt(forwardedFor)
			}
			forwardedFor = i
		case httpmsg.XForwardedProto:
			proto = f.keepForwarding(i, proto) || proto
		case httpmsg.XForwardedHost:
			host = f.keepForwarding(i, host) || host
		case httpmsg.XForwardedPort:
			port = f.keepForwarding(i, port) || port
		case httpmsg.XRealIP, httpmsg.Forwarded:
			f.keepForwarding(i, false)
		case httpmsg.XOriginalHost, httpmsg.XOriginalURL, httpmsg.XAppGWTraceID:
			q.DeleteAt(i)
		case httpmsg.Other:
			if !f.trusted && isForwarding(q, i) {
				q.DeleteAt(i)
			}
		}
	}
	return forwardedFor, proto, host, port
}

// isForwarding reports whether a field is another one by which proxies vouch
// for a request: X-Forwarded-Prefix, True-Client-IP, SSL-Client-Verify and so
// on (row 42).
func isForwarding(q *httpmsg.Request, i int) bool {
	_, name, _, ok := q.At(i)
	return ok && httpmsg.Vouches(name)
}

// keepForwarding keeps the first field of a kind from a trusted proxy.
func (f *flow) keepForwarding(i int, have bool) bool {
	if f.trusted && !have {
		return true
	}
	f.req.DeleteAt(i)
	return false
}

// joinValues makes one list of two.
func joinValues(q *httpmsg.Request, i, j int) httpmsg.Span {
	a := q.Arena()
	n := len(a)
	a = append(a, q.ValueAt(i)...)
	a = append(a, ", "...)
	a = append(a, q.ValueAt(j)...)
	return q.Kept(a, n)
}

// forwardedFor appends the peer to a list of addresses: the address alone, or
// in Azure's form with its port.
func (f *flow) forwardedFor(list []byte) httpmsg.Span {
	a := f.req.Arena()
	n := len(a)
	if len(list) > 0 {
		a = append(a, list...)
		a = append(a, ", "...)
	}
	peer := f.client.Peer
	switch {
	case !peer.IsValid():
		a = append(a, "unknown"...)
	case f.snap.ForwardedFor == config.ForwardedForAzure:
		a = peer.AppendTo(a)
	default:
		a = peer.Addr().WithZone("").AppendTo(a)
	}
	return f.req.Kept(a, n)
}

// setHost makes the Host field what a rewrite or the settings ask for; for a
// member when it is to be taken from there.
func (f *flow) setHost(b *proxy.Backend) {
	if f.rewriting && f.rewrite.SetHost {
		f.putHost(f.rewrite.Host)
		return
	}
	s := f.target.Settings
	host := s.host
	if s.PickHostFromBackend {
		host = hostInField(b.Target())
	}
	if host == "" {
		f.rec.HostSent = f.req.Bytes(f.req.Authority)
		switch {
		case f.req.Authority.Len == 0:
			host = b.Name() // HTTP/1.0 without Host
		case f.canonicalHost():
			return
		default:
			host = f.hostAndPort()
		}
	}
	f.putHost(f.req.KeepString(host))
}

// putHost makes the Host field that.
func (f *flow) putHost(value httpmsg.Span) {
	for i := range f.req.Len() {
		if id, live := f.req.IDAt(i); live && id == httpmsg.Host {
			f.req.SetValueAt(i, value)
			f.rec.HostSent = f.req.Bytes(value)
			return
		}
	}
	f.req.Add(httpmsg.Host, f.req.KeepString("Host"), value)
	f.rec.HostSent = f.req.Bytes(value)
}

// canonicalHost reports whether the host that was decided on is the one that
// the request says: in lower case, without a dot at its end, and with a port
// or no colon.
func (f *flow) canonicalHost() bool {
	said, name := f.req.Bytes(f.req.Authority), f.req.Bytes(f.req.HostName)
	port := len(said) - len(name)
	return bytes.HasPrefix(said, name) && (port == 0 || port > 1 && said[len(name)] == ':')
}

// hostAndPort is the host that was decided on, as a Host field has it.
func (f *flow) hostAndPort() string {
	name := string(f.req.Bytes(f.req.HostName))
	if f.req.Port != 0 {
		name += ":" + strconv.Itoa(int(f.req.Port))
	}
	return name
}

// hostInField puts an IPv6 address into brackets.
func hostInField(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]"
	}
	return host
}

// prepareResponse makes the backend's final response the one that the client
// gets.
func (f *flow) prepareResponse(r *httpmsg.Response) {
	http1.StripHopByHop(&r.Fields, false)
	if _, dated := r.Get(httpmsg.Date); !dated {
		r.Add(httpmsg.Date, r.KeepString("Date"), r.Keep(f.gw.dates.now())) // RFC 9110 6.6.1
	}
	f.addAltSvc(r)
	if f.target.CORS != nil {
		f.target.CORS.apply(f.req, r)
	}
	f.addAffinity(r)
	f.addQuotas(r)
}

// deniedBy returns the access rule that denies an address, nil for none.
func (t *AccessTable) deniedBy(a netip.Addr) *config.AccessRule {
	if t == nil {
		return nil
	}
	if r := t.first(a); r != nil && r.Deny {
		return r
	}
	return nil
}

// first returns the rule that decides on an address, nil for none.
func (t *AccessTable) first(a netip.Addr) *config.AccessRule {
	var first *config.AccessRule
	t.rules.Visit(a, func(r *config.AccessRule) bool {
		if first == nil || r.Priority < first.Priority {
			first = r
		}
		return true
	})
	return first
}

// ruleLabel names an access rule for people.
func ruleLabel(r *config.AccessRule) string {
	if r.Name != "" {
		return r.Name
	}
	return "of priority " + strconv.Itoa(r.Priority)
}

// lowerHost is a server name as host names are compared: in lower case,
// without a trailing dot (hostile-input row 62).
func lowerHost(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
