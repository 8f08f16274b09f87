package config

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// firewalls goes behind web: policies whose every default applies.
const firewalls = `
wafPolicy: site
wafPolicies:
  - {name: site}
`

// everyFirewallKey says everything about firewalls, differently from its default.
const everyFirewallKey = web + `
logs: {waf: {output: log/waf.log}}
geo: {database: geo/city.mmdb}
wafPolicy: shop
wafPolicies:
  - name: shop
    state: disabled
    mode: detection
    ruleSet:
      name: Microsoft_DefaultRuleSet
      version: 2.1
      profile: crs
      paranoia: 3
      detectionParanoia: 4
      inboundThreshold: 10
      outboundThreshold: 8
      earlyBlocking: true
      overrides:
        - {rule: 942100, action: log}
        - {rule: "99001001", state: enabled}
        - {group: XSS, state: disabled, action: off}
        - {group: 942, state: enabled, action: block}
      exclusions:
        - {variable: requestArgNames, selector: comment}
        - {variable: requestCookieKeys, operator: equalsAny, selector: "*", rules: [942100, "942110"], groups: [SQLI]}
        - {variable: requestHeaderValues, operator: startsWith, selector: X-Trace-}
      exceptions:
        - {variable: requestUri, values: [/upload, /health], groups: [RCE]}
        - {variable: remoteAddr, values: [192.0.2.1, "2001:db8::/32"]}
        - {variable: requestHeader, operator: contains, values: [Mobile], selector: User-Agent, rules: [920300]}
      allowedMethods: [GET, PROPFIND]
      allowedContentTypes: [Application/JSON]
      allowedHTTPVersions: [HTTP/1.1, HTTP/2]
      restrictedExtensions: [.BAK, sql]
      restrictedHeaders: [X-Rewrite-URL]
      maxArgs: 100
      argNameLength: 100
      argLength: 4KiB
      totalArgLength: 64KiB
      maxFileSize: 10MiB
      combinedFileSizes: 20MiB
      validateUTF8: true
    botRules: {enabled: true, badBots: jsChallenge, goodBots: log, unknownBots: off}
    requestBody: {inspect: false, inspectLimit: 64KiB, maxSize: 1MiB, fileLimit: 1GiB, enforce: false, strict: false}
    contentEncoding: refuse
    responseBody: {inspect: true, limit: 1MiB, contentTypes: [TEXT/html]}
    onEngineError: open
    acceleration: verify
    verifySample: 0.5%
    customRules:
      - name: login
        priority: 20
        type: rateLimit
        match: [{variable: requestUri, operator: beginsWith, values: [/login]}]
        rate: {requests: 10, per: 5m, groupBy: geoLocationXFF}
        action: block
      - name: tools
        priority: 10
        enabled: false
        match:
          - {variable: requestHeaders, selector: User-Agent, operator: regex, negate: true, values: ["^Mozilla/"], transforms: [urlDecode, lowercase]}
          - {variable: socketAddr, operator: ipMatch, values: [10.0.0.0/8, 192.0.2.9]}
          - {variable: remoteAddr, operator: geoMatch, values: [de, ZZ, NO]}
          - {variable: requestHeaders, selector: Content-Length, operator: greaterThan, values: [4096, "-1"]}
          - {variable: requestCookies, operator: any}
        action: jsChallenge
    blockResponse: {status: 429, bodyFile: pages/blocked.html, contentType: text/plain}
    jsChallenge: {cookieLifetime: 1h, difficulty: 12, secretFile: challenge.secret}
    logScrubbing:
      enabled: false
      rules:
        - {variable: requestHeaderNames, operator: equals, selector: Authorization}
        - {variable: requestJsonArgNames, operator: equalsAny, selector: "*"}
        - {variable: requestIPAddress}
`

func TestDefaultsOfAFirewall(t *testing.T) {
	g, warnings := mustParse(t, web+firewalls)
	if len(warnings) != 0 {
		t.Errorf("warnings = %v, want none", warnings)
	}
	want := WAFPolicy{
		Name: "site", Enabled: true, Mode: WAFPrevention,
		RuleSet:      RuleSet{Name: RuleSetCRS, Version: "4.25", Paranoia: 1, DetectionParanoia: 1, InboundThreshold: 5, OutboundThreshold: 4},
		BotRules:     BotRules{Bad: BotBlock, Good: BotAllow, Unknown: BotLog},
		RequestBody:  RequestBody{Inspect: true, InspectLimit: 128 << 10, MaxSize: 2 << 20, FileLimit: 100 << 20, Enforce: true, Strict: true},
		ResponseBody: ResponseBody{Limit: 512 << 10, ContentTypes: []string{"text/html", "text/plain", "text/xml", "application/json"}},
		VerifySample: 0.01, BlockResponse: BlockResponse{Status: 403, ContentType: "text/html; charset=utf-8"},
		JSChallenge: JSChallenge{CookieLifetime: 30 * time.Minute, Difficulty: 15}, LogScrubbing: LogScrubbing{Enabled: true},
		Pos: Pos{10, 5},
	}
	if len(g.WAFPolicies) != 1 || !reflect.DeepEqual(g.WAFPolicies[0], withoutPos(want, g.WAFPolicies[0])) {
		t.Errorf("got  %+v\nwant %+v", g.WAFPolicies, want)
	}
	if g.WAFPolicy != "site" || g.Geo != (Geo{}) || g.Logs.WAF.Output != "stdout" {
		t.Errorf("policy %q, geo %+v, log %+v", g.WAFPolicy, g.Geo, g.Logs.WAF)
	}
}

// withoutPos is want with the positions that a default cannot have.
func withoutPos(want, got WAFPolicy) WAFPolicy {
	want.RuleSet.Pos = got.RuleSet.Pos
	return want
}

func TestEveryFirewallKeyLandsInItsField(t *testing.T) {
	g, _ := mustParse(t, everyFirewallKey)
	clearPositions(reflect.ValueOf(g).Elem())
	if g.Logs.WAF.Output != "/etc/appgw/log/waf.log" || g.Geo.Database != "/etc/appgw/geo/city.mmdb" || g.WAFPolicy != "shop" {
		t.Errorf("log %+v, geo %+v, policy %q", g.Logs.WAF, g.Geo, g.WAFPolicy)
	}
	want := WAFPolicy{
		Name: "shop", Mode: WAFDetection, RuleSet: wantRuleSet(), CustomRules: wantCustomRules(),
		BotRules:        BotRules{Enabled: true, Bad: BotJSChallenge, Good: BotLog, Unknown: BotOff},
		RequestBody:     RequestBody{InspectLimit: 64 << 10, MaxSize: 1 << 20, FileLimit: 1 << 30},
		ContentEncoding: ContentEncodingRefuse,
		ResponseBody:    ResponseBody{Inspect: true, Limit: 1 << 20, ContentTypes: []string{"text/html"}},
		OnEngineError:   EngineErrorsOpen, Acceleration: AccelerationVerify, VerifySample: 0.005,
		BlockResponse: BlockResponse{Status: 429, BodyFile: "/etc/appgw/pages/blocked.html", ContentType: "text/plain"},
		JSChallenge:   JSChallenge{CookieLifetime: time.Hour, Difficulty: 12, SecretFile: "/etc/appgw/challenge.secret"},
		LogScrubbing: LogScrubbing{Rules: []ScrubRule{
			{Variable: ScrubHeaders, Operator: CompareEquals, Selector: "Authorization"},
			{Variable: ScrubJSONArgs, Operator: CompareEqualsAny},
			{Variable: ScrubClientIP, Operator: CompareEqualsAny},
		}},
	}
	if got := g.WAFPolicies[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func wantRuleSet() RuleSet {
	return RuleSet{
		Name: RuleSetMicrosoft, Version: "2.1", Profile: ProfileCRS, Paranoia: 3, DetectionParanoia: 4,
		InboundThreshold: 10, OutboundThreshold: 8, EarlyBlocking: true,
		Overrides: []RuleOverride{
			{Rule: 942100, Action: OverrideLog},
			{Rule: 99001001, State: OverrideEnabled},
			{Group: "XSS", State: OverrideDisabled, Action: OverrideOff},
			{Group: "942", State: OverrideEnabled, Action: OverrideBlock},
		},
		Exclusions: []Exclusion{
			{Variable: ExcludeArgValues, Operator: CompareEquals, Selector: "comment"},
			{Variable: ExcludeCookieKeys, Operator: CompareEqualsAny, Rules: []int{942100, 942110}, Groups: []string{"SQLI"}},
			{Variable: ExcludeHeaderValues, Operator: CompareStartsWith, Selector: "X-Trace-"},
		},
		Exceptions: []Exception{
			{Variable: ExceptURI, Operator: CompareEquals, Values: []string{"/upload", "/health"}, Groups: []string{"RCE"}},
			{Variable: ExceptRemoteAddr, Operator: CompareIPMatch, Values: []string{"192.0.2.1", "2001:db8::/32"}, Prefixes: prefixes("192.0.2.1/32", "2001:db8::/32")},
			{Variable: ExceptHeader, Operator: CompareContains, Values: []string{"Mobile"}, Selector: "user-agent", Rules: []int{920300}},
		},
		AllowedMethods: []string{"GET", "PROPFIND"}, AllowedContentTypes: []string{"application/json"}, AllowedHTTPVersions: []string{"HTTP/1.1", "HTTP/2"},
		RestrictedExtensions: []string{".bak", ".sql"}, RestrictedHeaders: []string{"x-rewrite-url"},
		MaxArgs: 100, ArgNameLength: 100, ArgLength: 4 << 10, TotalArgLength: 64 << 10, MaxFileSize: 10 << 20, CombinedFileSizes: 20 << 20,
		ValidateUTF8: true,
	}
}

// wantCustomRules are in the order of their priorities, not of the file.
func wantCustomRules() []CustomRule {
	return []CustomRule{{
		Name: "tools", Priority: 10, Action: CustomJSChallenge,
		Match: []MatchCondition{
			{Variable: MatchHeaders, Selector: "User-Agent", Operator: OperatorRegex, Negate: true, Values: []string{"^Mozilla/"}, Transforms: []Transform{TransformURLDecode, TransformLowercase}},
			{Variable: MatchSocketAddr, Operator: OperatorIPMatch, Values: []string{"10.0.0.0/8", "192.0.2.9"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.9/32")}},
			{Variable: MatchRemoteAddr, Operator: OperatorGeoMatch, Values: []string{"DE", "ZZ", "NO"}},
			{Variable: MatchHeaders, Selector: "Content-Length", Operator: OperatorGreaterThan, Values: []string{"4096", "-1"}},
			{Variable: MatchCookies, Operator: OperatorAny},
		},
	}, {
		Name: "login", Priority: 20, Enabled: true, Type: RateLimitRule, Action: CustomBlock,
		Match: []MatchCondition{{Variable: MatchURI, Operator: OperatorBeginsWith, Values: []string{"/login"}}},
		Rate:  RateLimit{Requests: 10, Per: 5 * time.Minute, GroupBy: RateByCountryXFF},
	}}
}

// A word left unquoted is a word, also where YAML once had a boolean.
func TestWordsThatLookLikeBooleans(t *testing.T) {
	for text, want := range map[string]Acceleration{"on": AccelerationOn, "off": AccelerationOff, `"on"`: AccelerationOn, "verify": AccelerationVerify} {
		g, _ := mustParse(t, web+"\nwafPolicy: a\nwafPolicies: [{name: a, acceleration: "+text+"}]\n")
		if got := g.WAFPolicies[0].Acceleration; got != want {
			t.Errorf("acceleration: %s = %s, want %s", text, got, want)
		}
	}
}

// Azure's sets differ in how far the rules go that are on.
func TestParanoiaFollowsTheRuleSet(t *testing.T) {
	tests := []struct {
		name, text        string
		version           string
		paranoia, detects int
	}{
		{"crs", "{name: crs}", "4.25", 1, 1},
		{"OWASP", "{name: OWASP}", "3.2", 2, 2},
		{"DRS 2.1", `{name: Microsoft_DefaultRuleSet, version: "2.1"}`, "2.1", 2, 2},
		{"DRS", "{name: Microsoft_DefaultRuleSet}", "2.2", 1, 1},
		{"said", "{name: OWASP, paranoia: 1}", "3.2", 1, 1},
		{"said for detection", "{paranoia: 2, detectionParanoia: 3}", "4.25", 2, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := mustParse(t, web+"\nwafPolicy: a\nwafPolicies: [{name: a, ruleSet: "+tt.text+"}]\n")
			if r := g.WAFPolicies[0].RuleSet; r.Version != tt.version || r.Paranoia != tt.paranoia || r.DetectionParanoia != tt.detects {
				t.Errorf("version %s, paranoia %d, detection %d", r.Version, r.Paranoia, r.DetectionParanoia)
			}
		})
	}
}

func TestInspectionStaysWithinTheSizeOfBodies(t *testing.T) {
	g, _ := mustParse(t, web+"\nwafPolicy: a\nwafPolicies: [{name: a, requestBody: {maxSize: 64KiB}}]\n")
	if got := g.WAFPolicies[0].RequestBody.InspectLimit; got != 64<<10 {
		t.Errorf("inspectLimit = %d, want that of maxSize", got)
	}
}

// The most specific policy wins outright.
func TestPolicyOf(t *testing.T) {
	tests := []struct{ name, gateway, listener, action, want string }{
		{"none", "", "", "", ""},
		{"gateway", "g", "", "", "g"},
		{"listener", "g", "l", "", "l"},
		{"path", "g", "l", "p", "p"},
		{"path alone", "", "", "p", "p"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := Gateway{WAFPolicy: tt.gateway}
			if got := g.PolicyOf(&Listener{WAFPolicy: tt.listener}, Action{WAFPolicy: tt.action}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPoliciesAreReadWhereTheyApply(t *testing.T) {
	g, warnings := mustParse(t, backends+`
wafPolicy: g
listeners: [{name: web, address: 8080, wafPolicy: l}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain, wafPolicy: d}
    paths: [{paths: [/a], backendPool: app, backendSettings: plain, wafPolicy: p}]
rules: [{name: web, listener: web, pathMap: m}]
wafPolicies: [{name: g}, {name: l}, {name: d}, {name: p}]
`)
	m := g.PathMaps[0]
	if len(warnings) > 0 || g.WAFPolicy != "g" || g.Listeners[0].WAFPolicy != "l" || m.Default.WAFPolicy != "d" || m.Paths[0].WAFPolicy != "p" {
		t.Errorf("got %+v, warnings %v", g, warnings)
	}
}

// Every value of an enum has a word, and what has none says so.
func TestEnumsHaveWords(t *testing.T) {
	if got := wordsOf[MatchOperator]().schema["enum"].([]string); len(got) != int(OperatorRegex)+1 {
		t.Errorf("operators %v", got)
	}
	if got := BotAction(200).String(); got != "unknown" {
		t.Errorf("a value without a word is %q", got)
	}
}
