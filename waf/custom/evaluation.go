package custom

import (
	"net/netip"
	"unsafe"

	"gatehouse/waf/variables"
)

// keptScratch is how much memory an Evaluation keeps for the next request.
const keptScratch = 16 << 10

// Evaluation goes through a Set's rules for one request. Its zero value is
// ready for Start, which also begins anew for another request.
type Evaluation struct {
	rules   []compiled
	request *variables.Request
	country func(netip.Addr) string

	at    int  // the rule that is next
	whole bool // the body was read
	waits bool // the next rule waits for the body

	scratch [2][]byte // what transforms write to, in turn
}

// Start begins with the first rule; a nil Set has none. The request is only read. Country gives
// the ISO 3166-1 alpha-2 code of an address, or "" or ZZ where it is unknown;
// if nil, all are unknown.
func (e *Evaluation) Start(s *Set, r *variables.Request, country func(netip.Addr) string) {
	*e = Evaluation{request: r, country: country, scratch: e.scratch}
	if s != nil {
		e.rules = s.rules
	}
	for i, b := range e.scratch {
		if cap(b) > keptScratch {
			e.scratch[i] = nil
		}
	}
}

// Next returns the next rule that matches. After the last, and where the next
// rule cannot be decided without the body, ok is false: NeedsBody tells which.
func (e *Evaluation) Next() (m Match, ok bool) {
	for e.waits = false; e.at < len(e.rules); e.at++ {
		rule := &e.rules[e.at]
		switch e.decide(rule) {
		case matches:
			e.at++
			return e.describe(rule), true
		case undecided:
			e.waits = true
			return Match{}, false
		}
	}
	return Match{}, false
}

// NeedsBody reports whether Next stopped at a rule that must see the body.
func (e *Evaluation) NeedsBody() bool { return e.waits }

// BodyRead says that the request's Body is filled, or that there is none, so
// that Next may go on.
func (e *Evaluation) BodyRead() { e.whole = true }

// Release lets go of the request, and keeps what the next one can reuse.
func (e *Evaluation) Release() { e.Start(nil, nil, nil) }

type decision uint8

const (
	fails decision = iota
	matches
	undecided
)

// decide holds all conditions against the request. One that fails on the head
// alone decides the rule, also where another waits for the body.
func (e *Evaluation) decide(r *compiled) decision {
	result := matches
	for i := range r.conditions {
		c := &r.conditions[i]
		if c.body && !e.whole {
			result = undecided
		} else if _, found := e.find(c); found == c.Negate {
			return fails
		}
	}
	return result
}

// finding is a value that satisfies an operator. Its value may be in scratch.
type finding struct {
	variable    Variable
	name, value string
}

// find looks for the first value that satisfies the condition's operator.
func (e *Evaluation) find(c *condition) (f finding, ok bool) {
	for i := range c.Variables {
		if f, ok = e.findIn(c, &c.Variables[i]); ok {
			return f, true
		}
	}
	return finding{}, false
}

func (e *Evaluation) findIn(c *condition, s *Source) (finding, bool) {
	r := e.request
	switch s.Variable {
	case RemoteAddr:
		return e.findAddress(c, s, r.Client.Addr())
	case SocketAddr:
		return e.findAddress(c, s, r.Peer.Addr())
	case RequestMethod:
		return e.findText(c, s, "", r.Method)
	case QueryString:
		return e.findNonempty(c, s, r.Query)
	case RequestURI:
		return e.findText(c, s, "", r.Origin())
	case RequestHeaders:
		return e.findPair(c, s, r.Headers)
	case RequestCookies:
		return e.findPair(c, s, r.Cookies)
	case PostArgs:
		return e.findPair(c, s, r.Body.ArgsPost)
	case RequestBody:
		return e.findBody(c, s)
	}
	return finding{}, false
}

func (e *Evaluation) findAddress(c *condition, s *Source, a netip.Addr) (finding, bool) {
	if !c.address.holdsAddr(a, e.country) {
		return finding{}, false
	}
	return finding{variable: s.Variable}, true // describe adds the text, which costs an allocation
}

func (e *Evaluation) findText(c *condition, s *Source, name, value string) (finding, bool) {
	value = e.transform(c.Transforms, value)
	if !c.text.holds(value) {
		return finding{}, false
	}
	return finding{s.Variable, name, value}, true
}

// findNonempty is for texts that are absent when they are empty.
func (e *Evaluation) findNonempty(c *condition, s *Source, value string) (finding, bool) {
	if value == "" && c.Operator == Any {
		return finding{}, false
	}
	return e.findText(c, s, "", value)
}

func (e *Evaluation) findPair(c *condition, s *Source, pairs []variables.Pair) (finding, bool) {
	for i := range pairs {
		if !s.selects(pairs[i].Name) {
			continue
		}
		if f, ok := e.findText(c, s, pairs[i].Name, pairs[i].Value); ok {
			return f, true
		}
	}
	return finding{}, false
}

// findBody looks at the body as it came or, where only its parts were kept,
// at the texts in it. Without any, the body is the empty text.
func (e *Evaluation) findBody(c *condition, s *Source) (finding, bool) {
	b := &e.request.Body
	if c.Operator == Any && b.Processor != variables.None {
		return finding{variable: s.Variable}, true // also a form of nothing but files
	}
	if b.Raw != "" || len(b.ArgsPost)+len(b.XMLText)+len(b.XMLAttributes) == 0 {
		return e.findNonempty(c, s, b.Raw)
	}
	for i := range b.ArgsPost {
		p := &b.ArgsPost[i]
		if f, ok := e.findText(c, s, p.Name, p.Value); ok {
			return f, true
		}
		if f, ok := e.findText(c, s, "", p.Name); ok {
			return f, true
		}
	}
	if f, ok := e.findAmong(c, s, b.XMLText); ok {
		return f, true
	}
	return e.findAmong(c, s, b.XMLAttributes)
}

func (e *Evaluation) findAmong(c *condition, s *Source, texts []string) (finding, bool) {
	for _, text := range texts {
		if f, ok := e.findText(c, s, "", text); ok {
			return f, true
		}
	}
	return finding{}, false
}

// transform applies transforms in order. The result is valid until the next
// call.
func (e *Evaluation) transform(list []Transform, s string) string {
	turn := 0 // s may be in the other one
	for _, t := range list {
		out, changed := t.apply(e.scratch[turn][:0], s)
		if changed {
			e.scratch[turn] = out
			s = unsafe.String(unsafe.SliceData(out), len(out))
			turn ^= 1
		}
	}
	return s
}
