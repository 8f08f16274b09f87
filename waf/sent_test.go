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

// TestRewrittenRequestsAreJudgedAsTheyAreSent puts another path and query in
// the place of those received: rules see what the backend gets, in every
// variable.
func TestRewrittenRequestsAreJudgedAsTheyAreSent(t *testing.T) {
	block := func(v config.MatchVariable, value string) *Policy {
		p, _ := newPolicy(t, func(c *config.WAFPolicy) {
			c.CustomRules = []config.CustomRule{{Name: "g", Priority: 1, Enabled: true, Action: config.CustomBlock,
				Match: []config.MatchCondition{{Variable: v, Operator: config.OperatorContains, Values: []string{value}}}}}
		})
		return p
	}
	plain, _ := newPolicy(t, func(*config.WAFPolicy) {})
	const attack = "q=%3Cscript%3Ealert(1)%3C/script%3E"
	for _, tc := range []struct {
		name                string
		policy              *Policy
		target, path, query string
		want                Action
	}{
		{"a new path", block(config.MatchURI, "/admin"), "/a", "/admin", "", Block},
		{"the path of before", block(config.MatchURI, "/old"), "/old?x", "/new", "x", Pass},
		{"a new query", block(config.MatchQueryString, "new"), "/a", "/a", "new=1", Block},
		{"the query of before", block(config.MatchQueryString, "old"), "/a?old=1", "/a", "new=1", Pass},
		{"no query any more", block(config.MatchQueryString, "old"), "/a?old=1", "/a", "", Pass},
		{"an attack in the new query", plain, "/a", "/a", attack, Block},
		{"an attack that is not sent", plain, "/a?" + attack, "/a", "", Pass},
	} {
		tx := tc.policy.Begin(client)
		m := message("GET " + tc.target + " HTTP/1.1" + browserHead)
		m.Path, m.Rewritten = m.KeepString(tc.path), true
		m.Query, m.HasQuery = m.KeepString(tc.query), tc.query != ""
		if d := tx.Head(m); d.Action != tc.want {
			t.Errorf("%s: %+v, want %v", tc.name, d, tc.want)
		}
		tx.Done()
	}
}
