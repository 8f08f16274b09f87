package custom

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

// sample is a request with something in every variable.
func sample() *variables.Request {
	return &variables.Request{
		Client: netip.MustParseAddrPort("203.0.113.9:40000"),
		Peer:   netip.MustParseAddrPort("[2001:db8::7]:50000"),
		Method: "POST",
		URI:    "/shop/Cart?item=7&q=caf%C3%A9",
		Query:  "item=7&q=caf%C3%A9",
		Headers: []variables.Pair{
			{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"},
			{Name: "X-Level", Value: "7"}, {Name: "x-level", Value: "12"}, {Name: "Empty", Value: ""},
		},
		Cookies: []variables.Pair{{Name: "theme", Value: "dark"}, {Name: "Theme", Value: "light"}},
		Body: variables.Body{
			Processor: variables.URLEncoded, Raw: "name=Ann&note=%3Cb%3E",
			ArgsPost: []variables.Pair{{Name: "name", Value: "Ann"}, {Name: "note", Value: "<b>"}},
		},
	}
}

func country(a netip.Addr) string {
	switch {
	case a == netip.MustParseAddr("203.0.113.9"):
		return "NL"
	case a.Is6():
		return "de"
	}
	return ""
}

func on(v Variable, o Operator, values ...string) Condition {
	return Condition{Variables: []Source{{Variable: v}}, Operator: o, Values: values}
}

func (c Condition) of(selector string) Condition {
	c.Variables = []Source{{c.Variables[0].Variable, selector}}
	return c
}

func (c Condition) not() Condition {
	c.Negate = true
	return c
}

func (c Condition) after(list ...Transform) Condition {
	c.Transforms = list
	return c
}

func compile(t testing.TB, rules ...Rule) *Set {
	t.Helper()
	for i := range rules {
		if rules[i].Name == "" {
			rules[i].Name = fmt.Sprint("rule", i)
		}
		if rules[i].Priority == 0 {
			rules[i].Priority = i + 1
		}
	}
	s, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// matching lists the rules that match, with the body read.
func matching(s *Set, r *variables.Request) (list []Match) {
	var e Evaluation
	e.Start(s, r, country)
	e.BodyRead()
	for m, ok := e.Next(); ok; m, ok = e.Next() {
		list = append(list, m)
	}
	return list
}

func TestConditions(t *testing.T) {
	tests := []struct {
		name string
		c    Condition
		want bool
	}{
		{"address in a prefix", on(RemoteAddr, IPMatch, "198.51.100.0/24", "203.0.113.0/24"), true},
		{"a single address", on(RemoteAddr, IPMatch, "203.0.113.9"), true},
		{"mapped prefix", on(RemoteAddr, IPMatch, "::ffff:203.0.113.0/120"), true},
		{"another address", on(RemoteAddr, IPMatch, "203.0.113.10"), false},
		{"the connection's other end", on(SocketAddr, IPMatch, "2001:db8::/32"), true},
		{"the client is not the connection's other end", on(RemoteAddr, IPMatch, "2001:db8::/32"), false},
		{"country", on(RemoteAddr, GeoMatch, "US", "NL"), true},
		{"country in the other case", on(SocketAddr, GeoMatch, "DE"), true},
		{"other country", on(RemoteAddr, GeoMatch, "US", "ZZ"), false},
		{"every address is any", on(RemoteAddr, Any), true},

		{"method", on(RequestMethod, Equal, "PUT", "POST"), true},
		{"method in the other case", on(RequestMethod, Equal, "post"), false},
		{"query", on(QueryString, BeginsWith, "item="), true},
		{"path begins", on(RequestURI, BeginsWith, "/shop/"), true},
		{"query ends the target", on(RequestURI, EndsWith, "%A9"), true},
		{"one of several", on(RequestURI, Contains, "zebra", "Cart"), true},
		{"none of several", on(RequestURI, Contains, "zebra", "cart"), false},
		{"not begins", on(RequestURI, BeginsWith, "shop"), false},
		{"not ends", on(RequestURI, EndsWith, "q="), false},
		{"regular expression", on(RequestURI, Regex, `^/shop/\w+\?`), true},
		{"second regular expression", on(RequestURI, Regex, `^/admin`, `(?i)cart`), true},
		{"no regular expression", on(RequestURI, Regex, `^/admin`), false},

		{"field by name in any case", on(RequestHeaders, BeginsWith, "Mozilla/").of("user-agent"), true},
		{"value of another field", on(RequestHeaders, BeginsWith, "Mozilla/").of("host"), false},
		{"any field", on(RequestHeaders, BeginsWith, "Mozilla/"), true},
		{"field is there", on(RequestHeaders, Any).of("EMPTY"), true},
		{"field is not there", on(RequestHeaders, Any).of("Referer"), false},
		{"field is empty", on(RequestHeaders, Equal, "").of("Empty"), true},
		{"absent field is not empty", on(RequestHeaders, Equal, "").of("Referer"), false},
		{"absent field is not that value", on(RequestHeaders, Equal, "x").of("Referer").not(), true},
		{"repeated field, the second", on(RequestHeaders, Equal, "12").of("X-Level"), true},
		{"cookie, case counts", on(RequestCookies, Equal, "light").of("Theme"), true},
		{"cookie in another case", on(RequestCookies, Equal, "light").of("theme"), false},
		{"argument", on(PostArgs, Equal, "Ann").of("name"), true},
		{"argument in another case", on(PostArgs, Equal, "Ann").of("NAME"), false},
		{"any argument", on(PostArgs, Contains, "<"), true},
		{"body as it came", on(RequestBody, Contains, "%3Cb"), true},
		{"body decoded", on(RequestBody, Contains, "<b>").after(URLDecode), true},

		{"negated", on(RequestMethod, Equal, "PUT", "POST").not(), false},
		{"none of the values", on(RequestMethod, Equal, "PUT", "GET").not(), true},
		{"one repeated value is enough against a negation", on(RequestHeaders, Equal, "7").of("X-Level").not(), false},
		{"not in a country", on(RemoteAddr, GeoMatch, "NL").not(), false},

		{"less", on(RequestHeaders, LessThan, "8").of("X-Level"), true},
		{"not less", on(RequestHeaders, LessThan, "7").of("X-Level"), false},
		{"at most", on(RequestHeaders, LessThanOrEqual, "7").of("X-Level"), true},
		{"more, as numbers", on(RequestHeaders, GreaterThan, "9").of("X-Level"), true},
		{"not more", on(RequestHeaders, GreaterThan, "12").of("X-Level"), false},
		{"at least", on(RequestHeaders, GreaterThanOrEqual, "12").of("X-Level"), true},
		{"what is no number is not less", on(RequestHeaders, LessThan, "100").of("Host"), false},
		{"what is no number is not more", on(RequestHeaders, GreaterThan, "-100").of("Host"), false},
		{"the empty text is no number", on(RequestHeaders, LessThan, "1").of("Empty"), false},

		{"transforms before the comparison", on(RequestURI, Contains, "café").after(URLDecode, Lowercase), true},
		{"values are not transformed", on(RequestURI, Contains, "Cart").after(Lowercase), false},
		{"transforms in order", on(RequestBody, Equal, "NAME=ANN&NOTE=%3CB%3E").after(URLDecode, URLEncode, URLDecode, Uppercase), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := matching(compile(t, Rule{Conditions: []Condition{tt.c}}), sample())
			if (len(got) == 1) != tt.want {
				t.Errorf("matches %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSeveralVariablesAreAlternatives(t *testing.T) {
	c := on(RequestURI, Contains, "dark")
	c.Variables = append(c.Variables, Source{RequestCookies, "theme"})
	if len(matching(compile(t, Rule{Conditions: []Condition{c}}), sample())) != 1 {
		t.Error("the second variable is not looked at")
	}
	if len(matching(compile(t, Rule{Conditions: []Condition{c.not()}}), sample())) != 0 {
		t.Error("a negated condition holds although one variable satisfies it")
	}
}

func TestAllConditionsMustHold(t *testing.T) {
	yes, no := on(RequestMethod, Equal, "POST"), on(RequestMethod, Equal, "GET")
	s := compile(t, Rule{Conditions: []Condition{yes, yes}}, Rule{Conditions: []Condition{yes, no}}, Rule{Conditions: []Condition{no, yes}})
	if got := matching(s, sample()); len(got) != 1 || got[0].Index != 0 {
		t.Errorf("matches %v, want only the first rule", got)
	}
}

func TestMatchesComeInOrderOfPriority(t *testing.T) {
	all := []Condition{on(RequestURI, Any)}
	s := compile(t, Rule{Name: "late", Priority: 90, Conditions: all}, Rule{Name: "off", Priority: 1, Disabled: true, Conditions: all},
		Rule{Name: "early", Priority: -5, Action: Log, Conditions: all}, Rule{Name: "middle", Priority: 50, Conditions: all})
	var names []string
	for _, m := range matching(s, sample()) {
		names = append(names, fmt.Sprint(m.Rule.Name, m.Index))
	}
	if want := []string{"early2", "middle3", "late0"}; !slices.Equal(names, want) {
		t.Errorf("order %v, want %v", names, want)
	}
}

func TestHostInTheTargetHidesNoPath(t *testing.T) {
	s := compile(t, Rule{Conditions: []Condition{on(RequestURI, BeginsWith, "/admin")}})
	for target, want := range map[string]bool{
		"/admin": true, "http://shop.example/admin": true, "HTTPS://shop.example/admin?x": true, "http://shop.example?/admin": false,
		"/x?http://a/admin": false, "*": false, "shop.example:443": false, "http://shop.example": false, "": false,
	} {
		if got := len(matching(s, &variables.Request{URI: target})) == 1; got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

func TestMembersOfJSONHaveTheirOwnNames(t *testing.T) {
	r := &variables.Request{Body: variables.Body{Processor: variables.JSON, ArgsPost: []variables.Pair{{Name: "json.item.0.id", Value: "5"}, {Name: "json.name", Value: "Ann"}}}}
	for selector, want := range map[string]bool{"id": true, "0.id": true, "item.0.id": true, "json.item.0.id": true, "d": false, "item": false, "": true} {
		s := compile(t, Rule{Conditions: []Condition{on(PostArgs, Equal, "5").of(selector)}})
		if got := len(matching(s, r)) == 1; got != want {
			t.Errorf("selector %q: %v, want %v", selector, got, want)
		}
	}
}

func TestBodyThatIsKeptInParts(t *testing.T) {
	xml := &variables.Request{Body: variables.Body{Processor: variables.XML, XMLText: []string{"Order"}, XMLAttributes: []string{"evil"}}}
	json := &variables.Request{Body: variables.Body{Processor: variables.JSON, ArgsPost: []variables.Pair{{Name: "json.evil", Value: "Order"}}}}
	files := &variables.Request{Body: variables.Body{Processor: variables.Multipart, Files: []string{"a"}}}
	find := func(c Condition, r *variables.Request) bool {
		return len(matching(compile(t, Rule{Conditions: []Condition{c}}), r)) == 1
	}
	for _, r := range []*variables.Request{xml, json} {
		if !find(on(RequestBody, Contains, "evil"), r) || !find(on(RequestBody, Equal, "Order"), r) || find(on(RequestBody, Contains, "good"), r) {
			t.Errorf("%s: texts in the body are not what the rule sees", r.Body.Processor)
		}
	}
	if !find(on(RequestBody, Any), files) || find(on(RequestBody, Any), &variables.Request{}) || !find(on(RequestBody, Any).not(), &variables.Request{}) {
		t.Error("whether there is a body is told wrongly")
	}
	if find(on(QueryString, Any), files) || !find(on(QueryString, Any), sample()) {
		t.Error("whether there is a query is told wrongly")
	}
}

func TestRulesOnTheHeadAreDecidedBeforeTheBody(t *testing.T) {
	post, get := on(RequestMethod, Equal, "POST"), on(RequestMethod, Equal, "GET")
	body := on(PostArgs, Equal, "Ann").of("name")
	s := compile(t, Rule{Name: "head", Action: Log, Conditions: []Condition{post}}, Rule{Name: "body of others", Conditions: []Condition{body, get}},
		Rule{Name: "head too", Conditions: []Condition{post}}, Rule{Name: "body", Conditions: []Condition{post, body}}, Rule{Name: "after", Conditions: []Condition{post}})
	if !s.NeedsBody() || s.Len() != 5 {
		t.Error("the set does not say that it needs the body")
	}
	r := sample()
	whole := r.Body
	r.Body = variables.Body{}
	var e Evaluation
	e.Start(s, r, nil)
	var got []string
	step := func() {
		for m, ok := e.Next(); ok; m, ok = e.Next() {
			got = append(got, m.Rule.Name)
		}
		got = append(got, fmt.Sprint(e.NeedsBody()))
	}
	step()
	step()
	r.Body = whole
	e.BodyRead()
	step()
	if want := []string{"head", "head too", "true", "true", "body", "after", "false"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMatchSaysWhy(t *testing.T) {
	r := sample()
	r.Headers[1].Value = "SQLMAP " + strings.Repeat("x", 1000)
	s := compile(t, Rule{Name: "tools", Priority: 7, Action: Block, Conditions: []Condition{
		on(RequestHeaders, Contains, "sqlmap").of("user-agent").after(Lowercase), on(RemoteAddr, GeoMatch, "NL"),
		on(SocketAddr, IPMatch, "2001:db8::/32"), on(RequestHeaders, Any).of("Referer").not(),
	}})
	got := matching(s, r)[0]
	for _, want := range []string{"tools (priority 7, block): ", `requestHeaders:User-Agent contains: "sqlmap xxx`, `remoteAddr geoMatch: "203.0.113.9 (NL)"`,
		`socketAddr ipMatch: "2001:db8::7"`, "requestHeaders:Referer not any"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
	if n := len(got.Hits[0].Value); n != MaxValue {
		t.Errorf("%d bytes of the value are kept, want %d", n, MaxValue)
	}
}

func TestHitsOutliveTheEvaluation(t *testing.T) {
	s := compile(t, Rule{Conditions: []Condition{on(RequestURI, Contains, "/a").after(Lowercase)}})
	var e Evaluation
	e.Start(s, &variables.Request{URI: "/AAA"}, nil)
	first, _ := e.Next()
	e.Start(s, &variables.Request{URI: "/ABB"}, nil)
	if second, ok := e.Next(); !ok || first.Hits[0].Value != "/aaa" || second.Hits[0].Value != "/abb" {
		t.Errorf("%v, then %v", first, second)
	}
	e.Release()
	if _, ok := e.Next(); ok {
		t.Error("a released evaluation goes on")
	}
}

func TestMistakesAreRefused(t *testing.T) {
	ok := []Condition{on(RequestURI, Any)}
	tests := []struct {
		name string
		rule Rule
		want string
	}{
		{"no name", Rule{Name: " ", Conditions: nil}, "0 conditions"},
		{"long name", Rule{Name: strings.Repeat("x", 129), Conditions: ok}, "129 bytes"},
		{"action", Rule{Action: 9, Conditions: ok}, "unknown action 9"},
		{"challenge over a limit", Rule{RateLimit: true, Action: JSChallenge, Conditions: ok}, "cannot challenge"},
		{"allow over a limit", Rule{RateLimit: true, Conditions: ok}, "cannot allow"},
		{"values of any", Rule{Conditions: []Condition{on(RequestURI, Any, "x")}}, "condition 1: any: takes no values"},
		{"no variable", Rule{Conditions: []Condition{{Operator: Any}}}, "0 variables"},
		{"variable", Rule{Conditions: []Condition{on(99, Any)}}, "unknown variable 99"},
		{"operator", Rule{Conditions: []Condition{on(RequestURI, 99, "x")}}, "unknown operator 99"},
		{"transform", Rule{Conditions: []Condition{on(RequestURI, Any).after(99)}}, "unknown transform 99"},
		{"transforms", Rule{Conditions: []Condition{on(RequestURI, Any).after(make([]Transform, 21)...)}}, "21 transforms"},
		{"selector", Rule{Conditions: []Condition{on(RequestURI, Any).of("x")}}, "takes no selector"},
		{"text of an address", Rule{Conditions: []Condition{on(RemoteAddr, Equal, "192.0.2.1")}}, "takes ipMatch, geoMatch and any"},
		{"address of a text", Rule{Conditions: []Condition{on(RequestHeaders, IPMatch, "192.0.2.1")}}, "is no address"},
		{"transform of an address", Rule{Conditions: []Condition{on(RemoteAddr, Any).after(Trim)}}, "takes no transforms"},
		{"prefix", Rule{Conditions: []Condition{on(RemoteAddr, IPMatch, "192.0.2.0/33")}}, `"192.0.2.0/33" is no prefix`},
		{"address", Rule{Conditions: []Condition{on(RemoteAddr, IPMatch, "fe80::1%eth0")}}, "is no address"},
		{"addresses", Rule{Conditions: []Condition{on(RemoteAddr, IPMatch)}}, "0 addresses"},
		{"country", Rule{Conditions: []Condition{on(RemoteAddr, GeoMatch, "NLD")}}, "no country code"},
		{"countries", Rule{Conditions: []Condition{on(RemoteAddr, GeoMatch)}}, "no countries"},
		{"number", Rule{Conditions: []Condition{on(RequestURI, LessThan, "1e5")}}, `"1e5" is no number`},
		{"numbers", Rule{Conditions: []Condition{on(RequestURI, LessThan)}}, "0 numbers"},
		{"texts", Rule{Conditions: []Condition{on(RequestURI, Contains)}}, "0 values"},
		{"too many texts", Rule{Conditions: []Condition{on(RequestURI, Contains, make([]string, 1001)...)}}, "1001 values"},
		{"empty text", Rule{Conditions: []Condition{on(RequestURI, BeginsWith, "")}}, "empty value"},
		{"long text", Rule{Conditions: []Condition{on(RequestURI, Equal, strings.Repeat("x", MaxText+1))}}, "4097 bytes"},
		{"expression", Rule{Conditions: []Condition{on(RequestURI, Regex, "(")}}, "missing closing )"},
		{"large expression", Rule{Conditions: []Condition{on(RequestURI, Regex, "(?:abcde){900}")}}, "instructions"},
		{"disabled, and still checked", Rule{Disabled: true, Conditions: []Condition{on(RequestURI, Regex, "(")}}, "missing closing )"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.rule.Name == "" {
				tt.rule.Name = "x"
			}
			if _, err := Compile([]Rule{tt.rule}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := Compile([]Rule{{Name: "a", Priority: 1}, {Name: "a", Priority: 1, Conditions: []Condition{on(99, Any)}}})
	for _, want := range []string{`two custom rules named "a"`, "both have priority 1", "0 conditions", "unknown variable 99"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if _, err := Compile(make([]Rule, MaxRules+1)); err == nil {
		t.Error("there is no bound on rules")
	}
}

func TestNamesAreThoseOfConfigurations(t *testing.T) {
	got := fmt.Sprint(Allow, JSChallenge, RemoteAddr, RequestURI, RequestCookies, Any, Regex, Lowercase, HTMLEntityDecode, Action(99))
	if want := "allow jsChallenge remoteAddr requestUri requestCookies any regex lowercase htmlEntityDecode unknown"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// tenRules are what a policy may have; none matches sample.
func tenRules(t testing.TB) *Set {
	prefixes := make([]string, 600)
	for i := range prefixes {
		prefixes[i] = fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)
	}
	conditions := []Condition{
		on(RemoteAddr, IPMatch, prefixes...), on(RemoteAddr, GeoMatch, "KP", "ZZ"), on(RequestMethod, Equal, "TRACE", "TRACK"),
		on(RequestURI, Contains, "/.git/", "/.env").after(URLDecode, Lowercase), on(RequestURI, BeginsWith, "/wp-admin").after(Lowercase),
		on(RequestHeaders, Contains, "sqlmap", "nikto").of("user-agent").after(Lowercase), on(RequestHeaders, Any).of("x-forwarded-host"),
		on(QueryString, Regex, `(?:^|&)debug=(?:1|true)(?:&|$)`), on(RequestCookies, GreaterThan, "100").of("visits"), on(PostArgs, Equal, "admin").of("user"),
	}
	rules := make([]Rule, len(conditions))
	for i, c := range conditions {
		rules[i] = Rule{Action: Block, Conditions: []Condition{c}}
	}
	return compile(t, rules...)
}

func TestCleanRequestsCostNoAllocation(t *testing.T) {
	s, r := tenRules(t), sample()
	var e Evaluation
	if n := testing.AllocsPerRun(100, func() { run(&e, s, r, t) }); n > 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func run(e *Evaluation, s *Set, r *variables.Request, t testing.TB) {
	e.Start(s, r, country)
	if _, ok := e.Next(); ok || !e.NeedsBody() {
		t.Fatal("the request is not clean")
	}
	e.BodyRead()
	if _, ok := e.Next(); ok || e.NeedsBody() {
		t.Fatal("the request is not clean")
	}
	e.Release()
}

func TestScratchOfALargeBodyIsNotKept(t *testing.T) {
	s := compile(t, Rule{Conditions: []Condition{on(RequestBody, Contains, "b").after(Lowercase, Uppercase)}})
	var e Evaluation
	e.Start(s, &variables.Request{Body: variables.Body{Raw: strings.Repeat("A", 1<<20)}}, nil)
	e.BodyRead()
	e.Next()
	e.Release()
	if n := cap(e.scratch[0]) + cap(e.scratch[1]); n > 2*keptScratch {
		t.Errorf("%d bytes are kept", n)
	}
}

func BenchmarkTenRules(b *testing.B) {
	s, r := tenRules(b), sample()
	var e Evaluation
	b.ReportAllocs()
	for b.Loop() {
		run(&e, s, r, b)
	}
}

func BenchmarkIPMatch600(b *testing.B) {
	s, r := tenRules(b), sample()
	op := s.rules[0].conditions[0].address
	b.ReportAllocs()
	for b.Loop() {
		if op.holdsAddr(r.Client.Addr(), nil) {
			b.Fatal("found")
		}
	}
}
