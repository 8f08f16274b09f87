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
	Verdict string        `json:"verdict"` // pass or block
	Reason  string        `json:"reason"`
	Score   int           `json:"score"`
	Limit   int           `json:"threshold"`
	Asked   bool          `json:"engineAsked"` // the candidate index could not tell alone
	Custom  []CustomMatch `json:"customRules,omitempty"`
	Matches []Finding     `json:"rules,omitempty"`
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

// Explain judges a request with its body, all rules on, and acts on nothing.
// Rate limits count nothing, and challenges are not asked for.
func (p *Policy) Explain(m *httpmsg.Request, data []byte, c Client) (*Explanation, error) {
	quiet := *p.conf
	quiet.Mode = config.WAFDetection
	j := p.judge
	if p.prevents() { // its engine stops at the first rule that blocks
		var err error
		if j, err = newJudge(&quiet); err != nil {
			return nil, err
		}
		defer j.release()
	}
	shadow := &Policy{conf: &quiet, judge: j, custom: p.custom, blocked: p.blocked, args: p.args, Metrics: newMetrics(), services: p.services}
	shadow.log = func(*Event) {}
	t := &Transaction{p: shadow, client: c}
	x := &Explanation{Policy: p.conf.Name, Mode: p.conf.Mode.String(), Verdict: "pass", Reason: "no rule matches", Limit: p.conf.RuleSet.InboundThreshold}
	t.reader.request(m, &t.client, shadow.args, &t.req)
	t.kind = t.kindOfBody()
	contentType, _ := t.req.Header("content-type")
	mediaType := mediaTypeOf(contentType)
	if len(data) > 0 && p.conf.RequestBody.Inspect && !streams(mediaType) {
		t.explainBody(x, string(data))
	}
	t.rules.Start(p.custom, &t.req, p.country)
	t.rules.BodyRead()
	if t.explainCustom(x) {
		return x, nil
	}
	jm, err := j.request(c.Trace, &t.req, p.skipped(&t.req, nil), &t.eval, true)
	if err != nil {
		return nil, err
	}
	x.judged(&jm, j)
	return x, nil
}

// explainBody reads the body, and notes when it would be refused.
func (t *Transaction) explainBody(x *Explanation, text string) {
	t.p.log = func(e *Event) {
		if e.Outcome == Refused || e.Outcome == Detected {
			x.Verdict, x.Reason = "block", e.Reason
		}
	}
	t.readBody(text, true)
}

// explainCustom notes the custom rules that match; it reports whether one of
// them is the last word.
func (t *Transaction) explainCustom(x *Explanation) (final bool) {
	for m, ok := t.rules.Next(); ok; m, ok = t.rules.Next() {
		t.note(&m)
		x.Custom = t.hits
		if m.Rule.RateLimit || m.Rule.Action == custom.Log {
			continue
		}
		x.Reason = "custom rule " + m.Rule.Name
		switch m.Rule.Action {
		case custom.Allow:
			return true
		case custom.Block:
			x.Verdict = "block"
			return true
		case custom.JSChallenge:
			x.Verdict = "challenge"
			return true
		}
	}
	return false
}

// judged notes what the managed rules say.
func (x *Explanation) judged(jm *Judgement, j *judge) {
	x.Score, x.Asked = jm.Score, jm.Asked
	if jm.Blocked && x.Verdict != "block" {
		x.Verdict, x.Reason = "block", fmt.Sprintf("rule %d", jm.RuleID)
		if jm.RuleID == 949110 || jm.RuleID == 949111 {
			x.Reason = fmt.Sprintf("anomaly score %d is at least %d", jm.Score, x.Limit)
		}
	} else if len(jm.Matches) > 0 && x.Verdict == "pass" {
		x.Reason = fmt.Sprintf("anomaly score %d is below %d", jm.Score, x.Limit)
	}
	for i := range jm.Matches {
		m := &jm.Matches[i]
		if m.RuleID/1000 == 949 || m.RuleID/1000 == 980 {
			continue
		}
		f := Finding{RuleID: m.RuleID, Group: m.Group, Severity: m.Severity, Message: m.Message, Level: levelOf(m.Tags), Score: scoreOf(m.Severity), Doubt: m.Doubt, Evidence: m.Evidence}
		if f.Doubt != "" {
			f.Score = 0
		}
		for _, v := range m.Values {
			f.Found = append(f.Found, Found{v.Variable, v.Text})
			f.Exclusions = appendNew(f.Exclusions, exclusionFor(v.Variable, m.RuleID))
		}
		f.Exclusions = appendNew(f.Exclusions, fmt.Sprintf("overrides: [{rule: %d, action: log}]", m.RuleID))
		x.Matches = append(x.Matches, f)
	}
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
