package waf

import (
	"errors"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/waf/body"
	"gatehouse/waf/variables"
)

// ResponseHead shows the head of the response. Several ranges in one response
// are looked at whatever they are ranges of: the client asks for them.
func (t *Transaction) ResponseHead(m *httpmsg.Response) Decision {
	conf := &t.p.conf.ResponseBody
	if !conf.Inspect || t.passed {
		return Decision{}
	}
	defer t.time(t.start())
	t.reader.response(m, t.client.Proto, &t.resp)
	t.about(true)
	if t.hasBody(m) && (listed(conf.ContentTypes, t.resp.ContentType) || strings.EqualFold(t.resp.ContentType, "multipart/byteranges")) {
		t.respSeen, t.respRead = true, true
		return Decision{Action: Hold, Limit: conf.Limit}
	}
	return t.judgeResponse()
}

// hasBody reports whether the response has a body.
func (t *Transaction) hasBody(m *httpmsg.Response) bool {
	return t.req.Method != "HEAD" && m.Status != 204 && m.Status != 304 && m.Body != httpmsg.BodyNone
}

// ResponseBody shows the beginning of the response's body, after Hold.
func (t *Transaction) ResponseBody(piece []byte, end bool) Decision {
	if !t.respSeen {
		return Decision{}
	}
	t.respSeen = false
	t.about(true)
	defer t.time(t.start())
	t.resp.Body = t.plain(piece, end)
	if t.event.Partial && !t.respPartial {
		t.respPartial = true
		t.p.Metrics.Partial.Add(1)
	}
	return t.judgeResponse()
}

// ResponseTrailers says that fields follow the response's body, which nobody
// looks at. It comes before the end of the body, and reports whether they may
// be sent on. As for requests, prevention has them dropped, detection says that
// it has not seen all of the response. Where the body is not looked at, they are
// not missed either.
func (t *Transaction) ResponseTrailers() (send bool) {
	switch {
	case !t.respRead || t.passed:
		return true
	case t.p.prevents():
		return false
	}
	t.about(true)
	if !t.respPartial {
		t.respPartial = true
		t.p.Metrics.Partial.Add(1)
	}
	if t.respSeen { // otherwise the word on the response is out
		t.event.Partial, t.event.Unseen = true, "response trailers were not inspected; prevention would not send them on"
	}
	return true
}

// plain is the beginning of a response without its content coding. One that
// cannot be decoded, because it is too long, a part, or of another coding, is
// not looked at.
func (t *Transaction) plain(piece []byte, end bool) string {
	coding := contentCoding(t.resp.Headers)
	t.event.Partial = t.event.Partial || !end
	if coding == "" {
		return string(piece)
	}
	if !end {
		t.undecoded(coding, "")
		return ""
	}
	data, err := body.Decode(coding, piece, body.DecodeLimits{Size: t.p.conf.ResponseBody.Limit})
	if err != nil {
		t.undecoded(coding, oddity(err))
		return ""
	}
	// What rules see has no coding any more: the Core Rule Set asks none of its
	// own about a body that has one.
	t.resp.Headers = slices.DeleteFunc(t.resp.Headers, func(p variables.Pair) bool { return strings.EqualFold(p.Name, "content-encoding") })
	return string(data)
}

// undecoded notes that a response's body was not looked at. That it is too long
// is no news, and why is empty; anything else may be a way past the rules, such
// as a range of a coded representation (206), which means nothing without the
// rest.
func (t *Transaction) undecoded(coding, why string) {
	t.event.Partial = true
	if t.resp.Status == 206 {
		why = "it is a part (206)"
	}
	if why != "" {
		t.event.Unseen = "response body with content coding " + coding + " was not inspected: " + why
	}
}

// oddity is why a body could not be decoded; empty when it is only too large.
func oddity(err error) string {
	if r, ok := errors.AsType[*body.Refusal](err); ok && r.Status == 413 {
		return ""
	}
	return err.Error()
}

// judgeResponse asks the managed rules about the response.
func (t *Transaction) judgeResponse() Decision {
	t.p.Metrics.Judged.Add(1)
	jm, err := t.p.judge.response(t.client.Trace, &t.req, &t.resp, t.skip, &t.eval, t.p.conf.Acceleration != config.AccelerationOff)
	if t.decided { // the request, before its response was here
		t.forget()
	}
	if err != nil {
		return t.failed(err)
	}
	return t.obey(&jm)
}

// response fills r from a message.
func (rd *reader) response(m *httpmsg.Response, proto string, r *variables.Response) {
	b := rd.buf[:0]
	for i := range m.Len() {
		if _, name, value, ok := m.At(i); ok {
			b = append(append(b, name...), value...)
		}
	}
	rd.buf = b
	all := string(b)
	take := func(n int) string {
		s := all[:n]
		all = all[n:]
		return s
	}
	*r = variables.Response{Protocol: proto, Status: m.Status, Headers: r.Headers[:0]}
	for i := range m.Len() {
		id, name, value, ok := m.At(i)
		if !ok {
			continue
		}
		p := variables.Pair{Name: take(len(name)), Value: take(len(value))}
		r.Headers = append(r.Headers, p)
		if id == httpmsg.ContentType && r.ContentType == "" {
			kind, _, _ := strings.Cut(p.Value, ";")
			r.ContentType = strings.TrimSpace(kind)
		}
	}
}
