package waf

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/config"
)

// lastLine is the last line of the log: the verdict.
func (e *events) lastLine(t *testing.T) (l line) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(e.lines.String(), "\n"), "\n")
	if lines[0] == "" {
		return l
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTrailersAreNotSeenUnsaid(t *testing.T) {
	kind := post("application/x-www-form-urlencoded", "")
	detection := func(c *config.WAFPolicy) { c.Mode, c.RequestBody.InspectLimit = config.WAFDetection, 8<<10 }
	heads := func(c *config.WAFPolicy) { detection(c); c.RequestBody.Inspect = false }
	allowed := func(c *config.WAFPolicy) {
		detection(c)
		c.CustomRules = []config.CustomRule{{Name: "a", Priority: 1, Enabled: true, Action: config.CustomAllow,
			Match: []config.MatchCondition{{Variable: config.MatchURI, Operator: config.OperatorBeginsWith, Values: []string{"/orders"}}}}}
	}
	const said = "request trailers were not inspected; prevention would not send them on"
	for _, w := range []struct {
		name             string
		change           func(*config.WAFPolicy)
		body             string
		send             bool
		partial          uint64
		outcome, message string // of the line, if there is one
		marked           bool
	}{
		{"prevention", nil, "a=1", false, 0, "", "", false},
		{"detection", detection, "a=1", true, 1, "allowed", said, true},
		{"detection of an attack", detection, script, true, 1, "detected", "rule 949110, score 20", true},
		{"detection of a long body", detection, strings.Repeat("a", 20<<10), true, 1, "", "", false},
		{"detection by heads", heads, "a=1", true, 1, "", "", false},
		{"allowed by a custom rule", allowed, "a=1", true, 0, "allowed", "custom rule a", false},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, log := newPolicy(t, w.change)
			tx := p.Begin(client)
			defer tx.Done()
			tx.Head(message(kind))
			streamed := 0
			if !p.prevents() {
				streamed = len(w.body) / 2
				tx.Body([]byte(w.body[:streamed]), false)
			}
			if send := tx.Trailers(); send != w.send {
				t.Errorf("send %v", send)
			}
			tx.Body([]byte(w.body[streamed:]), true)
			if l := log.lastLine(t); l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != w.marked {
				t.Errorf("logged %+v", l)
			}
			if n := p.Metrics.Partial.Load(); n != w.partial {
				t.Errorf("%d partial, want %d", n, w.partial)
			}
			var all uint64
			for o := range p.Metrics.Outcomes {
				all += p.Metrics.Outcomes[o].Load()
			}
			if all != 1 {
				t.Errorf("counted %d times", all)
			}
		})
	}
}
