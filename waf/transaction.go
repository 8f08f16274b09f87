package waf

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/waf/body"
	"gatehouse/waf/custom"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// Transaction is one request on its way past a policy, used by one goroutine
// at a time.
type Transaction struct {
	p      *Policy
	client Client

	req    variables.Request
	resp   variables.Response
	reader reader
	rules  custom.Evaluation
	eval   index.Evaluation

	kind      variables.Processor
	odd       bool // its type has parameters that are not read, such as an old charset
	inspected int  // how much of the body is inspected
	since     time.Time
	passed    bool  // a custom rule allowed the request: nothing else is asked
	decided   bool  // the request was judged
	received  int64 // bytes of the body so far
	limit     int64 // of the body; 0: none
	over      bool  // it was reported that the body is over the limit
	partial   bool  // a part of the request is not inspected
	skip      []ruleRange
	seen      []byte // the beginning of the body, in detection
	reserved  int    // bytes, for that
	hits      []CustomMatch
	event     Event // on the request, or on the response
	aside     aside // the other one

	respSeen    bool // the response's body is to be inspected
	respRead    bool // or was
	respPartial bool // a part of the response is not inspected
	took        time.Duration
	outcome     Outcome
}

// aside is what there is to say of the part of an exchange that is not at
// hand.
type aside struct {
	event Event
	hits  []CustomMatch
}

// about turns to the request or to the response. Either may be judged first: a
// backend may answer before it has the whole request.
func (t *Transaction) about(response bool) {
	if t.event.Response == response {
		return
	}
	other := t.aside
	t.aside = aside{t.event, t.hits}
	t.event, t.hits = other.event, other.hits
	t.event.Response = response
}

// Finish says that nothing more comes. A request in detection whose body has not
// come to its end, because the client left or the backend answered before, is
// judged by what there is of it.
func (t *Transaction) Finish() {
	if t.decided || t.inspected == 0 || t.p.prevents() {
		return
	}
	defer t.time(t.start())
	t.about(false)
	t.unseen("request body was inspected in part: its end did not come")
	text := string(t.seen)
	t.seen = nil
	t.inspect(text, false)
}

// Done ends the transaction; it must not be used any more.
func (t *Transaction) Done() {
	t.Finish()
	t.forget()
	t.rules.Release()
	clear(t.req.Headers)
	*t = Transaction{p: t.p, skip: t.skip[:0], reader: t.reader, rules: t.rules, eval: t.eval,
		req: variables.Request{Headers: t.req.Headers[:0], Cookies: t.req.Cookies[:0]}}
	t.p.transactions.Put(t)
}

// Took is how long the policy has worked on the transaction.
func (t *Transaction) Took() time.Duration { return t.took }

// Outcome is what became of the request so far.
func (t *Transaction) Outcome() Outcome { return t.outcome }

// Head shows the head of the request.
func (t *Transaction) Head(m *httpmsg.Request) Decision {
	defer t.time(t.start())
	t.reader.request(m, &t.client, t.p.args, &t.req)
	t.rules.Start(t.p.custom, &t.req, t.p.country)
	if d, final := t.customRules(); final {
		return d
	}
	if d, final := t.bots(); final {
		return d
	}
	if m.Body == httpmsg.BodyNone {
		return t.withoutBody()
	}
	return t.beforeBody(m)
}

// withoutBody decides on a request whose body is not looked at, or that has
// none: custom rules that look at the body see an empty one.
func (t *Transaction) withoutBody() Decision {
	t.rules.BodyRead()
	if d, final := t.customRules(); final {
		return d
	}
	return t.judge()
}

func (t *Transaction) start() time.Time {
	t.since = time.Now()
	return t.since
}

// time notes how long something took.
func (t *Transaction) time(since time.Time) {
	d := time.Since(since)
	t.took += d
	t.p.Metrics.took(d)
}

// beforeBody decides on a request with a body from its head.
func (t *Transaction) beforeBody(m *httpmsg.Request) Decision {
	conf := &t.p.conf.RequestBody
	contentType, _ := t.req.Header("content-type")
	mediaType := mediaTypeOf(contentType)
	t.kind = t.kindOfBody()
	t.limit = t.p.bodyLimit(t.kind)
	if t.limit > 0 && m.Body == httpmsg.BodyLength && m.ContentLength > t.limit {
		t.over = true
		if d := t.block(413, Refused, tooLarge(m.ContentLength, t.limit)); d.Action != Pass {
			return d
		}
	}
	if !conf.Inspect || streams(mediaType) {
		d := t.withoutBody()
		d.Watch = t.limit > 0
		return d
	}
	t.inspected = t.p.inspectedOf(t.kind, mediaType)
	if t.p.prevents() {
		return Decision{Action: Hold, Limit: t.inspected}
	}
	return Decision{Watch: true}
}

// maxInspected is how much of a form, of JSON or of XML is inspected at most
// where the policy is strict.
const maxInspected = 2 << 20

// bodyLimit is how large a body of a kind may be; 0: of any size.
func (p *Policy) bodyLimit(kind variables.Processor) int64 {
	conf := &p.conf.RequestBody
	switch {
	case !conf.Enforce:
		return 0
	case kind == variables.Multipart:
		return int64(conf.FileLimit)
	}
	return int64(conf.MaxSize)
}

func tooLarge(size, limit int64) string {
	return fmt.Sprintf("body of %d bytes is larger than %d", size, limit)
}

// inspectedOf is how much of a body is inspected.
func (p *Policy) inspectedOf(kind variables.Processor, mediaType string) int {
	conf := &p.conf.RequestBody
	if conf.Strict && p.prevents() && kind != variables.Multipart && !isBinary(mediaType) {
		return max(conf.InspectLimit, min(conf.MaxSize, maxInspected)) // no end that nobody looks at
	}
	return conf.InspectLimit
}

// kindOfBody is how the body is to be read.
func (t *Transaction) kindOfBody() variables.Processor {
	contentType, _ := t.req.Header("content-type")
	kind, _, err := body.KindOf(contentType)
	t.odd = err != nil // it is still read as what it says it is
	return kind
}

// Body shows a piece of the request's body: after Hold its beginning in one
// piece, then what follows. end says that the body ends with it.
func (t *Transaction) Body(piece []byte, end bool) Decision {
	defer t.time(t.start())
	t.about(false)
	t.received += int64(len(piece))
	if t.passed {
		return Decision{}
	}
	if t.limit > 0 && t.received > t.limit && !t.over {
		t.over = true
		if d := t.block(413, Refused, fmt.Sprintf("body is larger than %d bytes", t.limit)); d.Action != Pass {
			return d
		}
	}
	if t.decided {
		return Decision{Watch: true}
	}
	var d Decision
	if t.p.prevents() {
		d = t.inspect(string(piece), end)
		d.Watch = t.limit > 0
	} else {
		d = t.collect(piece, end)
	}
	if t.decided && !t.p.conf.ResponseBody.Inspect {
		t.forget()
	}
	return d
}

// Trailers says that fields follow the request's body, which nobody looks at.
// It comes before the end of the body, and reports whether they may be sent on.
// Prevention has them dropped. Detection alters no request, and says that it
// has not seen all of this one.
func (t *Transaction) Trailers() (send bool) {
	if t.p.prevents() {
		return false
	}
	t.about(false)
	if !t.passed {
		t.unseen("request trailers were not inspected; prevention would not send them on")
	}
	return true
}

// unseen notes that a part of the request passes without being inspected. what
// says more than that, if it is not just the end of a long body.
func (t *Transaction) unseen(what string) {
	if !t.partial {
		t.partial = true
		t.p.Metrics.Partial.Add(1)
	}
	t.event.Partial, t.event.Unseen = true, cmp.Or(what, t.event.Unseen)
}

// inspect judges the request with its body, or with the beginning of it.
func (t *Transaction) inspect(text string, whole bool) Decision {
	if !whole {
		t.unseen("")
	}
	if d, final := t.readBody(text, whole); final {
		return d
	}
	t.rules.BodyRead()
	if d, final := t.customRules(); final {
		return d
	}
	return t.judge()
}

// readBody takes the body apart; final is set when it is refused.
func (t *Transaction) readBody(text string, whole bool) (d Decision, final bool) {
	text, d, final = t.decode(text, whole)
	if final {
		return d, true
	}
	contentType, _ := t.req.Header("content-type")
	lim := body.Limits{Args: t.p.args, Strict: t.p.conf.RequestBody.Strict && whole && !(t.odd && t.p.balanced()), Force: true}
	if t.p.balanced() && t.unreadable(text) {
		t.req.Body = variables.Body{Raw: text, Length: len(text)} // for custom rules
		return Decision{}, false
	}
	if t.kind == variables.None && t.p.balanced() && mediaTypeOf(contentType) != "multipart/form-data" {
		var truncated bool
		t.req.Body, truncated = readLoosely(contentType, text, lim)
		t.req.ArgsTruncated = t.req.ArgsTruncated || truncated
		return Decision{}, false
	}
	b, truncated, refused := body.Parse(t.kind, contentType, text, lim)
	if refused != nil {
		if d := t.block(refused.Status, Refused, refused.Reason); d.Action != Pass {
			return d, true
		}
		lim.Strict = false
		b, truncated, _ = body.Parse(t.kind, contentType, text, lim)
	}
	if !whole {
		b.Error, b.StrictError = "", false // its end is missing, which is not its fault
	}
	t.req.Body = b
	t.req.ArgsTruncated = t.req.ArgsTruncated || truncated
	return Decision{}, false
}

// unreadable reports whether the body has a type that is no text, and is none.
func (t *Transaction) unreadable(text string) bool {
	contentType, _ := t.req.Header("content-type")
	return isBinary(mediaTypeOf(contentType)) && looksBinary(text)
}

// contentCoding is the content codings of a message, of all its fields, in the
// order in which they were applied; empty for none.
func contentCoding(fields []variables.Pair) string {
	var list []string
	for i := range fields {
		if !strings.EqualFold(fields[i].Name, "content-encoding") {
			continue
		}
		for coding := range strings.SplitSeq(fields[i].Value, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				list = append(list, coding)
			}
		}
	}
	return strings.Join(list, ", ")
}

// decode undoes the content coding of a body.
func (t *Transaction) decode(text string, whole bool) (decoded string, d Decision, final bool) {
	coding := contentCoding(t.req.Headers)
	if coding == "" {
		return text, Decision{}, false
	}
	if t.p.conf.ContentEncoding == config.ContentEncodingRefuse {
		d = t.block(415, Refused, "body with content coding "+coding)
		return text, d, d.Action != Pass
	}
	if !whole {
		d = t.block(413, Refused, "body with content coding "+coding+" is larger than what is inspected")
		return text, d, d.Action != Pass
	}
	data, err := body.Decode(coding, []byte(text), body.DecodeLimits{Size: t.p.conf.RequestBody.MaxSize})
	if err != nil {
		status := 400
		if r, ok := errors.AsType[*body.Refusal](err); ok {
			status = r.Status
		}
		if status == 415 && t.p.balanced() && t.unreadable(text) {
			return text, Decision{}, false // it would not be read without its coding either
		}
		d = t.block(status, Refused, "content coding "+coding+": "+err.Error())
		return text, d, d.Action != Pass
	}
	return string(data), Decision{}, false
}

// customRules asks the custom rules that can be decided now; final is set
// when one of them decides.
func (t *Transaction) customRules() (d Decision, final bool) {
	for m, ok := t.rules.Next(); ok; m, ok = t.rules.Next() {
		if d, final = t.customMatch(&m); final {
			return d, true
		}
	}
	return Decision{}, false
}

// customMatch does what a custom rule that matches says.
func (t *Transaction) customMatch(m *custom.Match) (d Decision, final bool) {
	if m.Rule.RateLimit {
		return t.rateLimit(m)
	}
	t.note(m)
	switch m.Rule.Action {
	case custom.Allow:
		t.passed, t.decided = true, true
		t.event.Custom = m.Rule.Name
		t.report(Allowed, "custom rule "+m.Rule.Name)
		return Decision{}, true
	case custom.Block:
		t.event.Custom = m.Rule.Name
		return t.block(t.p.blocked, Blocked, "custom rule "+m.Rule.Name), t.p.prevents()
	case custom.JSChallenge:
		return t.challenge(m.Rule.Name)
	}
	return Decision{}, false
}

// note keeps a custom rule that matched, for the log.
func (t *Transaction) note(m *custom.Match) {
	c := CustomMatch{Rule: m.Rule.Name, Action: m.Rule.Action.String()}
	for _, h := range m.Hits {
		c.Why = append(c.Why, h.String())
	}
	t.hits = append(t.hits, c)
}

// judge asks the managed rules.
func (t *Transaction) judge() Decision {
	t.decided = true
	p := t.p
	p.Metrics.Judged.Add(1)
	t.skip = p.skipped(&t.req, t.skip[:0])
	accelerated := p.conf.Acceleration != config.AccelerationOff
	jm, err := p.judge.request(t.client.Trace, &t.req, t.skip, &t.eval, accelerated)
	if err != nil {
		return t.failed(err)
	}
	if accelerated && p.sampled() {
		t.verify(&jm)
	}
	return t.obey(&jm)
}

// verify judges the request without the index, and counts a difference. What
// the rule engine says counts.
func (t *Transaction) verify(jm *Judgement) {
	plain, err := t.p.judge.request(t.client.Trace, &t.req, t.skip, nil, false)
	if err != nil {
		t.p.Metrics.Errors.Add(1) // the first judgement stands
		t.event.Reason = "not verified: " + err.Error()
		return
	}
	t.p.Metrics.Verified.Add(1)
	if !jm.equals(&plain) {
		t.p.Metrics.Differences.Add(1)
		t.event.Reason = "the index judges otherwise: " + jm.String() + " instead of " + plain.String()
		*jm = plain
	}
}

// obey reports what the managed rules say, and does it.
func (t *Transaction) obey(jm *Judgement) Decision {
	if jm.Asked {
		t.p.Metrics.Asked.Add(1)
	}
	t.event.Matches, t.event.Score, t.event.RuleID = jm.Matches, jm.Score, jm.RuleID
	if jm.Unweighed > jm.Score && t.event.Reason == "" && !jm.Blocked {
		t.event.Reason = fmt.Sprintf("score %d, %d before it was weighed", jm.Score, jm.Unweighed)
	}
	switch {
	case jm.Blocked:
		status := t.p.blocked
		if jm.Status != 0 && jm.Status != 403 {
			status = jm.Status
		}
		d := t.block(status, Blocked, "rule "+strconv.Itoa(jm.RuleID)+", score "+strconv.Itoa(jm.Score))
		if jm.Drop && d.Action == Block {
			d.Action = Drop
		}
		return d
	case len(jm.Matches) > 0 || len(t.hits) > 0 || t.event.Reason != "":
		t.report(Matched, cmp.Or(t.event.Reason, t.event.Unseen))
	case t.event.Unseen != "":
		t.report(Allowed, t.event.Unseen)
	default:
		t.p.Metrics.Outcomes[Allowed].Add(1)
	}
	return Decision{}
}

// block reports a block, which detection only logs.
func (t *Transaction) block(status int, o Outcome, reason string) Decision {
	if !t.p.prevents() {
		t.report(Detected, reason) // and goes on
		return Decision{}
	}
	t.decided = true
	t.report(o, reason)
	d := Decision{Action: Block, Status: status, Reason: "waf: " + reason}
	if status == t.p.blocked {
		d.Page = t.p.page
	}
	return d
}

// failed reports an error of the firewall itself: the request is refused
// unless the policy says otherwise.
func (t *Transaction) failed(err error) Decision {
	t.p.Metrics.Errors.Add(1)
	t.report(Failed, err.Error())
	if t.p.conf.OnEngineError == config.EngineErrorsOpen || !t.p.prevents() {
		return Decision{}
	}
	return Decision{Action: Block, Status: 500, Reason: "waf: the request could not be judged"}
}

// report logs and counts what became of the request.
func (t *Transaction) report(o Outcome, reason string) {
	e := &t.event
	e.Time, e.Trace, e.Policy, e.Mode = t.p.now(), t.client.Trace, t.p.conf.Name, t.p.conf.Mode
	e.Outcome, e.Reason, e.Request, e.Hits, e.Duration = o, reason, &t.req, t.hits, t.took+time.Since(t.since)
	t.p.Metrics.count(e)
	t.outcome = max(t.outcome, o)
	t.p.log(e)
	t.event = Event{Partial: e.Partial, Response: e.Response}
	t.hits = nil
}
