package rewrite

import (
	"fmt"
	"net/netip"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/tlscert"
)

// Refusal is why a message cannot be rewritten, and the status to answer.
type Refusal struct {
	Status int
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// What a client can make of a rewrite, and what a backend.
var (
	errTooLarge         = &Refusal{431, "rewrite: the request's fields become too large"}
	errResponseTooLarge = &Refusal{502, "rewrite: the response's fields become too large"}
	errURLTooLarge      = &Refusal{414, "rewrite: the URL becomes too long"}
	errControl          = &Refusal{400, "rewrite: control character in a value"}
	errResponseControl  = &Refusal{502, "rewrite: control character in a value"}
	errHost             = &Refusal{400, "rewrite: the new Host is none"}
)

// Facts are what variables tell beside the messages.
type Facts struct {
	Client     netip.AddrPort // who asks; Port 0: only the address is known
	Peer       netip.AddrPort // the other end of the connection
	Trusted    bool           // the peer: what it says of others is believed
	Secure     bool           // TLS from the client
	TLSVersion uint16
	Cipher     uint16
	Port       uint16              // of the listener
	Proto      string              // "HTTP/1.1"
	Offered    []uint16            // cipher suites that the client offered
	Trips      RoundTripper        // of the client's connection; nil: not known
	Cert       *tlscert.ClientCert // nil: the listener asks for none

	Received, Sent int64 // so far
}

// RoundTripper knows how long it takes to the other end of a connection and
// back.
type RoundTripper interface {
	// RTT is the kernel's estimate; false if it has none.
	RTT() (time.Duration, bool)
}

// Limits bound what a rewrite may make.
type Limits struct {
	Fields int // bytes of values, names and URLs of one message
	URL    int // bytes of path and query
}

// Exchange rewrites one request and its response. It is used for one after
// another: Begin, then Request once or twice, Apply, and Response. It reads
// the request until then, and changes it in Apply only, but for its arena.
type Exchange struct {
	Facts
	limits Limits
	q      *httpmsg.Request
	r      *httpmsg.Response // nil: it is the request's turn

	path  httpmsg.Span // as received and made canonical
	query httpmsg.Span // as received
	asked bool         // there was a query
	by    httpmsg.Span // the addresses it came by, where the response wants them
	runs  [2]run
	n     int
	group []httpmsg.Span // what patterns have found, of all runs
	made  int            // bytes, of the message whose turn it is
	out   []byte         // the value being made
	from  []byte         // Set-Cookie line that a matcher has found, and its groups
	found []int

	changes []change // of request fields, in order

	// What Request wants of the URL. The path is not canonical, and begins
	// with a slash.
	Path, Query       httpmsg.Span
	SetPath, SetQuery bool
	HasQuery          bool // Query is not empty
	Reevaluate        bool
	// Host is the new Host; Valid iff SetHost.
	Host    httpmsg.Span
	SetHost bool
}

// run is one set on one exchange.
type run struct {
	set  *Set
	ok   []bool // by rule: its conditions on the request hold
	base int    // of its groups
}

// change is what becomes of a request field.
type change struct {
	*field
	value httpmsg.Span // empty: it is deleted
}

// Begin forgets the exchange before and takes a request, whose path is
// canonical.
func (x *Exchange) Begin(q *httpmsg.Request, f Facts, l Limits) {
	x.q, x.r, x.Facts, x.limits = q, nil, f, l
	x.path, x.query, x.asked, x.by = q.Path, q.Query, q.HasQuery, httpmsg.Span{}
	x.n, x.made = 0, 0
	x.group, x.changes = x.group[:0], x.changes[:0]
	x.SetPath, x.SetQuery, x.HasQuery, x.Reevaluate, x.SetHost = false, false, false, false, false
}

// End lets go of what belongs to the exchange.
func (x *Exchange) End() {
	x.q, x.r, x.n, x.from = nil, nil, 0, nil
	x.Facts = Facts{}
	clear(x.changes)
	x.changes = x.changes[:0]
	for i := range x.runs {
		x.runs[i].set = nil
	}
	const most = 16 << 10
	if cap(x.out) > most {
		x.out = nil
	}
}

// Ran reports whether the set has been run on this exchange.
func (x *Exchange) Ran(s *Set) bool {
	for i := range x.n {
		if x.runs[i].set == s {
			return true
		}
	}
	return false
}

// Request runs the rules of a set on the request: two sets at most, the second
// after the path map was looked at once more. Reevaluate says whether this one
// asks for that.
func (x *Exchange) Request(s *Set) error {
	r := &x.runs[x.n]
	x.n++
	r.set, r.base = s, len(x.group)
	r.ok = append(r.ok[:0], make([]bool, len(s.rules))...)
	for range s.groups {
		x.group = append(x.group, httpmsg.Span{})
	}
	x.Reevaluate = false
	if s.cameBy && x.by.Len == 0 {
		x.out = x.appendForwardedFor(x.out[:0])
		x.by = x.q.Keep(x.out)
	}
	for i := range s.rules {
		if r.ok[i] = x.hold(s.rules[i].conditions, r.base); !r.ok[i] || len(s.rules[i].late) > 0 {
			continue
		}
		if err := x.change(&s.rules[i], r.base); err != nil {
			return err
		}
	}
	return nil
}

// hold reports whether all conditions do.
func (x *Exchange) hold(conditions []condition, base int) bool {
	for i := range conditions {
		if !x.holds(&conditions[i], base) {
			return false
		}
	}
	return true
}

// holds also notes the groups that are wanted.
func (x *Exchange) holds(c *condition, base int) bool {
	if lines := x.setCookies(c.variable); lines {
		return x.holdsInLine(c, base)
	}
	return x.match(c, x.span(c.variable), base) != c.negate
}

// match looks for the pattern in a text.
func (x *Exchange) match(c *condition, s httpmsg.Span, base int) bool {
	b := x.turn().Bytes(s)
	if c.groups == 0 {
		return c.re.Match(b)
	}
	at := c.re.FindSubmatchIndex(b)
	if at == nil {
		return false
	}
	for g := range c.groups {
		x.group[base+c.at+g] = within(s, at[2*g+2], at[2*g+3])
	}
	return true
}

// within is a piece of a span; nothing for a group that took no part.
func within(s httpmsg.Span, from, to int) httpmsg.Span {
	switch {
	case from < 0 || from == to:
		return httpmsg.Span{}
	case s.Off < 0:
		return httpmsg.Span{Off: ^(^s.Off + int32(from)), Len: int32(to - from)}
	}
	return httpmsg.Span{Off: s.Off + int32(from), Len: int32(to - from)}
}

// turn is the message whose turn it is: conditions look at it, and texts are
// kept in it.
func (x *Exchange) turn() *httpmsg.Fields {
	if x.r != nil {
		return &x.r.Fields
	}
	return &x.q.Fields
}

// change notes what a rule wants of the request.
func (x *Exchange) change(r *rule, base int) error {
	if err := x.changeURL(r, base); err != nil {
		return err
	}
	for i := range r.request {
		f := &r.request[i]
		value, err := x.value(f.value, base)
		if err != nil {
			return err
		}
		c := change{field: f, value: x.q.Keep(value)}
		if f.id == httpmsg.Host {
			if !isHost(value) {
				return errHost
			}
			x.Host, x.SetHost = c.value, true
		}
		if !f.append || len(value) > 0 {
			x.changes = append(x.changes, c)
		}
	}
	return nil
}

// changeURL notes the new path and query. What a request without a path asks
// for (OPTIONS *) stays.
func (x *Exchange) changeURL(r *rule, base int) error {
	if x.q.Form == httpmsg.AsteriskForm || r.path == nil && !r.setQuery {
		return nil
	}
	if r.path != nil {
		path, err := x.urlText(r.path, base, appendToPath)
		if err != nil {
			return err
		}
		x.Path, x.SetPath = x.keepPath(path), true
		x.Reevaluate = x.Reevaluate || r.reevaluate
	}
	if r.setQuery {
		query, err := x.urlText(r.query, base, appendToQuery)
		if err != nil {
			return err
		}
		x.Query, x.SetQuery, x.HasQuery = x.q.Keep(query), true, len(query) > 0
	}
	return nil
}

// keepPath makes sure of the slash at the beginning.
func (x *Exchange) keepPath(path []byte) httpmsg.Span {
	if len(path) > 0 && path[0] == '/' {
		return x.q.Keep(path)
	}
	a := x.q.Arena()
	n := len(a)
	return x.q.Kept(append(append(a, '/'), path...), n)
}

// ChangesTarget reports whether one of the sets can; see Set.ChangesTarget.
func (x *Exchange) ChangesTarget() bool {
	for i := range x.n {
		if x.runs[i].set.target {
			return true
		}
	}
	return false
}

// Apply makes the changes of request fields: all of them once the gateway has
// done what it does to fields. Before that, first makes those which the
// firewall is to see: fields that are set or deleted and that the gateway does
// not write. They are made again in the end, because a client can have any
// field dropped in between by naming it in Connection.
func (x *Exchange) Apply(first bool) {
	for i := range x.changes {
		if c := &x.changes[i]; !first || !c.append && !managed(c.field) {
			apply(&x.q.Fields, c.field, c.value)
		}
	}
	if !first {
		clear(x.changes)
		x.changes = x.changes[:0]
	}
}

// managed reports whether the gateway writes or drops such fields once the
// firewall has seen the request.
func managed(f *field) bool {
	switch f.id {
	case httpmsg.XForwardedFor, httpmsg.XForwardedHost, httpmsg.XForwardedPort, httpmsg.XForwardedProto, httpmsg.XOriginalURL,
		httpmsg.XRealIP, httpmsg.Forwarded, httpmsg.Proxy:
		return true
	case httpmsg.Other:
		return httpmsg.Vouches([]byte(f.name)) || httpmsg.Internal([]byte(f.name))
	}
	return false
}

// apply changes a field of a message.
func apply(m *httpmsg.Fields, f *field, value httpmsg.Span) {
	if f.append {
		m.Add(f.id, m.KeepString(f.name), value)
		return
	}
	done := value.Len == 0
	for i := range m.Len() {
		id, name, _, ok := m.At(i)
		switch {
		case !ok || !f.is(id, name):
		case done:
			m.DeleteAt(i)
		default:
			m.SetValueAt(i, value)
			done = true
		}
	}
	if !done {
		m.Add(f.id, m.KeepString(f.name), value)
	}
}

// Response runs the rules of the sets on the response, as its backend's head
// is to be sent on.
func (x *Exchange) Response(r *httpmsg.Response, received, sent int64, limit int) error {
	x.r, x.made, x.limits.Fields = r, 0, limit
	x.Received, x.Sent = received, sent
	for i := range x.n {
		run := &x.runs[i]
		for j := range run.set.rules {
			rule := &run.set.rules[j]
			if !run.ok[j] || len(rule.response) == 0 || !x.hold(rule.late, run.base) {
				continue
			}
			for k := range rule.response {
				if err := x.changeResponse(&rule.response[k], run.base); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// changeResponse makes one change.
func (x *Exchange) changeResponse(f *field, base int) error {
	if f.matcher != nil {
		return x.changeLines(f, base)
	}
	value, err := x.value(f.value, base)
	if err != nil {
		return err
	}
	if !f.append || len(value) > 0 {
		apply(&x.r.Fields, f, x.r.Keep(value))
	}
	return nil
}

// changeLines changes the lines of Set-Cookie that a matcher chooses.
func (x *Exchange) changeLines(f *field, base int) error {
	defer func() { x.from, x.found = nil, nil }()
	for i := range x.r.Len() {
		id, name, line, ok := x.r.At(i)
		if !ok || !f.is(id, name) {
			continue
		}
		if x.from, x.found = line, f.matcher.FindSubmatchIndex(line); (x.found == nil) != f.negate {
			continue
		}
		value, err := x.value(f.value, base)
		if err != nil {
			return err
		}
		if len(value) == 0 {
			x.r.DeleteAt(i)
			continue
		}
		x.r.SetValueAt(i, x.r.Keep(value))
	}
	return nil
}

// Rule says of a rule of a set that was run what became of it.
type Rule struct {
	Set, Name string
	Holds     bool // its conditions on the request
	Later     bool // it is about the response, too
}

// Changes are what is to become of request fields, for people.
func (x *Exchange) Changes() []string {
	var all []string
	for _, c := range x.changes {
		switch value := x.q.Bytes(c.value); {
		case len(value) == 0:
			all = append(all, "delete "+c.name)
		case c.append:
			all = append(all, fmt.Sprintf("append %s: %s", c.name, value))
		default:
			all = append(all, fmt.Sprintf("set %s: %s", c.name, value))
		}
	}
	return all
}

// Rules are the rules that have been run, for people.
func (x *Exchange) Rules() []Rule {
	var all []Rule
	for i := range x.n {
		r := &x.runs[i]
		for j := range r.set.rules {
			rule := &r.set.rules[j]
			all = append(all, Rule{r.set.name, rule.name, r.ok[j], len(rule.late) > 0 || len(rule.response) > 0})
		}
	}
	return all
}
