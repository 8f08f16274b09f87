package compression

import (
	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// wholeMax is up to where a body that is there as a whole is encoded at once,
// so that its length can be told.
const wholeMax = 64 << 10

// Policy says which responses are encoded, and how. It is immutable.
type Policy struct {
	engine    *Engine
	encodings []config.ContentCoding
	types     []media
	least     int64
	level     config.CompressionLevel
}

// NewPolicy compiles a policy.
func (e *Engine) NewPolicy(c *config.CompressionPolicy) *Policy {
	p := &Policy{engine: e, encodings: c.Encodings, least: int64(c.MinLength), level: c.Level}
	for _, t := range c.Types {
		p.types = append(p.types, newMedia(t))
	}
	return p
}

// Want is what a request says about the encoding of its response.
type Want struct {
	coding      config.ContentCoding
	must        bool // identity is not wanted
	head        bool // the request is HEAD
	noTransform bool // RFC 9111 5.2.1.6
}

// Want reads a request, as the client sent it.
func (p *Policy) Want(r *httpmsg.Request) (w Want) {
	w.head = r.Method == httpmsg.HEAD
	if a, given := accepts(&r.Fields); given {
		w.coding, w.must = a.choose(p.encodings)
	}
	w.noTransform = has(&r.Fields, "cache-control", "no-transform")
	return w
}

// Coding is the encoding that a response may get; empty: none.
func (w Want) Coding() string {
	if w.noTransform {
		return ""
	}
	return codings[w.coding].token
}

// has reports whether a list has a token.
func has(f *httpmsg.Fields, name, token string) bool {
	for i := range f.Len() {
		if id, n, value, ok := f.At(i); ok && id == httpmsg.Other && httpmsg.EqualFold(n, name) && httpmsg.HasToken(value, token) {
			return true
		}
	}
	return false
}

// Begin decides on a response, of which the first piece of the body is there;
// end says that this is all. It makes the head r that of what the client gets.
//
// With an encoder, which must be released, what is sent is its output; if end
// is true, that is in out already and whole. Without one, the body is sent as
// it is, and out is body.
func (p *Policy) Begin(w Want, r *httpmsg.Response, body []byte, end bool) (c *Encoder, out []byte, err error) {
	why := p.judge(w, r, body, end)
	if why == None && w.head {
		mark(&r.Fields, w.coding)
		r.ContentLength = -1 // it would be that of what GET is answered with
		return nil, nil, nil
	}
	if why == None {
		c, out, why, err = p.encode(w, r, body, end)
	}
	if why != None {
		p.engine.counts.skipped[why].Add(1)
	}
	if c == nil {
		out = body
	}
	return c, out, err
}

// judge decides on a response by what is known of it, and notes in its head
// that it depends on what the client accepts, if it does.
func (p *Policy) judge(w Want, r *httpmsg.Response, body []byte, end bool) Reason {
	switch why := p.fit(r); {
	case r.Status == 304:
		revalidated(w, r)
		return Status
	case why != None:
		return why
	case w.noTransform:
		return NoTransform
	}
	vary(&r.Fields)
	length := r.ContentLength
	if end && !w.head {
		length = int64(len(body))
	}
	switch {
	case w.coding == config.CodingNone:
		return NotAccepted
	case length == 0, length > 0 && length < p.least && !w.must:
		return Short
	case w.head:
		return None
	case p.engine.budget.overspent():
		return Processor
	}
	return None
}

// encode begins to encode.
func (p *Policy) encode(w Want, r *httpmsg.Response, body []byte, end bool) (*Encoder, []byte, Reason, error) {
	c, err := p.engine.encoder(w.coding, p.level)
	if c == nil {
		return nil, nil, Memory, err
	}
	n := &p.engine.counts
	if !end || len(body) > wholeMax {
		mark(&r.Fields, w.coding)
		r.Body, r.ContentLength = httpmsg.BodyChunked, -1
		n.done[w.coding].Add(1)
		return c, nil, None, nil
	}
	out, err := c.Whole(body)
	if err != nil || len(out) >= len(body) && !w.must {
		c.Release()
		return nil, nil, Incompressible, err
	}
	mark(&r.Fields, w.coding)
	r.Body, r.ContentLength = httpmsg.BodyLength, int64(len(out))
	n.done[w.coding].Add(1)
	n.in[w.coding].Add(int64(len(body)))
	n.out[w.coding].Add(int64(len(out)))
	return c, out, None, nil
}
