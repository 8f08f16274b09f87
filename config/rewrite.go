package config

import "strings"

// RewriteSet changes requests on their way to a backend, and responses on
// their way back (Azure: rewriteRuleSet). Rules, path rules and defaults of
// path maps use it by name.
type RewriteSet struct {
	Name string
	// Rules are in the order they are run: by sequence, those with the same
	// as listed.
	Rules []RewriteRule
	Pos   Pos
}

// RewriteRule does its actions when all its conditions hold; without
// conditions always.
type RewriteRule struct {
	Name       string
	Sequence   int // lowest first; default 100
	Conditions []RewriteCondition
	Actions    RewriteActions
	Pos        Pos
}

// OfResponse reports whether conditions look at the response. The rule then has
// actions on response fields only.
func (r *RewriteRule) OfResponse() bool {
	for i := range r.Conditions {
		if r.Conditions[i].Variable.Source.OfResponse() {
			return true
		}
	}
	return false
}

// RewriteCondition holds when its pattern is found in the variable's text, or
// not found with Negate.
type RewriteCondition struct {
	Variable   RewriteVariable
	Pattern    string // RE2, found anywhere unless anchored
	IgnoreCase bool
	Negate     bool
}

// Regexp is the pattern as package regexp takes it.
func (c *RewriteCondition) Regexp() string { return regexpOf(c.Pattern, c.IgnoreCase) }

func regexpOf(pattern string, ignoreCase bool) string {
	if ignoreCase {
		return "(?i)" + pattern
	}
	return pattern
}

// RewriteActions are what a rule does.
type RewriteActions struct {
	URL             RewriteURL
	RequestHeaders  []RewriteField // in the order of the file
	ResponseHeaders []RewriteField
}

// RewriteURL replaces parts of what the backend is asked for.
type RewriteURL struct {
	Path  RewriteText // with a leading slash; not Given: unchanged
	Query RewriteText // without the question mark; not Given: unchanged; empty: removed
	// ReevaluatePathMap chooses the path rule again, by the new path (Azure:
	// reroute). Without it, the rule that the first path led to stays.
	ReevaluatePathMap bool
}

// Given reports whether there is such an action.
func (u *RewriteURL) Given() bool { return u.Path.Given || u.Query.Given }

// RewriteField sets, adds or deletes a header field.
type RewriteField struct {
	Name    string
	Value   RewriteText // what becomes the empty text deletes the field
	Append  bool        // add a line instead of replacing what is there
	Matcher RewriteMatcher
}

// RewriteMatcher chooses lines of Set-Cookie in a response by their value
// (Azure: headerValueMatcher). An empty Pattern: all of them.
type RewriteMatcher struct {
	Pattern    string
	IgnoreCase bool
	Negate     bool
}

// Regexp is the pattern as package regexp takes it.
func (m *RewriteMatcher) Regexp() string { return regexpOf(m.Pattern, m.IgnoreCase) }

// RewriteText is text with variables in it.
type RewriteText struct {
	Text  string // as written
	Given bool
	Parts []RewritePart
}

// RewritePart is a piece of a RewriteText: text as it is, a variable, or a
// group of a condition's pattern.
type RewritePart struct {
	Text     string // Valid iff Variable.Source is SourceNone
	Variable RewriteVariable
	// Group is that of the pattern of the rule's Condition (or of the
	// matcher, for SourceMatcher), from 1; 0: the variable itself.
	Group, Condition int
}

// RewriteVariable is something that a rule can look at.
type RewriteVariable struct {
	Source RewriteSource
	Name   string // of the field or cookie; Valid iff Source is one of those
}

// String is the variable as it is written.
func (v RewriteVariable) String() string {
	switch v.Source {
	case SourceRequestField:
		return "http_req_" + v.Name
	case SourceResponseField:
		return "http_resp_" + v.Name
	case SourceMatcher:
		return matcherVariable
	}
	return "var_" + v.Source.String() + v.Name
}

// is compares as HTTP does: names of fields without regard to case.
func (v RewriteVariable) is(o RewriteVariable) bool {
	if v.Source == SourceRequestField || v.Source == SourceResponseField {
		return v.Source == o.Source && strings.EqualFold(v.Name, o.Name)
	}
	return v == o
}

const matcherVariable = "capt_header_value_matcher"

// RewriteSource is where a variable's text comes from.
type RewriteSource uint8

// What variables there are: fields, cookies, and Azure's server variables.
const (
	SourceNone RewriteSource = iota
	SourceRequestField
	SourceResponseField
	SourceMatcher
	SourceCookie
	SourceAddXForwardedFor
	SourceCiphersSupported
	SourceCiphersUsed
	SourceClientCertificate
	SourceClientCertificateEndDate
	SourceClientCertificateFingerprint
	SourceClientCertificateIssuer
	SourceClientCertificateSerial
	SourceClientCertificateStartDate
	SourceClientCertificateSubject
	SourceClientCertificateVerification
	SourceClientIP
	SourceClientPort
	SourceClientTCPRTT
	SourceClientUser
	SourceHost
	SourceHTTPMethod
	SourceHTTPStatus
	SourceHTTPVersion
	SourceQueryString
	SourceReceivedBytes
	SourceRequestQuery
	SourceRequestScheme
	SourceRequestURI
	SourceSentBytes
	SourceServerPort
	SourceSSLConnectionProtocol
	SourceSSLEnabled
	SourceURIPath

	numSources
)

// sourceWords are the server variables as they are written behind var_.
var sourceWords = [numSources]string{
	SourceCookie: "cookie_", SourceAddXForwardedFor: "add_x_forwarded_for_proxy", SourceCiphersUsed: "ciphers_used", SourceCiphersSupported: "ciphers_supported", SourceClientTCPRTT: "client_tcp_rtt",
	SourceClientCertificate: "client_certificate", SourceClientCertificateEndDate: "client_certificate_end_date", SourceClientCertificateFingerprint: "client_certificate_fingerprint", SourceClientCertificateIssuer: "client_certificate_issuer",
	SourceClientCertificateSerial: "client_certificate_serial", SourceClientCertificateStartDate: "client_certificate_start_date", SourceClientCertificateSubject: "client_certificate_subject", SourceClientCertificateVerification: "client_certificate_verification",
	SourceClientIP: "client_ip", SourceClientPort: "client_port", SourceClientUser: "client_user", SourceHost: "host",
	SourceHTTPMethod: "http_method", SourceHTTPStatus: "http_status", SourceHTTPVersion: "http_version",
	SourceQueryString: "query_string", SourceReceivedBytes: "received_bytes", SourceRequestQuery: "request_query",
	SourceRequestScheme: "request_scheme", SourceRequestURI: "request_uri", SourceSentBytes: "sent_bytes",
	SourceServerPort: "server_port", SourceSSLConnectionProtocol: "ssl_connection_protocol", SourceSSLEnabled: "ssl_enabled",
	SourceURIPath: "uri_path",
}

// String is a server variable without var_; empty for others.
func (s RewriteSource) String() string {
	if s < numSources {
		return sourceWords[s]
	}
	return ""
}

// OfResponse reports whether there is something only once a backend has
// answered.
func (s RewriteSource) OfResponse() bool {
	return s == SourceResponseField || s == SourceHTTPStatus || s == SourceSentBytes || s == SourceMatcher
}
