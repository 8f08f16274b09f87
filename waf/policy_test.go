package waf

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// conf is a policy in prevention that a test changes.
func conf(change func(*config.WAFPolicy)) *config.WAFPolicy {
	c := &config.WAFPolicy{Name: "test", Enabled: true, RuleSet: config.RuleSet{Version: "4.25", Paranoia: 1, DetectionParanoia: 1,
		InboundThreshold: 5, OutboundThreshold: 4, MaxArgs: 255, Profile: config.ProfileCRS},
		RequestBody: config.RequestBody{Inspect: true, InspectLimit: 128 << 10, MaxSize: 2 << 20, FileLimit: 100 << 20, Enforce: true, Strict: true}}
	if change != nil {
		change(c)
	}
	return c
}

func judgeOf(t *testing.T, change func(*config.RuleSet)) *judge {
	t.Helper()
	j, err := newJudge(conf(func(c *config.WAFPolicy) { change(&c.RuleSet) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.release() })
	return j
}

func get(target string, fields ...variables.Pair) *variables.Request {
	h := append([]variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"}}, fields...)
	return request("GET", target, "HTTP/1.1", h, "")
}

func postJSON(data string) *variables.Request {
	return request("POST", "/", "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"},
		{Name: "Accept", Value: "*/*"}, {Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: "9"}}, data)
}

func judged(t *testing.T, j *judge, r *variables.Request, skip ...ruleRange) Judgement {
	t.Helper()
	var e index.Evaluation
	fast, err := j.request("x", r, skip, &e, true)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := j.request("x", r, skip, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if !fast.equals(&plain) {
		t.Errorf("with the index %v, without it %v", fast.String(), plain.String())
	}
	return fast
}

const (
	xssQuery  = "/?q=%3Cscript%3Ealert(1)%3C/script%3E"
	sqliQuery = "/?id=1%27%20or%20%271%27=%271"
)

func TestOverrides(t *testing.T) {
	oneGoroutine(t)
	for _, tc := range []struct {
		name    string
		set     []config.RuleOverride
		target  string
		matches bool // 942100
		blocked bool
		by      int
	}{
		{"none", nil, sqliQuery, true, true, 949110},
		{"a rule off", []config.RuleOverride{{Rule: 942100, State: config.OverrideDisabled}}, sqliQuery, false, false, 0},
		{"a group off", []config.RuleOverride{{Group: "SQLI", Action: config.OverrideOff}}, sqliQuery, false, false, 0},
		{"a group off but for a rule", []config.RuleOverride{{Rule: 942100, State: config.OverrideStateKept, Action: config.OverrideAnomaly}, {Group: "942", Action: config.OverrideOff}}, sqliQuery, true, true, 949110},
		{"a rule that only logs", []config.RuleOverride{{Rule: 942100, Action: config.OverrideLog}}, sqliQuery, true, false, 0},
		{"a rule that blocks at once", []config.RuleOverride{{Rule: 942100, Action: config.OverrideBlock}}, sqliQuery, true, true, 942100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := judgeOf(t, func(s *config.RuleSet) { s.Overrides = tc.set })
			got := judged(t, j, get(tc.target))
			if slices.Contains(got.ids(), 942100) != tc.matches || got.Blocked != tc.blocked || got.RuleID != tc.by {
				t.Errorf("got %s by %d", got.String(), got.RuleID)
			}
		})
	}
}

func TestARuleAboveTheParanoiaLevelCanBeEnabled(t *testing.T) {
	oneGoroutine(t)
	target := "/?q=%25%25%25" // 920230 is of level 2
	off := judged(t, judgeOf(t, func(*config.RuleSet) {}), get("/?q=%2525"))
	on := judged(t, judgeOf(t, func(s *config.RuleSet) {
		s.Overrides = []config.RuleOverride{{Rule: 920230, State: config.OverrideEnabled}}
	}), get("/?q=%2525"))
	if slices.Contains(off.ids(), 920230) || !slices.Contains(on.ids(), 920230) || on.Score != 3 {
		t.Errorf("%s: off %s, on %s", target, off.String(), on.String())
	}
}

func TestExclusions(t *testing.T) {
	oneGoroutine(t)
	equals := func(v config.ExclusionVariable, selector string, rules ...int) []config.Exclusion {
		return []config.Exclusion{{Variable: v, Operator: config.CompareEquals, Selector: selector, Rules: rules}}
	}
	cookie := get("/", variables.Pair{Name: "Cookie", Value: "c=<script>alert(1)</script>"})
	for _, tc := range []struct {
		name    string
		set     []config.Exclusion
		req     *variables.Request
		blocked bool
	}{
		{"of another name", equals(config.ExcludeArgValues, "other"), get(xssQuery), true},
		{"of the name", equals(config.ExcludeArgValues, "q"), get(xssQuery), false},
		{"of the name, for other rules", equals(config.ExcludeArgValues, "q", 942100), get(xssQuery), true},
		{"of the keys", equals(config.ExcludeArgKeys, "q"), get(xssQuery), true},
		{"by its beginning", []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareStartsWith, Selector: "q"}}, get(xssQuery), false},
		{"of a group", []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEqualsAny, Groups: []string{"XSS"}}}, get(xssQuery), false},
		{"of another group", []config.Exclusion{{Variable: config.ExcludeArgValues, Operator: config.CompareEqualsAny, Groups: []string{"sqli"}}}, get(xssQuery), true},
		{"of a cookie", equals(config.ExcludeCookieValues, "c"), cookie, false},
		{"of a member of JSON", equals(config.ExcludeArgValues, "comment"), postJSON(`{"a":[{"comment":"<script>alert(1)</script>"}]}`), false},
		{"of another member of JSON", equals(config.ExcludeArgValues, "comment"), postJSON(`{"a":[{"commented":"<script>alert(1)</script>"}]}`), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := judgeOf(t, func(s *config.RuleSet) { s.Exclusions = tc.set })
			if got := judged(t, j, tc.req); got.Blocked != tc.blocked {
				t.Errorf("got %s", got.String())
			}
		})
	}
}

func TestExceptions(t *testing.T) {
	oneGoroutine(t)
	for _, tc := range []struct {
		name    string
		x       config.Exception
		blocked bool
	}{
		{"of the target", config.Exception{Variable: config.ExceptURI, Operator: config.CompareStartsWith, Values: []string{"/?q="}}, false},
		{"of another target", config.Exception{Variable: config.ExceptURI, Operator: config.CompareStartsWith, Values: []string{"/x", "%{REQUEST_URI}"}}, true},
		{"of an address", config.Exception{Variable: config.ExceptRemoteAddr, Operator: config.CompareIPMatch, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, false},
		{"of a field", config.Exception{Variable: config.ExceptHeader, Selector: "user-agent", Operator: config.CompareContains, Values: []string{"Mozilla"}}, false},
		{"of a field, for another group", config.Exception{Variable: config.ExceptHeader, Selector: "User-Agent", Operator: config.CompareContains, Values: []string{"Mozilla"}, Groups: []string{"php"}}, true},
		{"of a field, for the group", config.Exception{Variable: config.ExceptHeader, Selector: "User-Agent", Operator: config.CompareContains, Values: []string{"Mozilla"}, Groups: []string{"xss"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Compile(conf(func(c *config.WAFPolicy) { c.RuleSet.Exceptions = []config.Exception{tc.x} }), Options{Others: sharedEngines()})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			r := get(xssQuery)
			if got := judged(t, p.judge, r, p.skipped(r, nil)...); got.Blocked != tc.blocked {
				t.Errorf("got %s", got.String())
			}
		})
	}
}

func TestNamesThatAreNotThereAreErrors(t *testing.T) {
	oneGoroutine(t)
	for want, change := range map[string]func(*config.RuleSet){
		"overrides[0].rule: there is no rule 942999": func(s *config.RuleSet) {
			s.Overrides = []config.RuleOverride{{Rule: 942999, Action: config.OverrideOff}}
		},
		"overrides[0].group: there is no group": func(s *config.RuleSet) {
			s.Overrides = []config.RuleOverride{{Group: "sqly", Action: config.OverrideOff}}
		},
		"exclusions[0]: there is no group":  func(s *config.RuleSet) { s.Exclusions = []config.Exclusion{{Selector: "a", Groups: []string{"xxs"}}} },
		"exceptions[0]: there is no rule 1": func(s *config.RuleSet) { s.Exceptions = []config.Exception{{Values: []string{"/"}, Rules: []int{1}}} },
	} {
		_, err := Compile(conf(func(c *config.WAFPolicy) { change(&c.RuleSet) }), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSelectorsMeanNothingButThemselves(t *testing.T) {
	oneGoroutine(t)
	names := []string{"a|b", "a/b", `a"b`, "a'b", "a,b", "a b", `a\b`, "a.b", "a*", "(a", "%{x}", "ä", "A[0]"}
	j := judgeOf(t, func(s *config.RuleSet) {
		for _, name := range names {
			s.Exclusions = append(s.Exclusions, config.Exclusion{Variable: config.ExcludeArgValues, Operator: config.CompareEquals, Selector: name})
		}
	})
	evil := "=%3Cscript%3Ealert(1)%3C/script%3E"
	for _, name := range names {
		if got := judged(t, j, get("/?"+url.QueryEscape(name)+evil)); slices.ContainsFunc(got.ids(), func(id int) bool { return id/1000 == 941 }) {
			t.Errorf("%q is not excluded: %s", name, got.String())
		}
	}
	for _, name := range []string{"x", "a", "b", "ab", "axb", "A", "0"} {
		if got := judged(t, j, get("/?"+name+evil)); !got.Blocked {
			t.Errorf("%q is excluded: %s", name, got.String())
		}
	}
}

func TestAzureRuleSets(t *testing.T) {
	oneGoroutine(t)
	for _, tc := range []struct {
		name    config.RuleSetName
		version string
		level   int
	}{{config.RuleSetAzureOWASP, "3.2", 2}, {config.RuleSetMicrosoft, "2.1", 2}, {config.RuleSetMicrosoft, "2.2", 1}} {
		t.Run(tc.name.String()+" "+tc.version, func(t *testing.T) {
			c := conf(func(c *config.WAFPolicy) {
				s := &c.RuleSet
				s.Name, s.Version, s.Paranoia, s.DetectionParanoia = tc.name, tc.version, tc.level, tc.level
			})
			p, err := Compile(c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if got := judged(t, p.judge, get(sqliQuery)); !got.Blocked {
				t.Errorf("SQL injection: %s", got.String())
			}
			if got := judged(t, p.judge, get("/?q=chairs")); got.Blocked {
				t.Errorf("a search: %s", got.String())
			}
			if len(p.Notes()) == 0 || !strings.Contains(p.Notes()[0], tc.version) {
				t.Errorf("notes: %q", p.Notes())
			}
		})
	}
	j := judgeOf(t, func(s *config.RuleSet) {
		s.Name, s.Version = config.RuleSetMicrosoft, "2.2"
		s.Overrides = []config.RuleOverride{{Group: "SQLI", State: config.OverrideDisabled}}
	})
	if got := judged(t, j, get(sqliQuery)); got.Blocked {
		t.Errorf("with its group off: %s", got.String())
	}
}

func TestEnginesAreSharedAndClosed(t *testing.T) {
	c := conf(nil)
	first, err := Compile(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Compile(c, Options{Previous: first})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Compile(conf(func(c *config.WAFPolicy) { c.RuleSet.Paranoia, c.RuleSet.DetectionParanoia = 2, 2 }), Options{Previous: second})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if first.judge != second.judge || second.judge == other.judge {
		t.Error("the engine of the same rules is not shared, or that of others is")
	}
	first.Close()
	if got := judged(t, second.judge, get(xssQuery)); !got.Blocked {
		t.Error("the second policy's engine is gone")
	}
	second.Close()
	if second.judge.share(second.judge.text) {
		t.Error("a closed engine is shared")
	}
}
