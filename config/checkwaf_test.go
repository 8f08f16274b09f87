package config

import (
	"fmt"
	"strings"
	"testing"
)

// In each, the policies are the first lines and web with wafPolicy follows.
const guarded = web + "wafPolicy: a\n"

var refusedPolicies = []struct {
	name string
	text string
	rest string
	want []string
}{
	{name: "policies that are not there", text: `wafPolicy: x
pathMaps: [{name: m, default: {backendPool: app, backendSettings: plain, wafPolicy: d}, paths: [{paths: [/a], backendPool: app, backendSettings: plain, wafPolicy: p}]}]
listeners: [{name: web, address: 80, wafPolicy: l}]
rules: [{name: web, listener: web, pathMap: m}]
wafPolicies: [{name: site}, {name: site}]
`, rest: backends, want: []string{
		`appgw.yaml:1: wafPolicy: there is no WAF policy "x"; known: site`,
		`appgw.yaml:2: pathMaps[0].default.wafPolicy: there is no WAF policy "d"; known: site`,
		`appgw.yaml:2: pathMaps[0].paths[0].wafPolicy: there is no WAF policy "p"; known: site`,
		`appgw.yaml:3: listeners[0].wafPolicy: there is no WAF policy "l"; known: site`,
		`appgw.yaml:5: wafPolicies[1].name: the name "site" is already taken on line 5; choose another`,
	}},
	{name: "a rule has its listener's policy", text: `wafPolicies: [{name: a}]
listeners: [{name: web, address: 80}]
rules: [{name: web, listener: web, backendPool: app, backendSettings: plain, wafPolicy: a}]
`, rest: backends, want: []string{
		`appgw.yaml:3: rules[0].wafPolicy: unknown key; known keys: name, priority, listener, pathMap, backendPool, backendSettings, backendPools, redirect, mirror, rewriteSet, rateLimits, cache`,
	}},
	{name: "words of a policy", text: `wafPolicies:
  - name: a
    state: off
    mode: block
    contentEncoding: pass
    onEngineError: fail
    acceleration: true
    verifySample: 1
`, rest: guarded, want: []string{
		`appgw.yaml:3: wafPolicies[0].state: must be one of enabled, disabled, not "off"`,
		`appgw.yaml:4: wafPolicies[0].mode: must be one of prevention, detection, not "block"`,
		`appgw.yaml:5: wafPolicies[0].contentEncoding: must be one of decode, refuse, not "pass"`,
		`appgw.yaml:6: wafPolicies[0].onEngineError: must be one of closed, open, not "fail"`,
		`appgw.yaml:7: wafPolicies[0].acceleration: must be one of on, verify, off, not "true"`,
		`appgw.yaml:8: wafPolicies[0].verifySample: must be 0% to 100%, such as 0.5%, not "1"`,
	}},
	{name: "percentages", text: `wafPolicies: [{name: a, verifySample: 101%}, {name: b, verifySample: -1%}, {name: c, verifySample: 1e1%}, {name: d, verifySample: NaN%}]
`, rest: guarded, want: []string{
		`appgw.yaml:1: wafPolicies[0].verifySample: must be 0% to 100%, such as 0.5%, not "101%"`,
		`appgw.yaml:1: wafPolicies[1].verifySample: must be 0% to 100%, such as 0.5%, not "-1%"`,
		`appgw.yaml:1: wafPolicies[2].verifySample: must be 0% to 100%, such as 0.5%, not "1e1%"`,
		`appgw.yaml:1: wafPolicies[3].verifySample: must be 0% to 100%, such as 0.5%, not "NaN%"`,
	}},
	{name: "versions", text: `wafPolicies:
  - {name: a, ruleSet: {name: OWASP, version: "4.25"}}
  - {name: b, ruleSet: {version: 2.2}}
  - {name: c, ruleSet: {name: OWASP, version: "3.1"}}
  - {name: d, ruleSet: {name: Microsoft_BotManagerRuleSet, version: "1.1"}}
  - {name: e, ruleSet: {name: ModSecurity, version: "2.1"}}
`, rest: guarded, want: []string{
		`appgw.yaml:2: wafPolicies[0].ruleSet.version: there is no version 4.25 of OWASP; use 3.2`,
		`appgw.yaml:3: wafPolicies[1].ruleSet.version: there is no version 2.2 of crs; use 4.25`,
		`appgw.yaml:4: wafPolicies[2].ruleSet.version: must be 4.25 (crs), 3.2 (OWASP), 2.1 or 2.2 (Microsoft_DefaultRuleSet), not "3.1"`,
		`appgw.yaml:5: wafPolicies[3].ruleSet.name: the bot rules are beside the rule set; write botRules: {enabled: true} in the policy`,
		`appgw.yaml:5: wafPolicies[3].ruleSet.version: must be 4.25 (crs), 3.2 (OWASP), 2.1 or 2.2 (Microsoft_DefaultRuleSet), not "1.1"`,
		`appgw.yaml:6: wafPolicies[4].ruleSet.name: must be one of crs, OWASP, Microsoft_DefaultRuleSet, not "ModSecurity"`,
	}},
	{name: "levels", text: `wafPolicies: [{name: a, ruleSet: {paranoia: 3, detectionParanoia: 2}}, {name: b, ruleSet: {paranoia: 5, detectionParanoia: 1}}, {name: c, ruleSet: {inboundThreshold: 0}}]
`, rest: guarded, want: []string{
		`appgw.yaml:1: wafPolicies[0].ruleSet.detectionParanoia: is below paranoia, which is 3; what counts is logged as well`,
		`appgw.yaml:1: wafPolicies[1].ruleSet.paranoia: must be 1 to 4, not "5"`,
		`appgw.yaml:1: wafPolicies[2].ruleSet.inboundThreshold: must be 1 to 100000, not "0"`,
	}},
	{name: "overrides", text: `wafPolicies:
  - name: a
    ruleSet:
      overrides:
        - {rule: 942100, group: sqli, action: log}
        - {action: log}
        - {rule: 942110}
        - {rule: 942120, state: enabled, action: off}
        - {group: SQLI, state: disabled}
        - {group: sqli, action: block}
        - {rule: x, action: log}
        - {rule: 0942100, action: log}
        - {group: "a b", action: deny}
        - off
`, rest: guarded, want: []string{
		`appgw.yaml:5: wafPolicies[0].ruleSet.overrides[0]: has a rule and a group; keep one`,
		`appgw.yaml:6: wafPolicies[0].ruleSet.overrides[1]: overrides nothing; add rule or group`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.overrides[2]: changes nothing; add state or action`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.overrides[3]: state: enabled and action: off contradict each other; keep one`,
		`appgw.yaml:10: wafPolicies[0].ruleSet.overrides[5]: overrides the same as overrides[4]; keep one`,
		`appgw.yaml:11: wafPolicies[0].ruleSet.overrides[6].rule: must be a rule's identifier such as 942100, not "x"`,
		`appgw.yaml:12: wafPolicies[0].ruleSet.overrides[7].rule: must be a rule's identifier such as 942100, not "0942100"`,
		`appgw.yaml:13: wafPolicies[0].ruleSet.overrides[8].group: must be a group's name such as sqli or REQUEST-942-APPLICATION-ATTACK-SQLI, not "a b"`,
		`appgw.yaml:13: wafPolicies[0].ruleSet.overrides[8].action: must be one of anomaly, log, block, off, not "deny"`,
		`appgw.yaml:14: wafPolicies[0].ruleSet.overrides[9]: must be a mapping (key: value), not "off"`,
	}},
	{name: "exclusions", text: `wafPolicies:
  - name: a
    ruleSet:
      exclusions:
        - {variable: requestArgNames}
        - {variable: requestArgKeys, operator: equalsAny, selector: x}
        - {variable: requestBody, operator: ipMatch, selector: x}
        - {selector: x, rules: []}
        - {variable: requestCookieNames, selector: "a\nb"}
`, rest: guarded, want: []string{
		`appgw.yaml:5: wafPolicies[0].ruleSet.exclusions[0]: selector is missing; add a name, or write operator: equalsAny`,
		`appgw.yaml:6: wafPolicies[0].ruleSet.exclusions[1].selector: equalsAny takes every name; remove the selector, or write operator: equals`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.exclusions[2].variable: must be one of requestHeaderNames, requestCookieNames, requestArgNames, requestHeaderValues, requestCookieValues, requestArgValues, requestHeaderKeys, requestCookieKeys, requestArgKeys, not "requestBody"`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.exclusions[2].operator: must be one of equals, contains, startsWith, endsWith, equalsAny, not "ipMatch"`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.exclusions[3].variable: is missing; add it`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.exclusions[3].rules: must have at least 1 entry`,
		`appgw.yaml:9: wafPolicies[0].ruleSet.exclusions[4].selector: must not have control characters`,
	}},
	{name: "exceptions", text: `wafPolicies:
  - name: a
    ruleSet:
      exceptions:
        - {variable: remoteAddr, operator: equals, values: [192.0.2.1]}
        - {variable: requestUri, operator: ipMatch, values: [192.0.2.1]}
        - {variable: remoteAddr, values: [192.0.2.1/24, here]}
        - {variable: requestHeader, values: [x]}
        - {variable: requestUri, values: [/a, "", "/b\nSecRuleEngine Off"], selector: Host}
        - {variable: requestUri, values: []}
        - {variable: requestHeader, values: [1.5], selector: "a:b"}
`, rest: guarded, want: []string{
		`appgw.yaml:5: wafPolicies[0].ruleSet.exceptions[0].operator: remoteAddr is an address; write ipMatch`,
		`appgw.yaml:6: wafPolicies[0].ruleSet.exceptions[1].operator: ipMatch compares addresses; only remoteAddr is one`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.exceptions[2].values[0]: "192.0.2.1/24" has bits set behind the prefix; write 192.0.2.0/24`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.exceptions[2].values[1]: must be a prefix such as 10.0.0.0/8 or an address, not "here"`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.exceptions[3]: selector is missing; add the name of a field`,
		`appgw.yaml:9: wafPolicies[0].ruleSet.exceptions[4].values[1]: must not be empty: that is in every text`,
		`appgw.yaml:9: wafPolicies[0].ruleSet.exceptions[4].values[2]: must not have control characters`,
		`appgw.yaml:9: wafPolicies[0].ruleSet.exceptions[4].selector: only requestHeader has one; remove it`,
		`appgw.yaml:10: wafPolicies[0].ruleSet.exceptions[5].values: must have at least 1 entry`,
		`appgw.yaml:11: wafPolicies[0].ruleSet.exceptions[6].values[0]: must be text; put it in quotes: "1.5"`,
		`appgw.yaml:11: wafPolicies[0].ruleSet.exceptions[6].selector: must be a field's name such as X-Api-Key, not "a:b"`,
	}},
	{name: "what protocol rules keep", text: `wafPolicies:
  - name: a
    ruleSet:
      allowedMethods: [get, "GET POST", ""]
      allowedContentTypes: [json, "text/html; charset=utf-8", "a/b|c"]
      allowedHTTPVersions: [HTTP/0.9]
      restrictedExtensions: [., .a/b]
      restrictedHeaders: ["a b", ""]
      maxArgs: 10001
      argLength: 0
`, rest: guarded, want: []string{
		`appgw.yaml:4: wafPolicies[0].ruleSet.allowedMethods[0]: must be a method in upper case, such as GET, not "get"`,
		`appgw.yaml:4: wafPolicies[0].ruleSet.allowedMethods[1]: must be a method in upper case, such as GET, not "GET POST"`,
		`appgw.yaml:4: wafPolicies[0].ruleSet.allowedMethods[2]: must be a method in upper case, such as GET, not ""`,
		`appgw.yaml:5: wafPolicies[0].ruleSet.allowedContentTypes[0]: must be a content type without parameters, such as application/json, not "json"`,
		`appgw.yaml:5: wafPolicies[0].ruleSet.allowedContentTypes[1]: must be a content type without parameters, such as application/json, not "text/html; charset=utf-8"`,
		`appgw.yaml:5: wafPolicies[0].ruleSet.allowedContentTypes[2]: must be a content type without parameters, such as application/json, not "a/b|c"`,
		`appgw.yaml:6: wafPolicies[0].ruleSet.allowedHTTPVersions[0]: must be one of HTTP/1.0, HTTP/1.1, HTTP/2, HTTP/2.0, HTTP/3, HTTP/3.0, not "HTTP/0.9"`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.restrictedExtensions[0]: must be a file name's extension such as .bak, not "."`,
		`appgw.yaml:7: wafPolicies[0].ruleSet.restrictedExtensions[1]: must be a file name's extension such as .bak, not ".a/b"`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.restrictedHeaders[0]: must be a field's name such as X-Api-Key, not "a b"`,
		`appgw.yaml:8: wafPolicies[0].ruleSet.restrictedHeaders[1]: must be a field's name such as X-Api-Key, not ""`,
		`appgw.yaml:9: wafPolicies[0].ruleSet.maxArgs: must be 1 to 10000, not "10001"`,
		`appgw.yaml:10: wafPolicies[0].ruleSet.argLength: must be 1B to 2000MiB, not "0"`,
	}},
	{name: "sizes of bodies", text: `wafPolicies:
  - {name: a, requestBody: {inspectLimit: 256KiB, maxSize: 128KiB}}
  - {name: b, requestBody: {inspectLimit: 3MiB, maxSize: 1KiB}}
  - {name: c, responseBody: {limit: 1KiB}}
`, rest: guarded, want: []string{
		`appgw.yaml:2: wafPolicies[0].requestBody.inspectLimit: is more than maxSize, 128KiB, and no body is; lower it, or raise maxSize`,
		`appgw.yaml:3: wafPolicies[1].requestBody.inspectLimit: must be 8KiB to 2MiB, not "3MiB"`,
		`appgw.yaml:3: wafPolicies[1].requestBody.maxSize: must be 8KiB to 1024MiB, not "1KiB"`,
		`appgw.yaml:4: wafPolicies[2].responseBody.limit: must be 8KiB to 2MiB, not "1KiB"`,
	}},
	{name: "answers", text: `wafPolicies:
  - {name: a, blockResponse: {body: x, bodyFile: y}}
  - {name: b, blockResponse: {status: 204, body: x}}
  - {name: c, blockResponse: {status: 100, contentType: html}}
  - {name: d, blockResponse: {body: x, contentType: "text/html\nX: y"}}
  - {name: e, jsChallenge: {cookieLifetime: 1m, difficulty: 40}}
`, rest: guarded, want: []string{
		`appgw.yaml:2: wafPolicies[0].blockResponse: has a body and a bodyFile; keep one`,
		`appgw.yaml:3: wafPolicies[1].blockResponse.status: an answer with status 204 has no body; use another, or remove the body`,
		`appgw.yaml:4: wafPolicies[2].blockResponse.status: must be 200 to 599, not "100"`,
		`appgw.yaml:4: wafPolicies[2].blockResponse.contentType: must be a content type such as text/html; charset=utf-8, not "html"`,
		`appgw.yaml:5: wafPolicies[3].blockResponse.contentType: must be a content type such as text/html; charset=utf-8, not "text/html\nX: y"`,
		`appgw.yaml:6: wafPolicies[4].jsChallenge.cookieLifetime: must be 5m to 24h, not "1m"`,
		`appgw.yaml:6: wafPolicies[4].jsChallenge.difficulty: must be 8 to 24, not "40"`,
	}},
	{name: "scrubbing", text: `wafPolicies:
  - name: a
    logScrubbing:
      rules:
        - {variable: requestArgNames}
        - {variable: requestIPAddress, operator: equals, selector: x}
        - {variable: requestHeaderNames, operator: contains, selector: x}
        - {variable: requestIPAddress, selector: x}
`, rest: guarded, want: []string{
		`appgw.yaml:5: wafPolicies[0].logScrubbing.rules[0]: selector is missing; add a name, or write operator: equalsAny`,
		`appgw.yaml:6: wafPolicies[0].logScrubbing.rules[1].operator: an address has no name; write equalsAny`,
		`appgw.yaml:7: wafPolicies[0].logScrubbing.rules[2].operator: must be one of equals, equalsAny, not "contains"`,
		`appgw.yaml:8: wafPolicies[0].logScrubbing.rules[3].selector: equalsAny takes every name; remove the selector, or write operator: equals`,
	}},
	{name: "custom rules", text: `wafPolicies:
  - name: a
    customRules:
      - {name: x, priority: 1, match: [{variable: remoteAddr, operator: any}], action: allow}
      - {name: x, priority: 1, match: [{variable: remoteAddr, operator: any}], action: allow}
      - {name: y, priority: 1001, match: [], action: redirect}
      - {name: r1, priority: 2, type: rateLimit, match: [{variable: remoteAddr, operator: any}], action: block}
      - {name: r2, priority: 3, type: rateLimit, rate: {requests: 1}, match: [{variable: remoteAddr, operator: any}], action: jsChallenge}
      - {name: r3, priority: 4, type: rateLimit, rate: {requests: 1}, match: [{variable: remoteAddr, operator: any}], action: allow}
      - {name: r4, priority: 5, rate: {requests: 1}, match: [{variable: remoteAddr, operator: any}], action: block}
      - {name: r5, priority: 6, type: rateLimit, rate: {per: 100ms, groupBy: asn}, match: [{variable: remoteAddr, operator: any}]}
      - {}
`, rest: guarded, want: []string{
		`appgw.yaml:5: wafPolicies[0].customRules[1].name: the name "x" is that of customRules[0]; each needs its own`,
		`appgw.yaml:5: wafPolicies[0].customRules[1].priority: priority 1 is already that of custom rule "x"; each needs its own`,
		`appgw.yaml:6: wafPolicies[0].customRules[2].priority: must be 1 to 1000, not "1001"`,
		`appgw.yaml:6: wafPolicies[0].customRules[2].match: must have at least 1 entry`,
		`appgw.yaml:6: wafPolicies[0].customRules[2].action: must be one of allow, block, log, jsChallenge, not "redirect"`,
		`appgw.yaml:7: wafPolicies[0].customRules[3]: rate is missing; add rate: {requests: 100, per: 1m}`,
		`appgw.yaml:8: wafPolicies[0].customRules[4].action: a rate limit cannot jsChallenge; use block or log`,
		`appgw.yaml:9: wafPolicies[0].customRules[5].action: a rate limit cannot allow; use block or log`,
		`appgw.yaml:10: wafPolicies[0].customRules[6].rate: only a rule of type: rateLimit has one; remove it, or set the type`,
		`appgw.yaml:11: wafPolicies[0].customRules[7].action: is missing; add it`,
		`appgw.yaml:11: wafPolicies[0].customRules[7].rate.requests: is missing; add it`,
		`appgw.yaml:11: wafPolicies[0].customRules[7].rate.per: must be 1s to 24h, not "100ms"`,
		`appgw.yaml:11: wafPolicies[0].customRules[7].rate.groupBy: must be one of clientAddr, clientAddrXFF, geoLocation, geoLocationXFF, none, not "asn"`,
		`appgw.yaml:12: wafPolicies[0].customRules[8].name: is missing; add it`,
		`appgw.yaml:12: wafPolicies[0].customRules[8].priority: is missing; add it`,
		`appgw.yaml:12: wafPolicies[0].customRules[8].match: is missing; add it`,
		`appgw.yaml:12: wafPolicies[0].customRules[8].action: is missing; add it`,
	}},
	{name: "conditions", text: `wafPolicies:
  - name: a
    customRules:
      - name: x
        priority: 1
        action: block
        match:
          - {variable: requestUri, operator: ipMatch, values: [10.0.0.0/8]}
          - {variable: requestHeaders, operator: geoMatch, values: [DE]}
          - {variable: remoteAddr, operator: contains, values: ["10."]}
          - {variable: socketAddr, operator: ipMatch, values: [10.0.0.1/8], transforms: [trim]}
          - {variable: remoteAddr, operator: geoMatch, values: [DEU, "1", "\u00e9", zz]}
          - {variable: requestUri, selector: x, operator: equal, values: [/]}
          - {variable: requestUri, operator: any, values: [/]}
          - {variable: requestUri, operator: equal}
          - {variable: requestUri, operator: contains, values: [""]}
          - {variable: requestHeaders, selector: Age, operator: lessThan, values: [x, "1.5", "9223372036854775808"]}
          - {variable: requestUri, operator: regex, values: ["(a", "(?<=a)b", "a{2000}"]}
          - {variable: requestUri, operator: matches, values: [a], transforms: [rot13]}
          - {}
          - {variable: remoteAddr, operator: geoMatch, values: []}
`, rest: guarded, want: []string{
		`appgw.yaml:8: wafPolicies[0].customRules[0].match[0].operator: ipMatch compares addresses; only remoteAddr and socketAddr are`,
		`appgw.yaml:9: wafPolicies[0].customRules[0].match[1].operator: geoMatch compares addresses; only remoteAddr and socketAddr are`,
		`appgw.yaml:10: wafPolicies[0].customRules[0].match[2].operator: remoteAddr is an address; use ipMatch, geoMatch or any`,
		`appgw.yaml:11: wafPolicies[0].customRules[0].match[3].values[0]: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`appgw.yaml:11: wafPolicies[0].customRules[0].match[3].transforms: an address cannot be transformed; remove them`,
		`appgw.yaml:12: wafPolicies[0].customRules[0].match[4].values[0]: must be a country's code of two letters such as DE, or ZZ for unknown, not "DEU"`,
		`appgw.yaml:12: wafPolicies[0].customRules[0].match[4].values[1]: must be a country's code of two letters such as DE, or ZZ for unknown, not "1"`,
		`appgw.yaml:12: wafPolicies[0].customRules[0].match[4].values[2]: must be a country's code of two letters such as DE, or ZZ for unknown, not "É"`,
		`appgw.yaml:13: wafPolicies[0].customRules[0].match[5].selector: requestUri has no parts; only postArgs, requestHeaders and requestCookies have a selector`,
		`appgw.yaml:14: wafPolicies[0].customRules[0].match[6].values: any compares with nothing; remove them`,
		`appgw.yaml:15: wafPolicies[0].customRules[0].match[7].values: are missing; add at least one for equal to compare with`,
		`appgw.yaml:16: wafPolicies[0].customRules[0].match[8].values[0]: must not be empty: that is in every text`,
		`appgw.yaml:17: wafPolicies[0].customRules[0].match[9].values[0]: lessThan compares whole numbers, not "x"`,
		`appgw.yaml:17: wafPolicies[0].customRules[0].match[9].values[1]: lessThan compares whole numbers, not "1.5"`,
		`appgw.yaml:17: wafPolicies[0].customRules[0].match[9].values[2]: lessThan compares whole numbers, not "9223372036854775808"`,
		"appgw.yaml:18: wafPolicies[0].customRules[0].match[10].values[0]: is no regular expression (RE2): missing closing ): \"(a\"",
		`appgw.yaml:18: wafPolicies[0].customRules[0].match[10].values[1]: is no regular expression (RE2): invalid named capture: "(?<=a)b"; RE2 has no lookahead, lookbehind or atomic groups, so that no text takes long to look through`,
		"appgw.yaml:18: wafPolicies[0].customRules[0].match[10].values[2]: is no regular expression (RE2): invalid repeat count: \"{2000}\"",
		`appgw.yaml:19: wafPolicies[0].customRules[0].match[11].operator: must be one of ipMatch, geoMatch, any, equal, contains, lessThan, lessThanOrEqual, greaterThan, greaterThanOrEqual, beginsWith, endsWith, regex, not "matches"`,
		`appgw.yaml:19: wafPolicies[0].customRules[0].match[11].transforms[0]: must be one of lowercase, uppercase, trim, urlDecode, urlEncode, removeNulls, htmlEntityDecode, not "rot13"`,
		`appgw.yaml:20: wafPolicies[0].customRules[0].match[12].variable: is missing; add it`,
		`appgw.yaml:20: wafPolicies[0].customRules[0].match[12].operator: is missing; add it`,
		`appgw.yaml:21: wafPolicies[0].customRules[0].match[13].values: are missing; add at least one for geoMatch to compare with`,
	}},
	{name: "control characters of a pattern", text: `wafPolicies: [{name: a, customRules: [{name: x, priority: 1, action: block, match: [{variable: requestUri, operator: regex, values: ["(\e2J"]}]}]}]
`, rest: guarded, want: []string{
		`appgw.yaml:1: wafPolicies[0].customRules[0].match[0].values[0]: is no regular expression (RE2): missing closing ): "(\x1b2J"`,
	}},
	{name: "database and log", text: "geo: {database: ''}\nlogs: {waf: {output: ''}}\n", rest: web, want: []string{
		`appgw.yaml:1: geo.database: must not be empty; write the path of a file`,
		`appgw.yaml:2: logs.waf.output: must be stdout, stderr or a file; to have no log, write format: off`,
	}},
}

var suspiciousPolicies = []struct {
	name string
	text string
	want []string
}{
	{name: "a policy that nothing uses", text: web + "wafPolicies: [{name: a}]\n", want: []string{`appgw.yaml:7: wafPolicies[0]: WAF policy "a" is not used`}},
	{name: "keys of a policy without effect", text: guarded + `wafPolicies:
  - name: a
    verifySample: 5%
    blockResponse: {contentType: text/plain}
    requestBody: {inspect: false}
    ruleSet: {overrides: [{rule: 1, state: disabled, action: block}]}
    customRules:
      - {name: x, priority: 1, action: block, match: [{variable: postArgs, operator: any}, {variable: requestBody, operator: any}]}
`, want: []string{
		`appgw.yaml:10: wafPolicies[0].verifySample: has no effect without acceleration: verify`,
		`appgw.yaml:11: wafPolicies[0].blockResponse.contentType: has no effect without body or bodyFile`,
		`appgw.yaml:13: wafPolicies[0].ruleSet.overrides[0].action: has no effect with state: disabled`,
		`appgw.yaml:15: wafPolicies[0].customRules[0].match[0].variable: there is no postArgs to look at with requestBody.inspect: false`,
		`appgw.yaml:15: wafPolicies[0].customRules[0].match[1].variable: there is no requestBody to look at with requestBody.inspect: false`,
	}},
	{name: "text that its transform rules out", text: guarded + `wafPolicies:
  - name: a
    customRules:
      - {name: x, priority: 1, action: block, match: [{variable: requestUri, operator: contains, values: [Admin, admin], transforms: [trim, lowercase]}]}
      - {name: y, priority: 2, action: block, match: [{variable: requestUri, operator: contains, values: [Admin], transforms: [lowercase, urlDecode]}]}
      - {name: z, priority: 3, action: block, match: [{variable: requestUri, operator: regex, values: ["A\\d"], transforms: [lowercase]}]}
`, want: []string{
		`appgw.yaml:11: wafPolicies[0].customRules[0].match[0].values[0]: "Admin" can never match: the transform lowercase changes its letters; write it so`,
	}},
	{name: "more than Azure takes", text: guarded + "wafPolicies:\n  - name: a\n    ruleSet:\n      exclusions:" + repeated(" [", 201, "{variable: requestArgNames, selector: x}") +
		"\n      exceptions:" + repeated(" [", 61, "{variable: requestUri, values: [/]}") +
		"\n    customRules:\n      - {name: x, priority: 1, action: block, match: [{variable: remoteAddr, operator: ipMatch, values:" + repeated(" [", 601, "192.0.2.1") +
		"}]}\n      - {name: y, priority: 2, action: block, match: [{variable: requestUri, operator: equal, values: [/" + strings.Repeat("a", 256) + "]}]}\n", want: []string{
		`appgw.yaml:11: wafPolicies[0].ruleSet.exclusions: 201 exclusions; Azure allows 200`,
		`appgw.yaml:12: wafPolicies[0].ruleSet.exceptions: 61 exceptions; Azure allows 60`,
		`appgw.yaml:14: wafPolicies[0].customRules[0].match[0].values: 601 addresses; Azure allows 600`,
		`appgw.yaml:15: wafPolicies[0].customRules[1].match[0].values[0]: 257 bytes; Azure allows 256`,
	}},
}

// repeated is a list of the same entry.
func repeated(open string, n int, entry string) string {
	return open + strings.Repeat(entry+", ", n-1) + entry + "]"
}

func TestChallengesWithoutASecretAreNoticed(t *testing.T) {
	const warning = "without jsChallenge.secretFile several instances will not agree, and a restart challenges every client anew"
	tests := []struct {
		name, policy string
		want         bool
	}{
		{"custom rule", "customRules: [{name: x, priority: 1, action: jsChallenge, match: [{variable: remoteAddr, operator: any}]}]", true},
		{"custom rule that is off", "customRules: [{name: x, priority: 1, enabled: false, action: jsChallenge, match: [{variable: remoteAddr, operator: any}]}]", false},
		{"bots", "botRules: {enabled: true, unknownBots: jsChallenge}", true},
		{"bots that are off", "botRules: {unknownBots: jsChallenge}", false},
		{"secret", "jsChallenge: {secretFile: s}, botRules: {enabled: true, unknownBots: jsChallenge}", false},
		{"none", "mode: detection", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings := mustParse(t, guarded+"wafPolicies: [{name: a, "+tt.policy+"}]\n")
			if got := len(warnings) == 1 && warnings[0].Message == warning; got != tt.want || len(warnings) > 1 {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// What a file can make us hold and compile has a bound.
func TestListsOfAPolicyAreBounded(t *testing.T) {
	condition := "{variable: requestUri, operator: regex, values: [a]}"
	tests := []struct{ name, text, want string }{
		{"values", "match: [{variable: requestUri, operator: equal, values:" + repeated(" [", 10_001, "a") + "}]", "must have at most 10000 entries, not 10001"},
		{"conditions", "match:" + repeated(" [", 101, condition), "must have at most 100 entries, not 101"},
		{"transforms", "match: [{variable: requestUri, operator: any, transforms:" + repeated(" [", 21, "trim") + "}]", "must have at most 20 entries, not 21"},
		{"text", "match: [{variable: requestUri, operator: equal, values: [" + strings.Repeat("a", 4097) + "]}]", "must be at most 4096 bytes, not 4097"},
		{"regular expressions", "match: [{variable: requestUri, operator: regex, values:" + repeated(" [", 1050, `"a{1000}"`) + "}, " + condition + "]",
			"match[0].values[1047]: the regular expressions up to this one are too large together; write fewer repetitions such as {1000}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf("%swafPolicies: [{name: a, customRules: [{name: x, priority: 1, action: block, %s}]}]\n", guarded, tt.text)
			if _, _, err := ParseGateway("f", []byte(text)); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %s", err, tt.want)
			}
		})
	}
}
