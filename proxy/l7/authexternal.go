package l7

import (
	"errors"
	"fmt"
	"io"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7/auth"
)

// External is a service that is asked about each request, over the pool of a
// target of its own.
type External struct {
	Target *Target
	Path   string
	Send   []string // fields of the client's request that it is told
	Take   []string // fields of its consent that the backend is told
}

// passedOn are the fields of a refusal that the client gets.
var passedOn = [...]string{"Location", "WWW-Authenticate", "Set-Cookie", "Content-Type", "Content-Encoding", "Cache-Control"}

// maxAnswer bounds the body of a refusal.
const maxAnswer = 64 << 10

// askExternal asks the service. Without an identity and a refusal the client
// was answered, or is gone.
func (f *flow) askExternal(a *Authentication) (*auth.Identity, *auth.Refusal) {
	e := a.External
	s, answer := f.gw.askingFlow(), &consent{client: f.x, external: e}
	answer.ask(f, e)
	s.x, s.to, s.req = answer, answer, &answer.req
	s.shard, s.secure, s.proto, s.client = f.shard, f.secure, f.proto, f.client
	s.snap, s.first, s.listener, s.target = f.snap, f.first, f.listener, e.Target
	s.rec.Reset()
	s.rec.TraceID = f.rec.TraceID
	s.began = stream.Now()
	whole := false
	defer func() {
		if !whole {
			s.giveUp() // and it is not used again
		}
	}()
	s.exchange(load{whole: true})
	s.endAttempts()
	whole = true
	id, why := f.settle(a, &s.rec, answer)
	s.release()
	f.gw.asking.Put(s)
	return id, why
}

// askingFlow is a flow that no client has.
func (g *Gateway) askingFlow() *flow {
	if s, ok := g.asking.Get().(*flow); ok {
		return s
	}
	return newFlow(g)
}

// settle reads the answer of the service.
func (f *flow) settle(a *Authentication, rec *telemetry.Record, c *consent) (*auth.Identity, *auth.Refusal) {
	good := c.started && (rec.Termination == telemetry.Termination{'-', '-'} || c.tooLong)
	switch {
	case rec.Status == 499:
		f.clientLeft('R')
		return nil, nil
	case !good:
		return nil, &auth.Refusal{Status: 503, Reason: "not answered: " + rec.Reason}
	case c.status/100 == 2:
		return &auth.Identity{Fields: c.fields}, nil
	case !c.refuses() || c.tooLong:
		return nil, &auth.Refusal{Status: 503, Reason: fmt.Sprintf("answered with status %d, or too much", c.status)}
	}
	a.Counts.Denied.Add(1)
	f.passOn(a, c)
	return nil, nil
}

// passOn answers the client as the service did.
func (f *flow) passOn(a *Authentication, c *consent) {
	f.rec.Termination = telemetry.Termination{'P', 'R'}
	f.rec.Reason, f.rec.Status = fmt.Sprintf("authentication %s: answered with status %d", a.Name, c.status), c.status
	r := f.startResponse(c.status)
	cached := false
	for _, field := range c.fields {
		addField(r, field.Name, field.Value)
		cached = cached || field.Name == "Cache-Control"
	}
	if !cached {
		r.AddString("Cache-Control", "no-store")
	}
	f.answer(r, c.body)
}

// consent is the exchange with the service: an Exchange whose client is the
// gateway itself.
type consent struct {
	client   Exchange // leaves, or not
	external *External
	req      httpmsg.Request

	started bool
	status  int
	fields  []auth.Field
	body    []byte
	read    int
	tooLong bool
}

// ask makes the request to the service.
func (c *consent) ask(f *flow, e *External) {
	q, from := &c.req, f.req
	q.Reset(nil)
	q.Method, q.MethodText = httpmsg.GET, q.KeepString("GET")
	q.Minor = 1
	path := q.KeepString(e.Path)
	q.Target, q.RawPath, q.Path = path, path, path
	if from.Authority.Len > 0 {
		q.Authority, q.HostName, q.Port = q.Keep(from.Bytes(from.Authority)), q.Keep(from.Bytes(from.HostName)), from.Port
		q.Add(httpmsg.Host, q.KeepString("Host"), q.Authority)
		q.AddString("X-Forwarded-Host", string(from.Bytes(from.Authority)))
	}
	q.AddString("X-Forwarded-Method", string(from.Bytes(from.MethodText)))
	q.AddString("X-Forwarded-Proto", f.scheme())
	q.AddString("X-Forwarded-Uri", string(from.Bytes(f.originalURL())))
	q.AddString("X-Forwarded-For", f.client.Addr.Addr().WithZone("").String())
	q.AddString("X-AppGW-Trace-Id", string(f.rec.TraceID[:]))
	q.AddString("Via", f.gw.via)
	for i := range from.Len() {
		id, name, value, live := from.At(i)
		for _, send := range e.Send {
			if live && httpmsg.EqualFold(name, send) {
				q.Add(id, q.Keep(name), q.Keep(value))
			}
		}
	}
}

// scheme is what the client uses, or what a trusted proxy says that it does.
func (f *flow) scheme() string {
	if said, ok := f.req.Get(httpmsg.XForwardedProto); ok && f.trusted {
		return string(said)
	}
	if f.secure {
		return "https"
	}
	return "http"
}

// refuses reports whether the answer is one that clients get.
func (c *consent) refuses() bool {
	switch c.status {
	case 301, 302, 303, 307, 308, 401, 403:
		return true
	}
	return false
}

// Respond implements Exchange: it keeps what is wanted of the answer.
func (c *consent) Respond(r *httpmsg.Response, body []byte, end bool) error {
	c.started, c.status = true, r.Status
	wanted := passedOn[:]
	if r.Status/100 == 2 {
		wanted = c.external.Take
	}
	for i := range r.Len() {
		_, name, value, live := r.At(i)
		for _, w := range wanted {
			if live && httpmsg.EqualFold(name, w) {
				c.fields = append(c.fields, auth.Field{Name: w, Value: string(value)})
			}
		}
	}
	return c.WriteBody(body)
}

// errAnswerTooLong ends reading an answer.
var errAnswerTooLong = errors.New("answer of the authentication is too long")

// WriteBody implements Exchange; nobody wants the body of a consent.
func (c *consent) WriteBody(p []byte) error {
	if c.read += len(p); c.read > maxAnswer {
		c.tooLong = true
		return errAnswerTooLong
	}
	if c.status/100 != 2 {
		c.body = append(c.body, p...)
	}
	return nil
}

// What follows implements Exchange for a request without a body.

func (c *consent) Request() *httpmsg.Request                      { return &c.req }
func (c *consent) Watch(onGone func())                            { c.client.Watch(onGone) }
func (c *consent) Unwatch() (gone bool)                           { return c.client.Unwatch() }
func (c *consent) Gone() bool                                     { return c.client.Gone() }
func (c *consent) Received() int64                                { return 0 }
func (c *consent) Sent() int64                                    { return 0 }
func (c *consent) HoldBody(int, bool) (p []byte, w bool, e error) { return nil, true, nil }
func (c *consent) ReadBody() ([]byte, error)                      { return nil, io.EOF }
func (c *consent) Trailers(*httpmsg.Fields)                       {}
func (c *consent) BodyDone() bool                                 { return true }
func (c *consent) Awaits100() bool                                { return false }
func (c *consent) Continue() error                                { return nil }
func (c *consent) KeepFromContinue()                              {}
func (c *consent) InterruptBody()                                 {}
func (c *consent) ResumeBody()                                    {}
func (c *consent) Inform(*httpmsg.Response) error                 { return nil }
func (c *consent) Started() bool                                  { return c.started }
func (c *consent) CloseAfter()                                    {}
func (c *consent) Retire()                                        {}
func (c *consent) Abort()                                         {}
func (c *consent) Spoil()                                         {}
func (c *consent) Finish(*httpmsg.Fields) error                   { return nil }
func (c *consent) Direct() *stream.Conn                           { return nil }
func (c *consent) Moved(int64)                                    {}

// Switch implements Exchange: nothing was asked to be switched to.
func (c *consent) Switch(*httpmsg.Response, []byte) (stream.Tunnel, []byte, error) {
	return nil, nil, &http1.Error{Status: 502, Reason: "authentication switched protocols"}
}
