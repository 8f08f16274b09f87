package config

import (
	"net/netip"
	"time"
)

// CustomRule is a rule of the policy's own, looked at before the managed
// rules (Azure: customRules[]).
type CustomRule struct {
	Name     string // unique in the policy
	Priority int    // 1 to 1000, unique in the policy; 1 is looked at first (Azure: 1 to 100)
	Enabled  bool   // default true
	Type     CustomRuleType
	// Match are the conditions, at least one; all of them must hold.
	Match  []MatchCondition
	Rate   RateLimit // of RateLimitRule; zero for MatchRule
	Action CustomAction
	Pos    Pos
}

// CustomRuleType is a custom rule's kind (Azure: ruleType).
type CustomRuleType uint8

const (
	MatchRule     CustomRuleType = iota // acts on every request that matches (default)
	RateLimitRule                       // acts on what is over Rate of the requests that match
)

// String is the word of the configuration.
func (t CustomRuleType) String() string { return word(t, "match", "rateLimit") }

// CustomAction is what a custom rule does. Allow and block are terminal:
// no further custom or managed rule is asked.
type CustomAction uint8

const (
	CustomAllow CustomAction = iota
	CustomBlock
	CustomLog         // logs, and the next rule is asked
	CustomJSChallenge // a client that has not solved the JavaScript challenge gets it; for others as CustomLog
)

// String is the word of the configuration.
func (a CustomAction) String() string { return word(a, "allow", "block", "log", "jsChallenge") }

// MatchCondition is one condition of a custom rule (Azure:
// matchConditions[]).
type MatchCondition struct {
	Variable MatchVariable
	// Selector is the name of the argument, field or cookie, with
	// MatchPostArgs, MatchHeaders and MatchCookies only; fields without
	// regard to case. Empty: any of them.
	Selector string
	Operator MatchOperator
	// Negate turns the condition round: none of Values matches (Azure:
	// negationConditon).
	Negate bool
	// Values are alternatives; none with OperatorAny. Country codes are in
	// upper case, numbers are whole, regular expressions compile (RE2).
	Values     []string
	Prefixes   []netip.Prefix // Values as addresses, with OperatorIPMatch
	Transforms []Transform    // applied to the variable in this order
	Pos        Pos
}

// MatchVariable is what a condition looks at (Azure: variableName).
type MatchVariable uint8

const (
	MatchRemoteAddr  MatchVariable = iota // the client's address, as trusted proxies say
	MatchSocketAddr                       // the address of the connection's other end
	MatchMethod                           // the request method
	MatchQueryString                      // the query as received, without ?
	MatchPostArgs                         // arguments of the body: form, multipart, JSON
	MatchURI                              // path and query as received
	MatchHeaders                          // request fields
	MatchBody                             // the body, decoded, as far as it is inspected
	MatchCookies                          // cookies
)

// String is the word of the configuration.
func (v MatchVariable) String() string {
	return word(v, "remoteAddr", "socketAddr", "requestMethod", "queryString", "postArgs",
		"requestUri", "requestHeaders", "requestBody", "requestCookies")
}

// isAddress says whether the variable is an address rather than text.
func (v MatchVariable) isAddress() bool { return v == MatchRemoteAddr || v == MatchSocketAddr }

// isCollection says whether the variable has parts that a selector names.
func (v MatchVariable) isCollection() bool {
	return v == MatchPostArgs || v == MatchHeaders || v == MatchCookies
}

// MatchOperator is how a condition compares (Azure: operator).
type MatchOperator uint8

const (
	OperatorIPMatch            MatchOperator = iota // addresses only
	OperatorGeoMatch                                // addresses only; ISO 3166-1 alpha-2 codes, ZZ for unknown
	OperatorAny                                     // the variable is there
	OperatorEqual                                   // the whole text
	OperatorContains                                // a part of it
	OperatorLessThan                                // these four as numbers; what is no number does not match
	OperatorLessThanOrEqual                         //
	OperatorGreaterThan                             //
	OperatorGreaterThanOrEqual                      //
	OperatorBeginsWith
	OperatorEndsWith
	OperatorRegex // RE2, anywhere in the text
)

// String is the word of the configuration.
func (o MatchOperator) String() string {
	return word(o, "ipMatch", "geoMatch", "any", "equal", "contains", "lessThan", "lessThanOrEqual",
		"greaterThan", "greaterThanOrEqual", "beginsWith", "endsWith", "regex")
}

// isOfAddress says whether the operator compares addresses.
func (o MatchOperator) isOfAddress() bool { return o == OperatorIPMatch || o == OperatorGeoMatch }

// isOfNumbers says whether the operator compares numbers.
func (o MatchOperator) isOfNumbers() bool {
	return o >= OperatorLessThan && o <= OperatorGreaterThanOrEqual
}

// Transform changes a text before it is compared (Azure: transforms).
type Transform uint8

const (
	TransformLowercase Transform = iota
	TransformUppercase
	TransformTrim
	TransformURLDecode
	TransformURLEncode
	TransformRemoveNulls
	TransformHTMLEntityDecode
)

// String is the word of the configuration.
func (t Transform) String() string {
	return word(t, "lowercase", "uppercase", "trim", "urlDecode", "urlEncode", "removeNulls", "htmlEntityDecode")
}

// RateLimit is how many matching requests pass in a sliding window.
type RateLimit struct {
	Requests int           // 1 to 1 000 000 000 (Azure: rateLimitThreshold)
	Per      time.Duration // the window, 1s to 24h; default 1m (Azure: rateLimitDuration, 1m or 5m)
	GroupBy  RateGroup     // whose requests are counted together (Azure: groupByUserSession)
}

// RateGroup is what has a counter of its own.
type RateGroup uint8

const (
	RateByClient     RateGroup = iota // each client address, of IPv6 each /64 (default)
	RateByClientXFF                   // each client address by X-Forwarded-For, whoever sent it
	RateByCountry                     // each country of client addresses
	RateByCountryXFF                  // each country of those
	RateByNothing                     // one counter for all
)

// String is the word of the configuration.
func (g RateGroup) String() string {
	return word(g, "clientAddr", "clientAddrXFF", "geoLocation", "geoLocationXFF", "none")
}
