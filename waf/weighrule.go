package waf

import (
	"mime"
	"net/url"
	"regexp"
	"strings"
)

// imprecise are rules whose own condition says little for today's traffic.
// Each gives the reason why a match in a subject is no finding, or nothing.
var imprecise = map[int]func(subject) string{
	930100: oneStepUp,
	930110: oneStepUp,
	931100: addressOfReturn,
	934110: addressOfReturn,
	941170: nothingRun,
	941210: nothingRun,
	942290: operatorName,
}

// precise are rules that no text about code sets off by chance.
var precise = map[int]bool{932140: true, 944120: true, 944150: true, 944151: true, 944152: true, 944210: true, 944240: true, 944250: true}

// sensitive is where a path leads that climbs.
var sensitive = regexp.MustCompile(`(?i)etc[/\\]|passwd|proc[/\\]|win\.ini|boot\.ini|\.env|\.git|web\.config|wp-config|web-inf|%00|\x00|\.log\b`)

// dotted is a step up written so that some servers take it for one.
var dotted = regexp.MustCompile(`\.[;\\]`)

// oneStepUp: a path or an address with one step up in its middle is one that
// was put together from two. Attacks climb from the beginning, or several
// times, or to files that are known.
func oneStepUp(s subject) string {
	text := s.text
	for range 2 {
		if decoded, err := url.PathUnescape(text); err == nil {
			text = decoded
		}
	}
	path, query, _ := strings.Cut(text, "?")
	if s.place == inTarget && strings.Contains(path, "..") || strings.Contains(text, `..\`) {
		return ""
	}
	if s.place == inTarget {
		text = query
	}
	if strings.Count(text, "..") != 1 || dotted.MatchString(text) || strings.Contains(text, "=../") || strings.HasPrefix(text, "../") || sensitive.MatchString(text) {
		return ""
	}
	return "one step up in the middle of a path"
}

// voidForm is an address that does nothing.
var voidForm = regexp.MustCompile(`(?i)^\s*javascript:\s*(void\s*\(?\s*0\s*\)?)?\s*;?\s*$`)

// nothingRun: editors make links without an address of it.
func nothingRun(s subject) string {
	if voidForm.MatchString(s.text) {
		return "an address that does nothing"
	}
	return ""
}

// returnName are the names of OAuth 2.0 and OpenID Connect for where a
// browser is sent: the application only compares it with a list.
var returnName = regexp.MustCompile(`(?i)(^|\.)(post_logout_)?redirect_ur[il]s?(\.\d+)?$`)

// loopback is the client's own machine (RFC 8252, 7.3).
var loopback = regexp.MustCompile(`(?i)^https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[\w./-]*)?$`)

// plainAddress is an address of the web, whole or without its host, with
// nothing that a shell takes for more than a word but the ampersands of its
// query.
var plainAddress = regexp.MustCompile(`^(?:https?://[\w.-]+(?::\d+)?)?(?:/[\w./~:@!,%+=-]*)?(?:\?[\w./~:@!,%+=&\[\]?-]*)?(?:#[\w./=&!?-]*)?$`)

// addressOfReturn: programs on the user's machine have themselves called back
// at the loopback address.
func addressOfReturn(s subject) string {
	if returnName.MatchString(s.name) && loopback.MatchString(s.text) {
		return "the loopback address of a native application"
	}
	return ""
}

var (
	// mongoName is an operator inside of a name: user[$ne], a.$gt.
	mongoName = regexp.MustCompile(`[\[.]\s*["']?\$`)
	// systemQuery are the query options of OData.
	systemQuery = regexp.MustCompile(`(?i)^\$(filter|select|expand|orderby|top|skip|count|search|format|apply|skiptoken|deltatoken|levels|compute|index|schemaversion|where|order|limit|offset|join|if|sort|or|and)$`)
	// variableOfQuery is a variable of GraphQL: $first: Int!
	variableOfQuery = regexp.MustCompile(`^\s*(?:#[^\n]*\n\s*)*(?:query|mutation|subscription|fragment|\{)\b?`)
	mongoOperator   = regexp.MustCompile(`(?i)\$(ne|where|regex|nin|exists|not|or|func|function|expr|eq|in|and|nor)\b`)
	mongoRange      = regexp.MustCompile(`(?i)\$(gt|gte|lt|lte)\b["']?\s*[:=\]]+\s*-?\d`)
)

// operatorName: a name that begins with a dollar is an option of OData, a
// property of an analytics tool or a variable of GraphQL. An injection into
// MongoDB has the operator inside of a name, or as a name in JSON.
func operatorName(s subject) string {
	switch {
	case s.place == inName:
		if !mongoName.MatchString(s.text) && systemQuery.MatchString(s.text) {
			return "an option of OData"
		}
	case isGraphQL(s):
		return "variables of GraphQL"
	case !mongoOperator.MatchString(s.text) && (mongoRange.MatchString(s.text) || !strings.Contains(s.text, `"$g`) && !strings.Contains(s.text, `"$l`)) && isData(s.text):
		return "ranges of numbers, or names that are no operators"
	}
	return ""
}

// isGraphQL reports whether a field is called query and has one of GraphQL.
func isGraphQL(s subject) bool {
	return lastName(s.name) == "query" && !strings.HasPrefix(s.text, "{{") && variableOfQuery.MatchString(s.text) && strings.Contains(s.text, "{") && strings.HasSuffix(strings.TrimSpace(s.text), "}")
}

// lastName is the last part of the name of a leaf of JSON.
func lastName(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// protocolDoubt judges the rules about the form of requests; known is set
// where there is nothing more to ask.
func (v *view) protocolDoubt(m *Match) (reason string, known bool) {
	switch m.RuleID {
	case 920120, 922130:
		return v.fileNames(m), true
	case 920420:
		return v.mediaType(), true
	case 920450:
		return v.methodOverride(), true
	case 920470:
		return v.mediaTypeParameters(), true
	case 920480:
		return v.charset(), true
	case 930130, 920440:
		return v.storedPath(), true
	}
	return "", m.RuleID/1000 == 920
}

// mediaTypeForm is a media type of one of the registered kinds.
var mediaTypeForm = regexp.MustCompile(`^(?:application|text|image|audio|video|font|model|multipart|message|chemical)/[a-z0-9][a-z0-9.+_-]{0,126}$`)

// mediaType: a list of media types is never complete, and bodies of kinds that
// are not known are read for what they are.
func (v *view) mediaType() string {
	contentType, _ := v.req.Header("content-type")
	if !v.weigher.anyType || !mediaTypeForm.MatchString(mediaTypeOf(contentType)) {
		return ""
	}
	return "a media type that is well-formed"
}

// methodOverride: clients of REST say PUT, PATCH or DELETE in a field where
// they can only POST. The profile allows these methods anyway.
func (v *view) methodOverride() string {
	if !v.weigher.anyOverride || v.req.Method != "POST" {
		return ""
	}
	for _, h := range v.req.Headers {
		name := lower(h.Name)
		if name == "x-http-method-override" || name == "x-method-override" || name == "x-http-method" {
			if h.Value != "PUT" && h.Value != "PATCH" && h.Value != "DELETE" {
				return ""
			}
		} else if listed(balancedHeaders, name) {
			return ""
		}
	}
	return "a method that is allowed, in a field"
}

// oddFileName has what no file is called and what ends the field it is in.
var oddFileName = regexp.MustCompile("[\"<>|;=\\x00-\\x1f\\x7f`$]|\\.\\.|'[^'\\pL\\pN]*$")

// fileNames: people's names have apostrophes, and some programs send the whole
// path of a file.
func (v *view) fileNames(m *Match) string {
	for _, f := range v.req.Body.Files {
		if strings.Count(f, "'") > 2 || oddFileName.MatchString(f) {
			return ""
		}
	}
	if len(v.req.Body.Files) == 0 {
		return ""
	}
	for _, h := range v.req.Body.PartHeaders {
		if m.RuleID == 922130 && strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' && r != '\t' }) {
			return ""
		}
	}
	return "a file name with an apostrophe, a path or letters of any language"
}

// plainParameter is a value that can mean only one thing.
var plainParameter = regexp.MustCompile(`^[\w.:/+ -]{0,80}$`)

// mediaTypeParameters: what RFC 9110 lets a media type have, each parameter
// once and with a plain value.
func (v *view) mediaTypeParameters() string {
	contentType, _ := v.req.Header("content-type")
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || strings.HasPrefix(kind, "multipart/") || strings.Count(strings.ToLower(contentType), "charset") > 1 {
		return ""
	}
	for _, p := range params {
		if !plainParameter.MatchString(p) {
			return ""
		}
	}
	return "a media type with parameters of its own"
}

// charsets are older encodings in which every byte of ASCII, after a byte
// that is not, may be part of a letter, but no attack can be written without
// ASCII: unlike UTF-7, UTF-16 and EBCDIC.
var charsets = regexp.MustCompile(`(?i)^(shift_jis|sjis|windows-31j|euc-jp|euc-kr|ks_c_5601-1987|gb2312|gbk|gb18030|big5|windows-125\d|windows-874|koi8-[ru]|iso-8859-\d+|us-ascii|tis-620)$`)

// charset: forms in the older encodings of Asia and Europe.
func (v *view) charset() string {
	contentType, _ := v.req.Header("content-type")
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || !charsets.MatchString(params["charset"]) {
		return ""
	}
	return "an older encoding that keeps ASCII"
}

var (
	// repository is a Git repository by its name, not the directory of one.
	repository = regexp.MustCompile(`^/(?:[\w.~-]+/)*[\w.-]*\w\.git/(?:info/(?:refs|lfs)|git-(?:upload|receive)-pack|HEAD$|objects/)`)
	// browsed is a file in the pages or the API of a forge or an object
	// store: below the name of a project and a word for showing it.
	browsed = regexp.MustCompile(`^/(?:[^/]+/){2,}(?:-/)?(?:blob|raw|blame|tree|contents|commits|edit)/`)
)

// storedPath: a forge serves names of files that must not lie open on a web
// server.
func (v *view) storedPath() string {
	switch path := v.req.Path; {
	case strings.Contains(path, ".."):
		return ""
	case repository.MatchString(path):
		return "a Git repository by its name"
	case browsed.MatchString(path):
		return "a file in a forge"
	case strings.Contains(path, " "):
		return "a path with spaces, of an object store"
	}
	return ""
}
