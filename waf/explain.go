package waf

import (
	"fmt"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/waf/custom"
	"gatehouse/waf/index"
)

// Explanation is all that a policy has to say of a request, whether it acts
// or not.
type Explanation struct {
	Policy  string        `json:"policy"`
	Mode    string        `json:"mode"`
	Verdict string        `json:"verdict"` // pass, block, challenge or unverified
	Reason  string        `json:"reason"`
	Score   int           `json:"score"`
	Limit   int           `json:"threshold"`
	Asked   bool          `json:"engineAsked"` // the candidate index could not tell alone
	Custom  []CustomMatch `json:"customRules,omitempty"`
	Bot     *BotFinding   `json:"bot,omitempty"`
	Matches []Finding     `json:"rules,omitempty"`

	Inspected int `json:"inspectedBytes,omitempty"` // of the body, where that is not all of it
}

// Finding is a managed rule that matched, and how to silence it.
type Finding struct {
	RuleID     int      `json:"ruleId"`
	Group      string   `json:"group"`
	Level      int      `json:"paranoiaLevel,omitempty"`
	Severity   string   `json:"severity"`
	Score      int      `json:"score"`
	Message    string   `json:"message"`
	Found      []Found  `json:"found"`
	Doubt      string   `json:"doubt,omitempty"`      // why it adds nothing to the score
	Evidence   string   `json:"evidence,omitempty"`   // why it does, in a text about anything
	Exclusions []string `json:"exclusions,omitempty"` // lines of ruleSet.exclusions or overrides that would silence it
}

// Found is a value that a rule matched.
type Found struct {
	Variable string `json:"variable"`
	Value    string `json:"value"`
}

// ExplainOptions say what an explanation may do beyond looking.
type ExplainOptions struct {
	// VerifyBots has the host names looked up that say whether a crawler is
	// what it says, which takes some seconds at most. Without it, who is not
	// known by the address alone is not verified.
	VerifyBots bool
}

// Explain judges a request with its body, in the order in which the policy
// does but to the end, all rules on, and acts on nothing. Rate limits count
// nothing, and challenges are not asked for.
func (p *Policy) Explain(m *httpmsg.Request, data []byte, c Client, o ExplainOptions) (*Explanation, error) {
	shadow, err := p.shadow()
	if err != nil {
		return nil, err
	}
	if shadow.judge != p.judge {
		defer shadow.judge.release()
	}
	t := &Transaction{p: shadow, client: c}
	x := &Explanation{Policy: p.conf.Name, Mode: p.conf.Mode.String(), Verdict: "pass", Reason: "no rule matches", Limit: p.conf.RuleSet.InboundThreshold}
	t.reader.request(m, &t.client, shadow.args, &t.req)
	t.rules.Start(p.custom, &t.req, p.country)
	if t.explainCustom(x) {
		return x, nil
	}
	t.explainBot(x, o.VerifyBots)
	t.explainBody(x, p, m, data)
	t.rules.BodyRead()
	if t.explainCustom(x) {
		return x, nil
	}
	jm, err := shadow.judge.request(c.Trace, &t.req, p.skipped(&t.req, nil), &t.eval, true)
	if err != nil {
		return nil, err
	}
	x.judged(&jm)
	return x, nil
}

// shadow is the policy in detection, where nothing ends a judgement early. If
// its judge is another, it is the caller's to release.
func (p *Policy) shadow() (*Policy, error) {
	quiet := *p.conf
	quiet.Mode = config.WAFDetection
	j := p.judge
	if p.prevents() { // its engine stops at the first rule that blocks
		var err error
		if j, err = newJudge(&quiet); err != nil {
			return nil, err
		}
	}
	s := &Policy{conf: &quiet, judge: j, custom: p.custom, blocked: p.blocked, args: p.args, Metrics: newMetrics(), services: p.services}
	s.log = func(*Event) {}
	return s, nil
}

// decide notes a verdict. The first one that stops the request stands; that a
// bot is not verified says only what may be.
func (x *Explanation) decide(verdict, reason string) {
	if x.Verdict == "pass" || x.Verdict == unverified && verdict != "pass" {
		x.Verdict, x.Reason = verdict, reason
	}
}

// explainBody reads the body as far as the policy p would, and notes when it
// would be refused.
func (t *Transaction) explainBody(x *Explanation, p *Policy, m *httpmsg.Request, data []byte) {
	contentType, _ := t.req.Header("content-type")
	mediaType := mediaTypeOf(contentType)
	t.kind = t.kindOfBody()
	size := int64(len(data))
	if m.Body == httpmsg.BodyLength {
		size = max(size, m.ContentLength)
	}
	if limit := p.bodyLimit(t.kind); limit > 0 && size > limit {
		x.decide("block", "refused: "+tooLarge(size, limit))
	}
	if len(data) == 0 || !p.conf.RequestBody.Inspect || streams(mediaType) {
		return
	}
	seen := min(len(data), p.inspectedOf(t.kind, mediaType))
	if seen < len(data) {
		x.Inspected = seen
	}
	t.p.log = func(e *Event) { x.decide("block", "refused: "+e.Reason) }
	t.readBody(string(data[:seen]), seen == len(data))
}

// explainCustom notes the custom rules that match; it reports whether one of
// them is the last word.
func (t *Transaction) explainCustom(x *Explanation) (final bool) {
	for m, ok := t.rules.Next(); ok; m, ok = t.rules.Next() {
		t.note(&m)
		x.Custom = append(x.Custom, t.hits[len(t.hits)-1])
		if m.Rule.RateLimit || m.Rule.Action == custom.Log {
			continue
		}
		reason := "custom rule " + m.Rule.Name
		switch m.Rule.Action {
		case custom.Allow:
			x.decide("pass", reason)
			return true
		case custom.Block:
			x.decide("block", reason)
			return true
		case custom.JSChallenge:
			x.decide("challenge", reason)
			return true
		}
	}
	return false
}

// judged notes what the managed rules say.
func (x *Explanation) judged(jm *Judgement) {
	x.Score, x.Asked = jm.Score, jm.Asked
	switch {
	case jm.Blocked && (jm.RuleID == blocksForScore || jm.RuleID == blocksEarly):
		x.decide("block", fmt.Sprintf("anomaly score %d is at least %d", jm.Score, x.Limit))
	case jm.Blocked:
		x.decide("block", fmt.Sprintf("rule %d", jm.RuleID))
	case len(jm.Matches) > 0:
		x.decide("pass", fmt.Sprintf("anomaly score %d is below %d", jm.Score, x.Limit))
	}
	for i := range jm.Matches {
		if m := &jm.Matches[i]; m.RuleID/1000 != 949 && m.RuleID/1000 != 980 {
			x.Matches = append(x.Matches, findingOf(m))
		}
	}
}

// findingOf is a rule that matched, with what would silence it.
func findingOf(m *Match) Finding {
	f := Finding{RuleID: m.RuleID, Group: m.Group, Severity: m.Severity, Message: m.Message, Level: levelOf(m.Tags), Score: scoreOf(m.Severity), Doubt: m.Doubt, Evidence: m.Evidence}
	if f.Doubt != "" {
		f.Score = 0
	}
	for _, v := range m.Values {
		f.Found = append(f.Found, Found{v.Variable, v.Text})
		f.Exclusions = appendNew(f.Exclusions, exclusionFor(v.Variable, m.RuleID))
	}
	f.Exclusions = appendNew(f.Exclusions, fmt.Sprintf("overrides: [{rule: %d, action: log}]", m.RuleID))
	return f
}

func appendNew(list []string, text string) []string {
	if text == "" {
		return list
	}
	for _, l := range list {
		if l == text {
			return list
		}
	}
	return append(list, text)
}

// exclusionFor is the exclusion that hides a value from a rule; empty where
// there can be none.
func exclusionFor(variable string, rule int) string {
	name, selector, ok := strings.Cut(variable, ":")
	kind := map[string]string{"ARGS": "requestArgValues", "ARGS_GET": "requestArgValues", "ARGS_POST": "requestArgValues",
		"ARGS_NAMES": "requestArgKeys", "ARGS_GET_NAMES": "requestArgKeys", "ARGS_POST_NAMES": "requestArgKeys",
		"REQUEST_HEADERS": "requestHeaderValues", "REQUEST_HEADERS_NAMES": "requestHeaderKeys",
		"REQUEST_COOKIES": "requestCookieValues", "REQUEST_COOKIES_NAMES": "requestCookieKeys"}[name]
	if kind == "" || !ok {
		return ""
	}
	if path, isJSON := strings.CutPrefix(selector, "json."); isJSON {
		parts := strings.Split(path, ".")
		for len(parts) > 1 && isNumber(parts[len(parts)-1]) {
			parts = parts[:len(parts)-1]
		}
		selector = parts[len(parts)-1]
	}
	return fmt.Sprintf("exclusions: [{variable: %s, operator: equals, selector: %q, rules: [%d]}]", kind, selector, rule)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// levelOf is the paranoia level of a rule, by its tag.
func levelOf(tags []string) int {
	for _, t := range tags {
		if n, ok := strings.CutPrefix(t, "paranoia-level/"); ok && len(n) == 1 {
			return int(n[0] - '0')
		}
	}
	return 0
}

// scoreOf is what a rule of a severity adds to the anomaly score.
func scoreOf(severity string) int {
	return map[string]int{"critical": 5, "error": 4, "warning": 3, "notice": 2}[severity]
}

// RuleState is a managed rule and what a policy makes of it.
type RuleState struct {
	ID       int    `json:"id"`
	Group    string `json:"group"`
	Level    int    `json:"paranoiaLevel"`
	Phase    int    `json:"phase"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	State    string `json:"state"`   // on; off: above the paranoia level, or switched off
	Action   string `json:"action"`  // anomaly, log, block
	Indexed  bool   `json:"indexed"` // the candidate index can tell that it does not match
}

// Rules is the catalogue of managed rules, in the order in which they run.
func (p *Policy) Rules() (list []RuleState) {
	indexed := map[int]bool{}
	for _, ix := range []*index.Index{p.judge.requests, p.judge.responses} {
		if ix == nil {
			continue
		}
		for _, id := range ix.Rules() {
			indexed[id] = true
		}
	}
	changes := changesOf(&p.conf.RuleSet)
	for _, r := range managedRules() {
		s := RuleState{ID: r.ID, Group: groupOf(r.ID), Level: levelOf(r.Tags), Phase: r.Phase, Severity: r.Severity,
			Message: r.Msg, State: "off", Action: "anomaly", Indexed: indexed[r.ID]}
		switch c := changes[r.ID]; {
		case c.is(ruleLogged):
			s.Action = "log"
		case c.is(ruleBlocks):
			s.Action = "block"
		}
		if p.judge.rules[r.ID] != nil && (changes[r.ID].is(ruleEnabled) || s.Level <= p.conf.RuleSet.DetectionParanoia) {
			s.State = "on"
		}
		list = append(list, s)
	}
	return list
}
