package waf

import (
	"testing"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// TestRulesAboutPathsSeeWhatTheBackendGets writes paths in other ways than the
// backend gets them: neither may a rule be passed by so, nor an exception be
// had for another path.
func TestRulesAboutPathsSeeWhatTheBackendGets(t *testing.T) {
	guarded, _ := newPolicy(t, func(c *config.WAFPolicy) {
		c.CustomRules = []config.CustomRule{{Name: "g", Priority: 1, Enabled: true, Action: config.CustomBlock,
			Match: []config.MatchCondition{{Variable: config.MatchURI, Operator: config.OperatorBeginsWith, Values: []string{"/.git", "/admin?x"}}}}}
	})
	excepted, _ := newPolicy(t, func(c *config.WAFPolicy) {
		c.RuleSet.Exceptions = []config.Exception{{Variable: config.ExceptURI, Operator: config.CompareStartsWith, Values: []string{"/upload"}}}
	})
	const attack = "?q=%3Cscript%3Ealert(1)%3C/script%3E"
	for _, tc := range []struct {
		name   string
		policy *Policy
		target string
		want   Action
	}{
		{"a rule", guarded, "/.git/config", Block},
		{"a rule and two slashes", guarded, "//.git/config", Block},
		{"a rule and an encoded dot", guarded, "/%2egit/config", Block},
		{"a rule and a step up", guarded, "/x/../.git/config", Block},
		{"a rule and a query", guarded, "/./admin?x=1", Block},
		{"a rule about another path", guarded, "/git/config", Pass},
		{"an exception", excepted, "/upload/a" + attack, Pass},
		{"an exception written otherwise", excepted, "//%75pload/a" + attack, Pass},
		{"an exception for another path", excepted, "/upload/../admin" + attack, Block},
	} {
		tx := tc.policy.Begin(client)
		m := message("GET " + tc.target + " HTTP/1.1" + browserHead)
		path, same, err := httpmsg.CanonicalPath(nil, m.Bytes(m.RawPath), httpmsg.PathOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !same {
			m.Path = m.Keep(path)
		}
		if d := tx.Head(m); d.Action != tc.want {
			t.Errorf("%s: %s: %+v", tc.name, tc.target, d)
		}
		tx.Done()
	}
}
