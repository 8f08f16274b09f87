package config

import (
	"reflect"
	"strings"
	"testing"
)

// everyMatchKey says everything that a path rule can want beside a path.
const everyMatchKey = backends + `
listeners: [{name: web, address: 8080}]
rules: [{name: web, listener: web, pathMap: m}]
pathMaps:
  - name: m
    order: specific
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/a/*], match: {methods: [GET, HEAD], headers: {X-V: "2", X-W: {pattern: "^a", ignoreCase: true}}, query: {q: "", b c: x}}, backendPool: app, backendSettings: plain}
      - {paths: [/*, /a/*], backendPool: app, backendSettings: plain}
`

func TestPathRulesMatchMoreThanPaths(t *testing.T) {
	g, warnings := mustParse(t, everyMatchKey)
	want := RouteMatch{Methods: []string{"GET", "HEAD"}, Headers: []ValueMatch{{Name: "X-V", Value: "2"}, {Name: "X-W", Pattern: "^a", IgnoreCase: true}},
		Query: []ValueMatch{{Name: "q"}, {Name: "b c", Value: "x"}}}
	if m := g.PathMaps[0]; m.Order != OrderSpecific || !reflect.DeepEqual(m.Paths[0].Match, want) || m.Paths[1].Match.Given() || len(warnings) > 0 {
		t.Errorf("got %+v, warnings %v", m, warnings)
	}
}

// What wants more than a path takes not everything from what comes behind.
func TestPathsThatCannotMatch(t *testing.T) {
	rule := func(path, match string) string {
		return "      - {paths: [" + path + "], " + match + "backendPool: app, backendSettings: plain}\n"
	}
	const get = "match: {methods: [GET]}, "
	for _, tt := range []struct {
		order, rules string
		warns        bool
	}{
		{"listed", rule("/a/*", get) + rule("/a/*", ""), false},
		{"listed", rule("/a/*", "") + rule("/a/*", get), true},
		{"listed", rule("/a/*", "") + rule("/a/b", ""), true},
		{"listed", rule("/a/*", get) + rule("/a/b", ""), false},
		{"specific", rule("/a/*", "") + rule("/a/b", ""), false},
		{"specific", rule("/a/*", "") + rule("/a/*", get), false},
		{"specific", rule("/a/*", "") + rule("/A/*", ""), true},
		{"specific", rule("/a", "") + rule("/a", ""), true},
		{"specific", rule("/a*", "") + rule("/a", ""), false},
	} {
		text := strings.Replace(everyMatchKey, "order: specific", "order: "+tt.order, 1)
		text = text[:strings.Index(text, "      - {paths")] + tt.rules
		if _, warnings := mustParse(t, text); (len(warnings) > 0) != tt.warns {
			t.Errorf("%s:\n%s%v", tt.order, tt.rules, warnings)
		}
	}
}

// A redirect that only some requests meet is no loop for certain.
func TestRedirectsThatWantMoreAreNoLoops(t *testing.T) {
	const text = backends + `
listeners: [{name: web, address: 8080, hostNames: [a.example]}]
rules: [{name: web, listener: web, pathMap: m}]
redirects: [{name: r, target: {listener: web}}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain}
    paths: [{paths: [/a], MATCHredirect: r}]
`
	if _, _, err := ParseGateway("f", []byte(strings.Replace(text, "MATCH", "", 1))); err == nil || !strings.Contains(err.Error(), "redirects for ever") {
		t.Errorf("a loop: %v", err)
	}
	mustParse(t, strings.Replace(text, "MATCH", "match: {query: {a: b}}, ", 1))
}

// match puts one rule into a file.
func match(m string) string {
	return "pathMaps: [{name: m, default: {backendPool: app, backendSettings: plain}, paths: [{paths: [/a], backendPool: app, backendSettings: plain, match: " + m + "}]}]\n"
}

const atMatch = "appgw.yaml:1: pathMaps[0].paths[0].match"

var refusedMatches = []struct {
	name, text, rest string
	want             []string
}{
	{name: "match: nothing", text: match("{}"), rest: web, want: []string{atMatch + ": wants nothing; add methods, headers or query"}},
	{name: "match: methods", text: match("{methods: [get, G T]}"), rest: web, want: []string{
		atMatch + `.methods[0]: must be a method in upper case, such as GET, not "get"`, atMatch + `.methods[1]: must be a method in upper case, such as GET, not "G T"`}},
	{name: "match: values", text: match(`{headers: {X_Y: a, A: b, a: c, B: {pattern: "(?=x)"}, C: {pattern: ""}, D: [e], E: {}}, query: {"": x}}`), rest: web, want: []string{
		atMatch + `.headers.X_Y: "X_Y" names no field of a request: names have letters, digits and -`,
		atMatch + `.headers.a: is there already; remove one`,
		atMatch + `.headers.B.pattern: is no regular expression (RE2): invalid or unsupported Perl syntax: "(?="; RE2 has no lookahead, lookbehind or atomic groups, so that no text takes long to look through`,
		atMatch + `.headers.C.pattern: must not be empty; ^$ is for a variable without text, and .* for any`,
		atMatch + `.headers.D: must be text, not a list`,
		atMatch + `.headers.E.pattern: is missing; add it`,
		atMatch + `.query."": a name has 1 to 256 characters, none of them control characters`}},
}
