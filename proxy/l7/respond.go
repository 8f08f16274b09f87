package l7

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/http1"
)

// Page is a custom error page.
type Page struct {
	ContentType string
	Body        []byte
}

// refuse answers the request with an error of the gateway's own.
func (f *flow) refuse(status int, reason, info string) { f.refuseFor(status, reason, info, "") }

// refuseFor is refuse with a Retry-After, unless that is empty.
func (f *flow) refuseFor(status int, reason, info, retryAfter string) {
	if f.caching != nil && f.failOver(status, reason, info) {
		return
	}
	if f.rec.Termination == (telemetry.Termination{'-', '-'}) {
		f.rec.Termination = telemetry.Termination{'P', 'R'}
	}
	f.rec.Reason, f.rec.ErrorInfo, f.rec.Status = reason, info, status
	if f.x.Started() {
		f.x.Abort()
		return
	}
	if f.asksGRPC() {
		f.refuseGRPC(status)
		return
	}
	page := f.errorPage(status)
	r := f.startResponse(status)
	r.AddString("Content-Type", page.ContentType)
	r.AddString("Cache-Control", "no-store")
	if retryAfter != "" {
		r.AddString("Retry-After", retryAfter)
	}
	f.addQuotas(r)
	f.answer(r, page.Body)
}

// startResponse begins a response of our own.
func (f *flow) startResponse(status int) *httpmsg.Response {
	r := &f.resp
	r.Reset(nil)
	r.Status, r.Body = status, httpmsg.BodyLength
	r.Reason = r.KeepString(http1.ReasonPhrase(status))
	r.AddString("Server", "Gatehouse")
	r.Add(httpmsg.Date, r.KeepString("Date"), r.Keep(f.gw.dates.now()))
	r.AddString("X-AppGW-Trace-Id", string(f.rec.TraceID[:]))
	f.addAltSvc(r)
	if f.target != nil && f.target.CORS != nil {
		f.target.CORS.apply(f.req, r)
	}
	return r
}

// answer sends a response of our own.
func (f *flow) answer(r *httpmsg.Response, body []byte) {
	r.ContentLength = int64(len(body))
	if err := f.x.Respond(r, body, true); err != nil {
		f.clientLeft('D')
	}
	f.rec.ContentType, _ = r.Get(httpmsg.ContentType)
}

// errorPage is the listener's page for a status, or the gateway's, or a plain
// one.
func (f *flow) errorPage(status int) *Page {
	if f.listener != nil {
		if p := f.listener.ErrorPages[status]; p != nil {
			return p
		}
	}
	if p := f.snap.ErrorPages[status]; p != nil {
		return p
	}
	return &Page{ContentType: "text/html; charset=utf-8", Body: plainPage(status)}
}

// plainPage says no more than the status: reasons are for the log.
func plainPage(status int) []byte {
	text := fmt.Sprintf("%d %s", status, http1.ReasonPhrase(status))
	return []byte("<!DOCTYPE html>\n<html><head><title>" + text + "</title></head>\n<body><h1>" + text + "</h1></body></html>\n")
}

// obey does what a stage's verdict says: on the request with phase R, on the
// response with H. A second goroutine must not run any more.
func (f *flow) obey(v Verdict, phase byte) {
	if f.rec.Termination = v.Termination; v.Termination == (telemetry.Termination{}) {
		f.rec.Termination = telemetry.Termination{'P', phase}
	}
	f.rec.Reason, f.rec.ErrorInfo = v.Reason, v.ErrorInfo
	if v.Action == Abort || f.x.Started() {
		f.x.Abort()
		return
	}
	if !f.x.BodyDone() {
		f.x.CloseAfter()
	}
	if v.Status == 0 {
		v.Status = 403
	}
	if v.Response == nil || f.asksGRPC() {
		f.refuse(v.Status, v.Reason, v.ErrorInfo)
		return
	}
	f.rec.Status = v.Status
	f.answerWith(v.Status, v.Response)
}

// answerWith sends a stage's own answer.
func (f *flow) answerWith(status int, a *AnswerPage) {
	r := f.startResponse(status)
	if a.ContentType != "" {
		addField(r, "Content-Type", a.ContentType)
	}
	for _, field := range a.Fields {
		addField(r, field[0], field[1])
	}
	http1.StripHopByHop(&r.Fields, false)
	r.Delete(httpmsg.ContentLength)
	if _, said := r.Lookup("Cache-Control"); !said {
		r.AddString("Cache-Control", "no-store")
	}
	f.answer(r, a.Body)
}

// addField adds a field of a stage's, if it is one.
func addField(r *httpmsg.Response, name, value string) {
	if isToken(name) && isFieldValue(value) {
		r.AddString(name, value)
	}
}

// isToken reports whether a field may have this name (RFC 9110 5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if !('a' <= c && c <= 'z' || '0' <= name[i] && name[i] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", name[i]) >= 0) {
			return false
		}
	}
	return name != ""
}

// isFieldValue reports whether a field may have this value: no controls but
// tabs (RFC 9110 5.5).
func isFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Redirect answers with another URL.
type Redirect struct {
	Status int
	// Base is the URL before the path: "https://shop.example". Empty Host
	// parts are filled with the request's host, for listener targets without
	// a host name of their own.
	Scheme string
	Host   string // with port where it is not the scheme's; empty: the request's host and Port
	Port   uint16 // of the target listener; Valid iff Host is empty
	// Hosts are the names that the listeners of that address take, nil if they
	// take all. A request for another host is sent to Name, the target
	// listener's first name without wildcards; it is refused if there is none.
	Hosts *Sites
	Name  string
	Path  string // of a target URL; begins with / or is empty
	Query string // of a target URL, without the question mark

	IncludePath, IncludeQuery bool
}

// errRedirectHost refuses what can be redirected to no listener.
var errRedirectHost = errors.New("no listener where the redirect leads takes this host, or the request names none")

// redirect answers with a Location. The path that is carried over is the
// canonical one, which does not begin with two slashes (hostile-input row
// 59).
func (f *flow) redirect(d *Redirect) {
	loc := f.appendLocation(f.scratch[:0], d)
	if loc == nil {
		f.refuse(400, errRedirectHost.Error(), telemetry.ErrorInfoNoHost)
		return
	}
	f.scratch = loc
	f.rec.Termination = telemetry.Termination{'P', '-'}
	f.rec.Status = d.Status
	r := f.startResponse(d.Status)
	r.Add(httpmsg.Location, r.KeepString("Location"), r.Keep(loc))
	f.addQuotas(r)
	f.answer(r, nil)
}

// appendLocation appends where a redirect leads; nil when that would need a
// host that the request has not.
func (f *flow) appendLocation(loc []byte, d *Redirect) []byte {
	loc = append(append(loc, d.Scheme...), "://"...)
	if loc = f.appendRedirectHost(loc, d); loc == nil {
		return nil
	}
	return f.appendRedirectPath(loc, d)
}

// appendRedirectHost appends the host of a redirect: the configured one, that
// of the request if a listener there takes it, or the target listener's.
func (f *flow) appendRedirectHost(loc []byte, d *Redirect) []byte {
	if d.Host != "" {
		return append(loc, d.Host...)
	}
	host := f.req.Bytes(f.req.HostName)
	switch {
	case len(host) > 0 && (d.Hosts == nil || d.Hosts.Find(host) != nil):
		loc = append(loc, host...)
	case d.Name != "":
		loc = append(loc, d.Name...)
	default:
		return nil
	}
	if d.Scheme == "https" && d.Port == 443 || d.Scheme == "http" && d.Port == 80 {
		return loc
	}
	return strconv.AppendUint(append(loc, ':'), uint64(d.Port), 10)
}

func (f *flow) appendRedirectPath(loc []byte, d *Redirect) []byte {
	path := f.req.Bytes(f.req.Path)
	if f.req.Form == httpmsg.AsteriskForm {
		path = []byte("/") // "*" is no path, and would become a part of the host
	}
	switch {
	case !d.IncludePath:
		loc = append(loc, d.Path...)
	case len(d.Path) > 0 && d.Path[len(d.Path)-1] == '/':
		loc = append(append(loc, d.Path...), path[1:]...)
	default:
		loc = append(append(loc, d.Path...), path...)
	}
	sep := byte('?')
	if d.Query != "" {
		loc = append(append(loc, sep), d.Query...)
		sep = '&'
	}
	if d.IncludeQuery && f.req.HasQuery {
		loc = append(append(loc, sep), f.req.Bytes(f.req.Query)...)
	}
	return loc
}

// countLimit counts a refusal that a limit caused, with the listener of the
// host, or with the first of the address when there was no host yet.
func (f *flow) countLimit(e *http1.Error) {
	l := f.listener
	if l == nil {
		l = f.first
	}
	if l == nil {
		return
	}
	switch {
	case e.Status == 413:
		l.Metrics.LimitHit(f.shard, telemetry.LimitBodyBytes)
	case e.Status == 414:
		l.Metrics.LimitHit(f.shard, telemetry.LimitURLBytes)
	case e == http1.ErrTooManyFields:
		l.Metrics.LimitHit(f.shard, telemetry.LimitFields)
	case e.Status == 431:
		l.Metrics.LimitHit(f.shard, telemetry.LimitHeadBytes)
	case e.Status == 408 && f.req.Target.Len == 0:
		l.Metrics.LimitHit(f.shard, telemetry.LimitHeadTimeout)
	case e.Status == 408:
		l.Metrics.LimitHit(f.shard, telemetry.LimitBodyMinRate)
	}
}
