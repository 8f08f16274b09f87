package waf

// The profile balanced is the Core Rule Set for today's applications: APIs
// with all methods, JSON and its kin, and bodies that are decoded before rules
// see them. Each thing that is let pass has its reason beside it; what it does
// to benign requests and to attacks is measured by test/waf.

// balancedMethods are those of RFC 9110 and RFC 5789 that applications use, and
// those of WebDAV, calendars and address books (RFC 4918, 3253, 4791, 5323):
// who may PUT and DELETE may do these.
var balancedMethods = []string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE",
	"PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "MKCOL", "MKCALENDAR", "COPY", "MOVE", "LOCK", "UNLOCK"}

// balancedContentTypes are what applications send, beyond forms, XML and JSON.
var balancedContentTypes = []string{
	"application/x-www-form-urlencoded", "multipart/form-data", "text/xml", "application/xml", "application/soap+xml", "application/json",
	// JSON by other names
	"application/ld+json", "application/merge-patch+json", "application/json-patch+json", "application/problem+json", "application/vnd.api+json",
	"application/hal+json", "application/scim+json", "application/cloudevents+json", "application/graphql+json", "application/graphql-response+json",
	"text/json", "application/x-ndjson", "application/jsonl", "application/json-seq", "application/graphql",
	"application/geo+json", "application/activity+json", "application/jose+json", "application/fhir+json", "application/manifest+json",
	// what browsers report by themselves, and sendBeacon
	"application/csp-report", "application/reports+json", "text/plain", "text/ping",
	// what is no text
	"application/octet-stream", "application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text",
	"application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf", "application/x-msgpack", "application/msgpack", "application/cbor",
	"application/pdf", "application/zip", "application/gzip", "application/x-gzip", "application/x-tar", "application/vnd.docker.image.rootfs.diff.tar.gzip",
	"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/heic", "image/svg+xml", "audio/mpeg", "audio/wav", "audio/webm", "audio/ogg", "video/mp4", "video/webm",
	"text/csv", "text/calendar", "text/vcard", "text/markdown", "text/html",
	"application/x-git-upload-pack-request", "application/x-git-receive-pack-request", "application/offset+octet-stream",
	"application/jwt", "application/secevent+jwt", "application/ocsp-request", "application/timestamp-query", "application/dns-message",
	"application/atom+xml", "application/rss+xml", "application/xhtml+xml", "application/samlmetadata+xml", "multipart/related", "multipart/mixed",
}

// balancedHeaders are the fields that no client may send. Of the rule set's
// list Content-Encoding is missing, since bodies are decoded before they are
// looked at, Expect, since the gateway answers it, and Content-Range, If and
// Lock-Token, which are harmless to applications that do not know them.
var balancedHeaders = []string{"proxy", "x-http-method-override", "x-http-method", "x-method-override", "x-middleware-subrequest"}

// balancedBefore stands before the rules of the rule set, balancedAfter behind
// them. The first tells the rules of this profile from those of another, since
// what they come to is weighed (weigher).
const (
	balancedBefore = "# profile balanced" + balancedOwn
	balancedAfter  = ``
)

// balancedOwn are rules for what is tried first and the rule set knows only
// at higher paranoia levels, as whole values.
const balancedOwn = `
SecRule ARGS|REQUEST_COOKIES|XML:/* "@rx (?:\{\{|[$#@*]\{|<%=|\[\[)\s*['\x22]?\d{1,9}['\x22]?\s*[*]\s*['\x22]?\d{1,9}['\x22]?\s*(?:\}|%>|\])|\{\{[^}]{0,200}__(?:class|globals|init|mro|subclasses)__" "id:9910001,phase:2,block,capture,t:none,t:urlDecodeUni,msg:'Template expression that calculates',logdata:'%{TX.0} in %{MATCHED_VAR_NAME}',tag:'paranoia-level/1',severity:CRITICAL,setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}'"
SecRule ARGS|REQUEST_COOKIES|XML:/* "@rx ^[^\s|;&\x60$]{0,32}\s*(?:[|;&]{1,2}|\x60|\$\()\s*(?:/(?:usr/)?bin/)?(?:id|whoami|uname|ifconfig|ipconfig|netstat|printenv)(?:\s+-\w+)*\s*[)\x60;|&#]?\s*$" "id:9910002,phase:2,block,capture,t:none,t:urlDecodeUni,t:lowercase,msg:'Command alone behind a separator',logdata:'%{TX.0} in %{MATCHED_VAR_NAME}',tag:'paranoia-level/1',severity:CRITICAL,setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}'"
SecRule ARGS|REQUEST_COOKIES|XML:/* "@rx ^[\w@.-]{0,32}['\x22]\)?\s*;?\s*(?:--[\s+-]*|#|/\*[^*]{0,8})$" "id:9910003,phase:2,block,capture,t:none,t:urlDecodeUni,msg:'String ended for a comment of SQL',logdata:'%{TX.0} in %{MATCHED_VAR_NAME}',tag:'paranoia-level/1',severity:CRITICAL,setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}'"
`
