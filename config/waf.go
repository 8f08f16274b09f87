package config

import (
	"net/netip"
	"time"
)

// WAFPolicy is a web application firewall policy: what becomes of requests
// that look like attacks. Policies are named by the gateway, by listeners and
// by path rules; see [Gateway.PolicyOf].
//
// Azure: ApplicationGatewayWebApplicationFirewallPolicies.
type WAFPolicy struct {
	Name string
	// Enabled is false for "state: disabled": where the policy applies,
	// nothing is inspected, whatever a less specific policy says (Azure:
	// policySettings.state).
	Enabled bool
	Mode    WAFMode
	// RuleSet is which managed rules judge a request, and how strictly.
	RuleSet         RuleSet
	BotRules        BotRules
	RequestBody     RequestBody
	ContentEncoding ContentEncoding
	ResponseBody    ResponseBody
	OnEngineError   EngineErrors
	Acceleration    Acceleration
	// VerifySample is the share of requests, 0 to 1, that Acceleration
	// verify has Coraza judge as well; default 0.01.
	VerifySample float64
	// CustomRules are sorted by priority, the first to be looked at first.
	CustomRules   []CustomRule
	BlockResponse BlockResponse
	JSChallenge   JSChallenge
	LogScrubbing  LogScrubbing
	Pos           Pos
}

// PolicyOf names the policy that applies to requests of a listener that take
// an action: the most specific wins outright, that of the action (a path
// rule's or a path map's default), the listener's, or the gateway's. Nothing
// is merged (Azure). Empty: no firewall.
func (g *Gateway) PolicyOf(l *Listener, a Action) string {
	switch {
	case a.WAFPolicy != "":
		return a.WAFPolicy
	case l.WAFPolicy != "":
		return l.WAFPolicy
	}
	return g.WAFPolicy
}

// Geo is where the places of addresses come from.
type Geo struct {
	// Database is the path of a MaxMind-format file, of countries or cities,
	// used anew when it changes. Empty: the built-in table ("builtin").
	Database string
}

// WAFLog configures the firewall's log.
type WAFLog struct {
	// Output is "stdout", "stderr" or a file's path (reopened on SIGUSR1).
	Output string
}

// WAFMode says whether a policy acts (Azure: policySettings.mode).
type WAFMode uint8

const (
	WAFPrevention WAFMode = iota // blocks (default)
	WAFDetection                 // only logs what prevention would do
)

// String is the word of the configuration.
func (m WAFMode) String() string { return word(m, "prevention", "detection") }

// RuleSet is the managed rules of a policy (Azure: managedRules). Whatever
// its name, the rules are those of the OWASP Core Rule Set 4.25; an Azure
// name means its identifiers, groups, levels and default states.
type RuleSet struct {
	Name    RuleSetName
	Version string // "4.25" of crs; "3.2" of OWASP; "2.1" or "2.2" (default) of Microsoft_DefaultRuleSet
	Profile RuleProfile
	// Paranoia is the level, 1 to 4, whose rules count; default 1, but 2 for
	// OWASP 3.2 and Microsoft_DefaultRuleSet 2.1, which reach that far.
	Paranoia int
	// DetectionParanoia is the level whose rules are logged, Paranoia to 4;
	// default Paranoia. What lies between the two has no score.
	DetectionParanoia int
	InboundThreshold  int // score at which a request is blocked, 1 to 100 000; default 5 (Azure: fixed)
	OutboundThreshold int // score at which a response is blocked, 1 to 100 000; default 4
	// EarlyBlocking decides before the body too, from the head's score.
	EarlyBlocking bool

	Overrides  []RuleOverride
	Exclusions []Exclusion // Azure: managedRules.exclusions
	Exceptions []Exception // Azure: managedRules.exceptions

	// What the protocol rules (920) let pass. Empty: the profile's own.
	AllowedMethods       []string // such as GET; in upper case
	AllowedContentTypes  []string // such as application/json; in lower case, without parameters
	AllowedHTTPVersions  []string // such as HTTP/1.1
	RestrictedExtensions []string // of file names in the path, such as .bak; in lower case
	RestrictedHeaders    []string // names of request fields; in lower case

	// Limits that rules keep (920360 to 920410). 0: not kept.
	MaxArgs           int // arguments of query and body, 1 to 10 000; 0: 255 with ProfileCRS, 10 000 with ProfileBalanced
	ArgNameLength     int // bytes
	ArgLength         int // bytes
	TotalArgLength    int // bytes
	MaxFileSize       int // bytes of one uploaded file
	CombinedFileSizes int // bytes of all files of a request

	// ValidateUTF8 has a rule refuse arguments that are not valid UTF-8.
	ValidateUTF8 bool
	Pos          Pos
}

// RuleSetName is the vocabulary of a rule set.
type RuleSetName uint8

const (
	RuleSetCRS        RuleSetName = iota // OWASP Core Rule Set 4 by its own identifiers (default)
	RuleSetAzureOWASP                    // Azure's OWASP (CRS) 3.2
	RuleSetMicrosoft                     // Azure's Microsoft_DefaultRuleSet 2.1 and 2.2
)

// String is the word of the configuration.
func (n RuleSetName) String() string {
	return word(n, "crs", "OWASP", "Microsoft_DefaultRuleSet")
}

// RuleProfile is how a rule set is tuned before Overrides and Exclusions.
type RuleProfile uint8

const (
	ProfileBalanced RuleProfile = iota // rules that misjudge ordinary traffic count less (default)
	ProfileCRS                         // exactly as the rule set's authors have it
)

// String is the word of the configuration.
func (p RuleProfile) String() string { return word(p, "balanced", "crs") }

// RuleOverride changes a managed rule, or all of a group. That of a rule wins
// over that of its group (Azure: ruleGroupOverrides). It has Rule or Group,
// and a State, an Action or both.
type RuleOverride struct {
	Rule   int    // identifier, in the vocabulary of the rule set's name; 0: a group's
	Group  string // such as sqli, SQLI or REQUEST-942-APPLICATION-ATTACK-SQLI
	State  OverrideState
	Action OverrideAction
	Pos    Pos
}

// OverrideState switches a rule on or off.
type OverrideState uint8

const (
	OverrideStateKept OverrideState = iota // not said: as the rule set has it
	OverrideEnabled                        // on, also above the paranoia level
	OverrideDisabled                       // off
)

// String is the word of the configuration; "" for a state that is not said.
func (s OverrideState) String() string { return word(s, "", "enabled", "disabled") }

// OverrideAction is what a match of a rule does.
type OverrideAction uint8

const (
	OverrideActionKept OverrideAction = iota // not said: as the rule set has it
	OverrideAnomaly                          // adds to the anomaly score (Azure: AnomalyScoring)
	OverrideLog                              // is logged, without a score
	OverrideBlock                            // blocks at once, whatever the score
	OverrideOff                              // the same as OverrideDisabled
)

// String is the word of the configuration; "" for an action that is not said.
func (a OverrideAction) String() string { return word(a, "", "anomaly", "log", "block", "off") }

// Exclusion hides a part of a request from managed rules (Azure:
// exclusions[]). Without Rules and Groups it is hidden from all of them.
type Exclusion struct {
	Variable ExclusionVariable
	Operator Comparison // CompareEquals, Contains, StartsWith, EndsWith or EqualsAny
	// Selector is compared with the name, without regard to case (Azure: of
	// fields only). Empty with CompareEqualsAny.
	Selector string
	Rules    []int
	Groups   []string
	Pos      Pos
}

// ExclusionVariable is a part of a request. Azure's requestArgNames,
// requestHeaderNames and requestCookieNames mean the values (it keeps them
// for old rule sets), and are read so.
type ExclusionVariable uint8

const (
	ExcludeHeaderValues ExclusionVariable = iota // values of fields
	ExcludeCookieValues                          // values of cookies
	ExcludeArgValues                             // values of arguments: of query, form, JSON, multipart
	ExcludeHeaderKeys                            // the names themselves
	ExcludeCookieKeys
	ExcludeArgKeys
)

// String is the word of the configuration.
func (v ExclusionVariable) String() string {
	return word(v, "requestHeaderValues", "requestCookieValues", "requestArgValues",
		"requestHeaderKeys", "requestCookieKeys", "requestArgKeys")
}

// Comparison is how an exclusion, an exception or a scrubbing rule compares
// a text (Azure: selectorMatchOperator, valueMatchOperator).
type Comparison uint8

const (
	CompareEquals Comparison = iota
	CompareContains
	CompareStartsWith
	CompareEndsWith
	CompareEqualsAny // anything: there is nothing to compare with
	CompareIPMatch   // an address in a prefix
)

// String is the word of the configuration.
func (c Comparison) String() string {
	return word(c, "equals", "contains", "startsWith", "endsWith", "equalsAny", "ipMatch")
}

// Exception has managed rules skip a whole request (Azure: exceptions[]).
// Without Rules and Groups all of them do.
type Exception struct {
	Variable ExceptionVariable
	// Operator is CompareIPMatch for ExceptRemoteAddr, and CompareEquals,
	// Contains, StartsWith or EndsWith for the others.
	Operator Comparison
	Values   []string       // at least one; any of them is enough
	Prefixes []netip.Prefix // Values as addresses, with CompareIPMatch
	Selector string         // name of the field, with ExceptHeader only; without regard to case
	Rules    []int
	Groups   []string
	Pos      Pos
}

// ExceptionVariable is what an exception looks at.
type ExceptionVariable uint8

const (
	ExceptURI ExceptionVariable = iota // path and query as the backend gets them
	ExceptRemoteAddr
	ExceptHeader
)

// String is the word of the configuration.
func (v ExceptionVariable) String() string {
	return word(v, "requestUri", "remoteAddr", "requestHeader")
}

// BotRules say what becomes of clients that are programs (Azure: the rule
// set Microsoft_BotManagerRuleSet 1.1).
type BotRules struct {
	Enabled bool      // default false
	Bad     BotAction // falsified identities, scanners; default block
	Good    BotAction // verified crawlers; default allow
	Unknown BotAction // the others that say they are programs; default log. 503 instead of 403 or a challenge while a crawler's name is looked up
}

// BotAction is what becomes of a bot.
type BotAction uint8

const (
	BotAllow       BotAction = iota // passes this rule unlogged; the other rules judge it all the same
	BotLog                          // is logged
	BotBlock                        // is blocked
	BotJSChallenge                  // must solve the JavaScript challenge
	BotOff                          // the class is not looked at
)

// String is the word of the configuration.
func (a BotAction) String() string { return word(a, "allow", "log", "block", "jsChallenge", "off") }

// RequestBody says how much of a request's body is inspected and accepted.
type RequestBody struct {
	Inspect bool // default true; false: heads only (Azure: requestBodyCheck)
	// InspectLimit is how many bytes of a body rules see at least, held back
	// until they have judged: 8 KiB to 2 MiB, default 128 KiB, at most MaxSize
	// (Azure: requestBodyInspectLimitInKB). In prevention with Strict, forms,
	// JSON, XML and texts are seen whole, up to MaxSize and 2 MiB; of others
	// what is beyond it passes unseen.
	InspectLimit int
	// MaxSize is how many bytes a body may have that uploads no file, 8 KiB
	// to 1 GiB, default 2 MiB; over: 413 (Azure: maxRequestBodySizeInKb).
	MaxSize int
	// FileLimit is how many bytes a multipart body with files may have,
	// 8 KiB to 2000 MiB, default 100 MiB; over: 413 (Azure: fileUploadLimitInMb).
	FileLimit int
	// Enforce is whether MaxSize and FileLimit refuse anything, default true
	// (Azure: requestBodyEnforcement, fileUploadEnforcement).
	Enforce bool
	// Strict refuses bodies that two parsers could read differently, such as
	// JSON with a key twice; default true.
	Strict bool
}

// ContentEncoding says what becomes of compressed request bodies.
type ContentEncoding uint8

const (
	ContentEncodingDecode ContentEncoding = iota // rules see what they decode to (default)
	ContentEncodingRefuse                        // 415
)

// String is the word of the configuration.
func (c ContentEncoding) String() string { return word(c, "decode", "refuse") }

// ResponseBody says whether responses are inspected: their heads, and the
// beginning of their bodies. Azure does not inspect responses.
type ResponseBody struct {
	Inspect      bool     // default false
	Limit        int      // bytes of a body that are held and seen, 8 KiB to 2 MiB, default 512 KiB
	ContentTypes []string // whose bodies are seen, in lower case; default text/html, text/plain, text/xml, application/json
}

// EngineErrors says what becomes of a request that could not be judged
// because of an error of the firewall itself.
type EngineErrors uint8

const (
	EngineErrorsClosed EngineErrors = iota // 500 (default)
	EngineErrorsOpen                       // passes, logged
)

// String is the word of the configuration.
func (e EngineErrors) String() string { return word(e, "closed", "open") }

// Acceleration says whether the candidate index spares Coraza what it proves
// cannot match.
type Acceleration uint8

const (
	AccelerationOn     Acceleration = iota // (default)
	AccelerationVerify                     // on, and a sample is judged by Coraza as well; differences are logged and counted
	AccelerationOff                        // Coraza judges every request
)

// String is the word of the configuration.
func (a Acceleration) String() string { return word(a, "on", "verify", "off") }

// BlockResponse is the answer to a blocked request. Without BodyFile and
// Body it is the error page of the status, or the built-in one.
type BlockResponse struct {
	Status      int    // 200 to 599, default 403 (Azure: customBlockResponseStatusCode)
	BodyFile    string // path; excludes Body
	Body        string // at most 32 KiB (Azure: customBlockResponseBody)
	ContentType string // default text/html; charset=utf-8
}

// JSChallenge configures the page that browsers solve and programs do not.
type JSChallenge struct {
	CookieLifetime time.Duration // 5m to 24h, default 30m (Azure: jsChallengeCookieExpirationInMins)
	Difficulty     int           // leading zero bits to be found, 8 to 24, default 15: two more take four times as long
	// SecretFile holds the secret that solutions are signed with. If empty,
	// one is made at each start, and `check` warns where a rule challenges.
	SecretFile string
}

// LogScrubbing hides values in the firewall's log (Azure: logScrubbing).
type LogScrubbing struct {
	Enabled bool // default true: without Rules nothing is hidden
	Rules   []ScrubRule
}

// ScrubRule hides the values of what it selects, in the log only.
type ScrubRule struct {
	Variable ScrubVariable
	Operator Comparison // CompareEquals or CompareEqualsAny
	Selector string     // a name; of fields without regard to case. Empty with CompareEqualsAny
	Pos      Pos
}

// ScrubVariable is what a scrubbing rule hides.
type ScrubVariable uint8

const (
	ScrubHeaders  ScrubVariable = iota // values of request fields, by name
	ScrubCookies                       // values of cookies, by name
	ScrubArgs                          // values of arguments of the query, by name
	ScrubPostArgs                      // values of form fields, by name
	ScrubJSONArgs                      // values in JSON, by name
	ScrubClientIP                      // the client's address; has CompareEqualsAny
)

// String is the word of the configuration.
func (v ScrubVariable) String() string {
	return word(v, "requestHeaderNames", "requestCookieNames", "requestArgNames",
		"requestPostArgNames", "requestJsonArgNames", "requestIPAddress")
}

// unknownWord is the String of an enum's value that has no word.
const unknownWord = "unknown"

// word is the word of an enum's value.
func word[E ~uint8](e E, words ...string) string {
	if int(e) < len(words) {
		return words[e]
	}
	return unknownWord
}
