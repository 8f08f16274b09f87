package waf

import (
	"strings"
	"testing"

	"gatehouse/config"
)

// In detection, a request whose body never ends has been sent on: it is judged
// by what there was of it.
func TestABodyWithoutAnEndIsJudged(t *testing.T) {
	const short = "request body was inspected in part: its end did not come"
	plain := post("application/x-www-form-urlencoded", "")
	for _, w := range []struct {
		name, head, body string
		mode             config.WAFMode
		outcome, message string // of the line, if there is one
	}{
		{"an attack in the body", plain, script + "&b=", config.WAFDetection, "detected", "rule 949110, score 20"},
		{"an attack in the head", strings.Replace(plain, "/orders", xssQuery, 1), "", config.WAFDetection, "detected", "rule 949110, score 20"},
		{"no attack", plain, "a=1", config.WAFDetection, "allowed", short},
		{"prevention, where it was not sent on", plain, "", config.WAFPrevention, "", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, log := newPolicy(t, func(c *config.WAFPolicy) { c.Mode = w.mode })
			tx := p.Begin(client)
			tx.Head(message(w.head))
			if w.body != "" {
				tx.Body([]byte(w.body), false)
			}
			tx.Finish()
			if tx.Outcome().String() != w.outcome && w.outcome != "" {
				t.Errorf("the outcome is %v", tx.Outcome())
			}
			tx.Done()
			if l := log.lastLine(t); l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != (w.outcome != "") {
				t.Errorf("logged %+v", l)
			}
			var all uint64
			for o := range p.Metrics.Outcomes {
				all += p.Metrics.Outcomes[o].Load()
			}
			if n := p.Metrics.Partial.Load(); n != all || (n == 1) != (w.outcome != "") {
				t.Errorf("%d partial, counted %d times", n, all)
			}
		})
	}
}

// What is said of a request is not said of its response, whichever is judged
// first.
func TestAnEarlyAnswerIsNotTheRequest(t *testing.T) {
	p, log := newPolicy(t, func(c *config.WAFPolicy) {
		c.Mode, c.ResponseBody.Inspect = config.WAFDetection, true
		c.CustomRules = []config.CustomRule{{Name: "l", Priority: 1, Enabled: true, Action: config.CustomLog,
			Match: []config.MatchCondition{{Variable: config.MatchURI, Operator: config.OperatorBeginsWith, Values: []string{"/orders"}}}}}
	})
	tx := p.Begin(client)
	tx.Head(message(post("application/x-www-form-urlencoded", "")))
	tx.Body([]byte("a=1&"), false)
	tx.ResponseHead(answer(204))
	if len(log.list) != 0 {
		t.Errorf("of a clean response it says %+v", log.list[0])
	}
	tx.Trailers()
	tx.Body([]byte(script), true)
	tx.Done()
	if len(log.list) != 1 || log.list[0].Response || !log.list[0].Partial || len(log.list[0].Hits) != 1 || log.list[0].Outcome != Detected {
		t.Errorf("logged %s", log.lines.String())
	}
}
