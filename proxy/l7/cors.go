package l7

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// CORS is a compiled CORS policy (Fetch standard, 3.2 CORS protocol).
type CORS struct {
	Name string

	every   bool // any origin, without credentials
	exact   map[string]bool
	labels  []wildOrigin
	methods map[string]bool
	headers map[string]bool // in lower case

	credentials                                    bool
	allowMethods, allowHeaders, exposeHeaders, age string // as fields have them; empty: none
}

// wildOrigin is https://*.app.example: what stands before and behind the label.
type wildOrigin struct{ before, behind string }

// NewCORS compiles a policy.
func NewCORS(p *config.CORSPolicy) *CORS {
	c := &CORS{Name: p.Name, exact: map[string]bool{}, methods: map[string]bool{}, headers: map[string]bool{}, credentials: p.AllowCredentials,
		allowMethods: strings.Join(p.AllowMethods, ", "), allowHeaders: strings.Join(p.AllowHeaders, ", "), exposeHeaders: strings.Join(p.ExposeHeaders, ", ")}
	for _, o := range p.AllowOrigins {
		before, behind, wild := strings.Cut(o, "*")
		switch {
		case o == "*":
			c.every = true
		case wild:
			c.labels = append(c.labels, wildOrigin{before, behind})
		default:
			c.exact[o] = true
		}
	}
	for _, m := range append([]string{"GET", "HEAD", "POST"}, p.AllowMethods...) {
		c.methods[m] = true // the first three need no permission (Fetch 2.2.1)
	}
	for _, h := range p.AllowHeaders {
		c.headers[strings.ToLower(h)] = true
	}
	if p.MaxAge > 0 {
		c.age = strconv.FormatInt(int64(p.MaxAge/time.Second), 10)
	}
	return c
}

// allows reports whether pages of an origin may read responses.
func (c *CORS) allows(origin []byte) bool {
	if c.every || c.exact[string(origin)] {
		return true
	}
	for _, w := range c.labels {
		n := len(origin) - len(w.before) - len(w.behind)
		if n < 1 || n > 63 || !bytes.HasPrefix(origin, []byte(w.before)) || !bytes.HasSuffix(origin, []byte(w.behind)) {
			continue
		}
		if isLabel(origin[len(w.before) : len(w.before)+n]) {
			return true
		}
	}
	return false
}

// isLabel reports whether a text is one label of a host, as browsers send it.
func isLabel(b []byte) bool {
	for _, c := range b {
		if !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// preflight answers a preflight; false when the request is none.
func (f *flow) preflight() bool {
	if f.req.Method != httpmsg.OPTIONS {
		return false
	}
	origin, ok := f.req.Lookup("Origin")
	method, asked := f.req.Lookup("Access-Control-Request-Method")
	if !ok || !asked {
		return false
	}
	c := f.target.CORS
	if why := f.forbidden(c, origin, method); why != "" {
		f.refuse(403, "CORS policy "+c.Name+": "+why, "")
		return true
	}
	f.rec.Status, f.rec.Termination[0], f.rec.Termination[1] = 204, 'P', '-'
	r := f.startResponse(204)
	r.AddString("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	r.AddString("Access-Control-Allow-Methods", c.allowMethods)
	if c.allowHeaders != "" {
		r.AddString("Access-Control-Allow-Headers", c.allowHeaders)
	}
	if c.age != "" {
		r.AddString("Access-Control-Max-Age", c.age)
	}
	r.Body = httpmsg.BodyNone
	f.answer(r, nil)
	return true
}

// forbidden says why a preflight is refused.
func (f *flow) forbidden(c *CORS, origin, method []byte) string {
	switch {
	case !c.allows(origin):
		return "origin is not allowed"
	case !c.methods[string(method)]:
		return "method is not allowed"
	}
	for i := range f.req.Len() {
		_, name, value, live := f.req.At(i)
		if !live || !httpmsg.EqualFold(name, "access-control-request-headers") {
			continue
		}
		for elem, rest, ok := httpmsg.NextElement(value); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			if !c.headers[string(bytes.ToLower(elem))] {
				return "a header field is not allowed"
			}
		}
	}
	return ""
}

// apply makes what a response says of CORS what the policy says.
func (c *CORS) apply(q *httpmsg.Request, r *httpmsg.Response) {
	const prefix = "access-control-"
	for i := range r.Len() {
		if _, name, _, live := r.At(i); live && len(name) > len(prefix) && httpmsg.EqualFold(name[:len(prefix)], prefix) {
			r.DeleteAt(i)
		}
	}
	if !c.every {
		r.AddString("Vary", "Origin")
	}
	origin, ok := q.Lookup("Origin")
	if !ok || !c.allows(origin) {
		return
	}
	if c.every {
		r.AddString("Access-Control-Allow-Origin", "*")
	} else {
		r.Add(httpmsg.Other, r.KeepString("Access-Control-Allow-Origin"), r.Keep(origin))
	}
	if c.credentials {
		r.AddString("Access-Control-Allow-Credentials", "true")
	}
	if c.exposeHeaders != "" {
		r.AddString("Access-Control-Expose-Headers", c.exposeHeaders)
	}
}
