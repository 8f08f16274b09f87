package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// everyRewriteKey says everything that a rewrite set can.
const everyRewriteKey = web + `
rewriteSets:
  - name: all
    rules:
      - name: last
        sequence: 200
        actions: {responseHeaders: {Server: "", Vary: {value: Cookie, append: true}}}
      - name: first
        sequence: 10
        conditions:
          - {variable: var_uri_path, pattern: "^/a/(.*)-(.*)$", ignoreCase: true}
          - {variable: http_req_X-Kind, pattern: "^new$", negate: true}
          - {variable: var_cookie_id, pattern: "(x)"}
        actions:
          url: {path: "/b/{var_uri_path_2}", query: "was={var_uri_path_1}&{var_query_string}", reevaluatePathMap: false}
          requestHeaders: {X-Client: "{var_client_ip} is {http_req_x-kind}", X-Json: "{\"a\":{\"b\": {}}}", X-Id: "{var_cookie_id_1}{var_cookie_other_1}"}
          responseHeaders: {Set-Cookie: {value: "a={capt_header_value_matcher_1}", valueMatcher: {pattern: "^a=(.*)", ignoreCase: true}}}
      - name: middle
        conditions: [{variable: http_resp_Location, pattern: "^http://(.*)"}, {variable: var_http_status, pattern: "^30"}]
        actions: {responseHeaders: {Location: "https://{http_resp_location_1}"}}
`

func TestRewriteSet(t *testing.T) {
	g, warnings := mustParse(t, strings.Replace(everyRewriteKey, "backendSettings: plain}", "backendSettings: plain, rewriteSet: all}", 1))
	if len(warnings) > 0 || g.Rules[0].RewriteSet != "all" {
		t.Errorf("warnings %v, rule %+v", warnings, g.Rules[0])
	}
	rules := g.RewriteSets[0].Rules
	var names []string
	for _, r := range rules {
		names = append(names, r.Name)
	}
	if want := []string{"first", "middle", "last"}; !slices.Equal(names, want) {
		t.Fatalf("the rules are run as %v, want %v", names, want)
	}
	path := RewriteVariable{Source: SourceURIPath}
	a := rules[0].Actions
	for _, tt := range []struct {
		text RewriteText
		want []RewritePart
	}{
		{a.URL.Path, []RewritePart{{Text: "/b/"}, {Variable: path, Group: 2}}},
		{a.URL.Query, []RewritePart{{Text: "was="}, {Variable: path, Group: 1}, {Text: "&"}, {Variable: RewriteVariable{Source: SourceQueryString}}}},
		{a.RequestHeaders[0].Value, []RewritePart{{Variable: RewriteVariable{Source: SourceClientIP}}, {Text: " is "}, {Variable: RewriteVariable{SourceRequestField, "x-kind"}}}},
		{a.RequestHeaders[1].Value, []RewritePart{{Text: `{"a":{"b": {}}}`}}},
		{a.RequestHeaders[2].Value, []RewritePart{{Variable: RewriteVariable{SourceCookie, "id"}, Group: 1, Condition: 2}, {Variable: RewriteVariable{SourceCookie, "other_1"}}}},
		{a.ResponseHeaders[0].Value, []RewritePart{{Text: "a="}, {Variable: RewriteVariable{Source: SourceMatcher}, Group: 1}}},
		{rules[1].Actions.ResponseHeaders[0].Value, []RewritePart{{Text: "https://"}, {Variable: RewriteVariable{SourceResponseField, "location"}, Group: 1}}},
	} {
		if !reflect.DeepEqual(tt.text.Parts, tt.want) {
			t.Errorf("%s is %+v, want %+v", tt.text.Text, tt.text.Parts, tt.want)
		}
	}
	if rules[0].OfResponse() || !rules[1].OfResponse() {
		t.Error("which rules wait for the response is wrong")
	}
}

// rewrite puts one rule into a file.
func rewrite(rule string) string {
	return "rewriteSets: [{name: a, rules: [{name: r, " + rule + "}]}]\n"
}

const at = "appgw.yaml:1: rewriteSets[0].rules[0]."

var refusedRewrites = []struct {
	name, text, rest string
	want             []string
}{
	{name: "rewrite: nothing", text: rewrite("actions: {}"), rest: web, want: []string{at + "actions: does nothing; add url, requestHeaders or responseHeaders"}},
	{name: "rewrite: empty url", text: rewrite("actions: {url: {}}"), rest: web, want: []string{at + "actions.url: changes nothing; add path or query"}},
	{name: "rewrite: lookahead", text: rewrite(`conditions: [{variable: var_uri_path, pattern: '^/(?!admin)'}], actions: {requestHeaders: {A: b}}`), rest: web, want: []string{
		at + `conditions[0].pattern: is no regular expression (RE2): invalid or unsupported Perl syntax: "(?!"; RE2 has no lookahead, lookbehind or atomic groups, so that no text takes long to look through`}},
	{name: "rewrite: back reference", text: rewrite(`conditions: [{variable: var_uri_path, pattern: '(a)\1'}], actions: {requestHeaders: {A: b}}`), rest: web, want: []string{
		at + `conditions[0].pattern: is no regular expression (RE2): invalid escape sequence: "\\1"; RE2 has no back references, so that no text takes long to look through`}},
	{name: "rewrite: a pattern closed by its frame", text: rewrite(`conditions: [{variable: var_uri_path, pattern: 'a)(b', ignoreCase: true}], actions: {requestHeaders: {A: b}}`), rest: web, want: []string{
		at + `conditions[0].pattern: is no regular expression (RE2): unexpected ): "(?i)a)(b"`}},
	{name: "rewrite: a large pattern", text: rewrite(`conditions: [{variable: var_uri_path, pattern: '((a{30}){30})'}], actions: {requestHeaders: {A: "{var_uri_path_1}"}}`), rest: web, want: []string{
		at + `conditions[0].pattern: is too large, with its repetitions written out; write a smaller one`}},
	{name: "rewrite: variables", text: rewrite(`conditions: [{variable: uri_path, pattern: a}, {variable: var_uri_pth, pattern: a}, {variable: http_req_X_Y, pattern: a}, {variable: capt_header_value_matcher, pattern: a}, {variable: var_client_certificate_subjekt, pattern: a}, {variable: var_uri_path, pattern: ""}], actions: {requestHeaders: {A: b}}`), rest: web, want: []string{
		at + `conditions[0].variable: "uri_path" is no variable; one begins with var_, http_req_ or http_resp_; write var_uri_path`,
		at + `conditions[1].variable: there is no server variable "var_uri_pth"; did you mean uri_path?`,
		at + `conditions[2].variable: "http_req_X_Y" names no field of a request: names have letters, digits and -`,
		at + `conditions[3].variable: "capt_header_value_matcher" is what a valueMatcher finds; a condition cannot look at it`,
		at + `conditions[4].variable: there is no server variable "var_client_certificate_subjekt"; did you mean client_certificate_subject?`,
		at + `conditions[5].pattern: must not be empty; ^$ is for a variable without text, and .* for any`}},
	{name: "rewrite: texts", text: rewrite(`conditions: [{variable: var_uri_path, pattern: "(a)"}, {variable: var_host, pattern: "(a)", negate: true}], actions: {requestHeaders: {A: "{var_uri_path_2}", B: "{http_req_B_1}", C: "{uri_path}", D: "{http_req_D", E: "{http_resp_E}", F: "{var_http_status}", G: "a\r\nX: b", H: "{var_host_1}", I: "{capt_header_value_matcher_1}"}}`), rest: web, want: []string{
		at + `actions.requestHeaders.A: {var_uri_path_2}: no condition of this rule finds a group 2 in var_uri_path; a pattern has groups in ( ), a negated one has none`,
		at + `actions.requestHeaders.B: {http_req_B_1}: no condition of this rule finds a group 1 in http_req_B; a pattern has groups in ( ), a negated one has none`,
		at + `actions.requestHeaders.C: "uri_path" is no variable; one begins with var_, http_req_ or http_resp_; write var_uri_path`,
		at + `actions.requestHeaders.D: {http_req_D has no } behind it`,
		at + `actions.requestHeaders.E: {http_resp_E} is known only once a backend has answered; use it in responseHeaders`,
		at + `actions.requestHeaders.F: {var_http_status} is known only once a backend has answered; use it in responseHeaders`,
		at + `actions.requestHeaders.G: must not have control characters, line breaks among them`,
		at + `actions.requestHeaders.H: {var_host_1}: no condition of this rule finds a group 1 in var_host; a pattern has groups in ( ), a negated one has none`,
		at + `actions.requestHeaders.I: {capt_header_value_matcher_1}: there is no valueMatcher with so many groups`}},
	{name: "rewrite: fields", text: rewrite(`actions: {requestHeaders: {Connection: a, content-LENGTH: b, Transfer-Encoding: c, Upgrade: d, X-Original-Host: e, Host: "", Via: "", X_Under: f, a b: g, Cookie: {value: h, append: true}, X-I: {value: "", append: true}, x-i: j, X-K: {value: k, valueMatcher: {pattern: k}}}, responseHeaders: {Trailer: a, Keep-Alive: "", Location: {value: b, append: true}}}`), rest: web, want: []string{
		at + `actions.requestHeaders.Connection: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.requestHeaders.content-LENGTH: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.requestHeaders.Transfer-Encoding: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.requestHeaders.Upgrade: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.requestHeaders.X-Original-Host: is what the gateway itself goes by; remove it`,
		at + `actions.requestHeaders.Host: cannot be deleted: every request has one`,
		at + `actions.requestHeaders.Via: is what the gateway itself goes by; remove it`,
		at + `actions.requestHeaders.X_Under: "X_Under": names of request fields have letters, digits and -; others are dropped`,
		at + `actions.requestHeaders."a b": "a b" is not the name of a field`,
		at + `actions.requestHeaders.Cookie: must not be there twice; leave append out to replace it`,
		at + `actions.requestHeaders.X-I: appends nothing; add text, or leave append out to delete the field`,
		at + `actions.requestHeaders.x-i: is there already as X-I; use another rule for more changes of it`,
		at + `actions.requestHeaders.X-K.valueMatcher: chooses among lines of Set-Cookie in a response; remove it, or use a condition`,
		at + `actions.responseHeaders.Trailer: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.responseHeaders.Keep-Alive: is about the connection or where a message ends, which the gateway sees to; remove it`,
		at + `actions.responseHeaders.Location: must not be there twice; leave append out to replace it`}},
	{name: "rewrite: matchers", text: rewrite(`actions: {responseHeaders: {Set-Cookie: {value: "{capt_header_value_matcher_1}", valueMatcher: {pattern: "(a)", negate: true}}, X: {value: "{capt_header_value_matcher}"}}}`), rest: web, want: []string{
		at + `actions.responseHeaders.Set-Cookie.value: {capt_header_value_matcher_1}: there is no valueMatcher with so many groups`,
		at + `actions.responseHeaders.X.value: {capt_header_value_matcher} has groups only: {capt_header_value_matcher_1}`}},
	{name: "rewrite: urls", text: "rewriteSets: [{name: a, rules: [" +
		`{name: a, actions: {url: {path: "a/b"}}}, {name: b, actions: {url: {path: ""}}}, {name: c, actions: {url: {path: "/a?b"}}}, {name: d, actions: {url: {path: "/a/%2e./b"}}}, {name: e, actions: {url: {path: "/a%2fb"}}}, {name: f, actions: {url: {path: "/a%{var_host}"}}}, {name: g, actions: {url: {query: "?a"}}}, {name: h, actions: {url: {query: "a b"}}}, {name: i, actions: {url: {query: a, reevaluatePathMap: true}}}, {name: i, actions: {url: {path: "/a b"}}}` + "]}]\n", rest: web, want: []string{
		`appgw.yaml:1: rewriteSets[0].rules[0].actions.url.path: must begin with /, not "a/b"`,
		`appgw.yaml:1: rewriteSets[0].rules[1].actions.url.path: must not be empty; a path begins with /`,
		`appgw.yaml:1: rewriteSets[0].rules[2].actions.url.path: "/a?b" must not have ?`,
		`appgw.yaml:1: rewriteSets[0].rules[3].actions.url.path: has a .. segment; write the path without it`,
		`appgw.yaml:1: rewriteSets[0].rules[4].actions.url.path: has %2F, which paths must not have`,
		`appgw.yaml:1: rewriteSets[0].rules[5].actions.url.path: "/a%" has a % without two hexadecimal digits; write %25 for the character itself`,
		`appgw.yaml:1: rewriteSets[0].rules[6].actions.url.query: must not begin with ?, which is put in front of it`,
		`appgw.yaml:1: rewriteSets[0].rules[7].actions.url.query: has a character that a query cannot have; percent-encode it: %20`,
		`appgw.yaml:1: rewriteSets[0].rules[8].actions.url.reevaluatePathMap: the path stays, so the path rule does; add path`,
		`appgw.yaml:1: rewriteSets[0].rules[9].name: the name "i" is that of rules[8]; each needs its own`,
		`appgw.yaml:1: rewriteSets[0].rules[9].actions.url.path: "/a b" has a character that a path cannot have; percent-encode it: %20`}},
	{name: "rewrite: too late", text: rewrite(`conditions: [{variable: http_resp_X, pattern: a}], actions: {url: {path: /}, responseHeaders: {X: y}}`), rest: web, want: []string{
		at + "actions: a condition looks at the response, which comes when the request is out; only responseHeaders can follow it"}},
	{name: "rewrite: use", text: `rewriteSets:
  - {name: again, rules: [{name: a, actions: {url: {path: /, reevaluatePathMap: true}}}]}
  - {name: sometimes, rules: [{name: a, conditions: [{variable: var_host, pattern: a}], actions: {url: {path: /, reevaluatePathMap: true}}}]}
redirects: [{name: away, target: {url: http://a.example/}}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain, rewriteSet: again}
    paths: [{paths: [/a], redirect: away, rewriteSet: sometimes}, {paths: [/b], backendPool: app, backendSettings: plain, rewriteSet: sometimes}]
listeners: [{name: web, address: 8080}, {name: other, address: 8081}]
rules:
  - {name: web, listener: web, pathMap: m, rewriteSet: sometimes}
  - {name: other, listener: other, backendPool: app, backendSettings: plain, rewriteSet: sometimes}
`, rest: backends, want: []string{
		`appgw.yaml:7: pathMaps[0].default.rewriteSet: every rule of rewrite set "again" has reevaluatePathMap and no condition: it would never end; give one a condition`,
		`appgw.yaml:8: pathMaps[0].paths[0].rewriteSet: a redirect is not rewritten; remove it`,
		`appgw.yaml:11: rules[0].rewriteSet: belongs to the path rules and the default of the path map; set it there`,
		`appgw.yaml:12: rules[1].rewriteSet: rewrite set "sometimes" has reevaluatePathMap, and this rule has no path map; use one without`}},
}

// FuzzRewriteText takes any text apart: what comes out stands for what went
// in, and names only variables and groups that there are.
func FuzzRewriteText(f *testing.F) {
	for _, s := range []string{"", "{", "{}", "{var_host}", "{var_uri_path_1}{http_req_X_1}", "a{http_resp_X}b", "{var_cookie_a_1}", `{"a":{}}`, "{{var_host}}", "{var_", "{capt_header_value_matcher_2}", "{var_}"} {
		f.Add(s, true)
	}
	conditions := []RewriteCondition{{Variable: RewriteVariable{Source: SourceURIPath}}, {Variable: RewriteVariable{SourceRequestField, "X"}}}
	f.Fuzz(func(t *testing.T, text string, response bool) {
		p := textParser{conditions: conditions, groups: []int{2, 1}, matcher: 1, response: response}
		parts, err := p.parse(text)
		if err != nil {
			return
		}
		back, rest := "", strings.ToLower(text)
		for _, part := range parts {
			if part.Variable.Source == SourceNone {
				back += part.Text
				continue
			}
			word := "{" + part.Variable.String()
			if part.Group > 0 {
				word += "_" + string(rune('0'+part.Group))
			}
			back += word + "}"
			if part.Group > 2 || part.Condition > 1 || part.Variable.Source.OfResponse() && !response {
				t.Errorf("%q has the part %+v", text, part)
			}
		}
		if strings.ToLower(back) != rest {
			t.Errorf("%q came back as %q", text, back)
		}
	})
}
