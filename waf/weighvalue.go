package waf

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// imprecise are rules whose own condition says little for today's traffic.
// Each gives the reason why a match in a subject is no finding, or nothing.
var imprecise = map[int]func(subject) string{
	921130: noLineBreak,
	930100: oneStepUp,
	930110: oneStepUp,
	930120: plainPath,
	931100: addressOfReturn,
	932130: shellExpression,
	932160: plainPath,
	932260: everydayWord,
	932270: opaque,
	933135: placeholder,
	934110: addressOfReturn,
	941120: optionOfPath,
	941130: pageOfFaces,
	941170: nothingRun,
	941210: nothingRun,
	942151: geometry,
	942190: quotedWords,
	942220: wholeNumber,
	942290: operatorName,
	943120: nameOfSession,
}

// precise are rules that no text about code sets off by chance.
var precise = map[int]bool{932140: true, 944120: true, 944150: true, 944151: true, 944152: true, 944210: true, 944240: true, 944250: true}

// isPrecise reports whether a rule's match counts in a kind of writing without
// more evidence. The loops of cmd.exe (932140) look like those of programs and
// templates.
func isPrecise(rule int, k writing, text string) bool {
	return precise[rule] && (rule != 932140 || k != program && k != markup && len(text) < 2*longDocument)
}

// sensitive is where a path leads that climbs.
var sensitive = regexp.MustCompile(`(?i)etc[/\\]|passwd|proc[/\\]|win\.ini|boot\.ini|\.env|\.git|web\.config|wp-config|web-inf|%00|\x00|\.log\b`)

// dotted is a step up written so that some servers take it for one.
var dotted = regexp.MustCompile(`\.[;\\]`)

// addressName are the names of fields for links between pages.
var addressName = regexp.MustCompile(`(?i)(^|[._\[-])(ur[li]|href|link)\]?$`)

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
	if s.place == inBody && addressName.MatchString(s.name) {
		text = strings.TrimPrefix(text, "../")
		if !strings.Contains(text, "..") && !sensitive.MatchString(text) {
			return "a relative address"
		}
	}
	if strings.Count(text, "..") != 1 || dotted.MatchString(text) || strings.Contains(text, "=../") || strings.HasPrefix(text, "../") || sensitive.MatchString(text) {
		return ""
	}
	return "one step up in the middle of a path"
}

// pathForm is the absolute path of a file or a program.
var pathForm = regexp.MustCompile(`^(?:/[\w@+-][\w.@+-]*)+/?$`)

// plainPath: programs tell each other in JSON where files are. Where a path
// alone is what opens a file, it leads to one that is known.
func plainPath(s subject) string {
	if s.place == inName && strings.HasPrefix(s.text, "json.") && !strings.Contains(s.text, "/") {
		return "a name in JSON, behind the dot of its parent"
	}
	if s.place == inBody && strings.HasPrefix(s.name, "json.") && pathForm.MatchString(s.text) && !sensitive.MatchString(strings.TrimSuffix(s.text, ".log")) {
		return "a path in JSON"
	}
	return ""
}

// everydayWords are programs that are also words for other things.
var everydayWords = regexp.MustCompile(`(?i)^(?:base(?:32|64)|[bg]?zip2?|diff|sort|time|file|node|python3?|ruby|perl|php|make|docker|git|npm|less|more|head|tail|cut|split|test|top|screen|host|finger|who|last|at|env|install|update)$`)

// everydayWord: the word alone runs nothing.
func everydayWord(s subject) string {
	if everydayWords.MatchString(s.text) {
		return "a word that is also a program's name"
	}
	return ""
}

// placeholderForm has the names of an application's own variables in braces,
// and else what file names have. Those of shells are upper case.
var placeholderForm = regexp.MustCompile(`^[\w@-][\w./ @-]*(?:\$\{[a-z][A-Za-z0-9_]*\}[\w./ @-]*)+$`)

// indexForm is a path whose parts have numbers or names in brackets, as XPath
// and pointers into books do. In a shell's pattern there are single letters.
var indexForm = regexp.MustCompile(`^[\w(]?[\w./!:,(-]*/[\w./!:,()-]*(?:\[(?:\d+|\w{3,})\][\w./!:,()-]*)+$`)

// shellExpression: what a shell puts something in the place of.
func shellExpression(s subject) string {
	if indexForm.MatchString(s.text) && !sensitive.MatchString(s.text) {
		return "a path with indices"
	}
	return placeholder(s)
}

// noLineBreak: a response is split at a line break.
func noLineBreak(s subject) string {
	if text := strings.ToLower(s.text); !strings.ContainsAny(text, "\r\n") && !strings.Contains(text, "%0") && !strings.Contains(text, `\r`) && !strings.Contains(text, `\n`) && !strings.Contains(text, "http/") {
		return "no line break"
	}
	return ""
}

// placeholder: an object store puts the file's name in the place of
// ${filename}.
func placeholder(s subject) string {
	if placeholderForm.MatchString(s.text) {
		return "a place for a name"
	}
	return templateOfNames(s)
}

var opaqueForm = regexp.MustCompile(`^[\w~+/=.|,:-]{40,}$`)

// opaque: tokens of bot managers have a tilde between their parts.
func opaque(s subject) string {
	if s.place == inHead && opaqueForm.MatchString(s.text) {
		return "an opaque token"
	}
	return ""
}

// isPlainTarget reports whether a target, decoded twice, has nothing that ends
// an attribute or calls a function.
func isPlainTarget(text string) bool {
	for range 2 {
		if decoded, err := url.PathUnescape(text); err == nil {
			text = decoded
		}
	}
	return !strings.ContainsAny(text, "<>\"'`( \t\n\f")
}

var optionForm = regexp.MustCompile(`(?i),on[a-z]+=\w+(?:[,/]|$)`)

// optionOfPath: services for images have their options in the path, and one
// of them says what to do on an error. What runs has more than a word.
func optionOfPath(s subject) string {
	if s.place == inTarget && optionForm.MatchString(s.text) && isPlainTarget(s.text) {
		return "an option in a path"
	}
	return ""
}

// pageForm is a page of Jakarta Faces; without cookies its path has the session.
var pageForm = regexp.MustCompile(`^(?:/[\w.-]+)*/[\w-]+\.xhtml(?:;jsessionid=[\w.-]+)?(?:\?|$)`)

func pageOfFaces(s subject) string {
	if s.place == inTarget && pageForm.MatchString(s.text) && isPlainTarget(s.text) {
		return "a page of Jakarta Faces"
	}
	return ""
}

var (
	// sheetRange is cells of a sheet with a name: 'Q4 plan'!A1:D4.
	sheetRange = regexp.MustCompile(`^'(?:[^'";]|\'\')+'![A-Z]{1,3}\d*(?::[A-Z]{1,3}\d*)?$`)
	quotedWord = regexp.MustCompile(`(?i)["“]\s*(?:select|union|having)[\w\s!?.]*["”]`)
	unionWord  = regexp.MustCompile(`(?i)select|union|having|exec|information_schema|outfile|dumpfile`)
)

// quotedWords: a word between quotes ends no string, and neither do the quotes
// around the name of a sheet.
func quotedWords(s subject) string {
	if sheetRange.MatchString(s.text) {
		return "cells of a sheet"
	}
	rest := quotedWord.ReplaceAllString(s.text, " ")
	if rest != s.text && !strings.ContainsAny(rest, "\"'`;#") && !strings.Contains(rest, "--") && !unionWord.MatchString(rest) {
		return "a word between quotes"
	}
	return ""
}

// wholeNumber: the largest number of 32 bits stands for "no limit".
func wholeNumber(s subject) string {
	if s.text == "2147483647" || s.text == "4294967295" {
		return "the largest number of 32 bits"
	}
	return ""
}

// platformSession are names of cookies that platforms keep a session by.
// Other names are the application's own, which it alone can fix.
var platformSession = regexp.MustCompile(`(?i)phpsess|jsession|asp|cfid|cftoken|wordpress|laravel`)

func nameOfSession(s subject) string {
	if s.place == inName && !platformSession.MatchString(s.text) {
		return "a name of the application's own for what a cookie would hold"
	}
	return ""
}

// geometryForm is a shape in well-known text (OGC 06-103r4).
var geometryForm = regexp.MustCompile(`(?i)^(?:srid=\d+;)?(?:(?:multi)?(?:point|linestring|polygon)|geometrycollection)\s*(?:z|m|zm)?\s*\([\s\d.,()eE+-]*\)$`)

// geometry: the names of shapes are also functions of MySQL.
func geometry(s subject) string {
	if geometryForm.MatchString(s.text) {
		return "a shape on a map"
	}
	return ""
}

// voidForm is an address that does nothing.
var voidForm = regexp.MustCompile(`(?i)^\s*javascript:\s*(void\s*\(?\s*0\s*\)?)?\s*;?\s*$`)

// titleForm is the language, a colon and words: "JavaScript: The Good Parts".
var titleForm = regexp.MustCompile(`^JavaScript: [\pL\d ,'’&!?-]+$`)

// nothingRun: editors make links without an address of it.
func nothingRun(s subject) string {
	if voidForm.MatchString(s.text) {
		return "an address that does nothing"
	}
	if titleForm.MatchString(s.text) {
		return "a title"
	}
	return ""
}

// returnName are the names of OAuth 2.0 and OpenID Connect for where a
// browser is sent: the application only compares it with a list.
var returnName = regexp.MustCompile(`(?i)(^|\.)(post_?logout_?)?redirect_?ur[il]s?(\.\d+)?$`)

// loopback is the client's own machine (RFC 8252, 7.3).
var loopback = regexp.MustCompile(`(?i)^https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[\w./-]*\*?)?$`)

// plainAddress is an address of the web, whole or without its host, with
// nothing that a shell takes for more than a word but the ampersands of its
// query.
var plainAddress = regexp.MustCompile(`^(?:https?://[\w.-]+(?::\d+)?)?(?:/(?:[\w./~:@!,%+=-]|\([\pL\d_ .-]+\))*)?(?:\?[\w./~:@!,%+=&\[\]?-]*)?(?:#[\pL\d_./=&!?-]*)?$`)

// addressOfReturn: programs on the user's machine have themselves called back
// at the loopback address.
func addressOfReturn(s subject) string {
	if returnName.MatchString(s.name) && loopback.MatchString(s.text) {
		return "the loopback address of a native application"
	}
	if addressName.MatchString(s.name) && isPublicPage(s.text) {
		return "a page at a public address, in a field for links"
	}
	return ""
}

// pageAddress is an address of the web by number, of a page rather than of a
// program's text: that is what is included from elsewhere.
var pageAddress = regexp.MustCompile(`^https?://([\d.]+)(?::\d+)?/[\w~/-]*(?:\.html?|\.php)?(?:\?\w[\w=&.%+-]*)?$`)

func isPublicPage(text string) bool {
	m := pageAddress.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	a, err := netip.ParseAddr(m[1])
	return err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
}

var (
	// mongoName is an operator inside of a name: user[$ne], a.$gt.
	mongoName = regexp.MustCompile(`[\[.]\s*["']?\$`)
	// systemQuery are the query options of OData.
	systemQuery = regexp.MustCompile(`(?i)^\$(filter|select|expand|orderby|top|skip|count|search|format|apply|skiptoken|deltatoken|levels|compute|index|schemaversion|where|order|limit|offset|join|if|sort|or|and)$`)
	// controlName is a control on a page of ASP.NET: ctl00$Main$Button.
	controlName = regexp.MustCompile(`^\w+(?:\$\w+)+$`)
	// variableOfQuery is a variable of GraphQL: $first: Int!
	variableOfQuery = regexp.MustCompile(`^\s*(?:#[^\n]*\n\s*)*(?:query|mutation|subscription|fragment|\{)\b?`)
	mongoOperator   = regexp.MustCompile(`(?i)\$(ne|where|regex|nin|exists|not|or|func|function|expr|eq|in|and|nor)\b`)
	// analyticsName is how analytics tools and interfaces for changes say what
	// becomes of a property.
	analyticsName = regexp.MustCompile(`^json\.(?:[\w.]+\.)?\$(?:add|append|prepend|set|setOnce|set_once|unset|union|inc|increment|dec|mul|push|addToSet|pull|remove)(?:\.\w+)*$`)
	// mongoCode are operators that run code.
	mongoCode = regexp.MustCompile(`(?i)\$(where|function|func|expr|accumulator)\b`)
	// loginName is in the names of what nobody filters by.
	loginName = regexp.MustCompile(`(?i)pass|pwd|secret|token|login|otp`)
	// filterName is an operator of a filter that the application offers:
	// filters[price][$lt], where.$or.0.name.$in
	filterName = regexp.MustCompile(`(?i)^(?:json\.)?(?:[\w.]+\.)?(?:filters?|where|criteria|conditions?|selector)[.\[]`)
	mongoRange = regexp.MustCompile(`(?i)\$(gt|gte|lt|lte)\b["']?\s*[:=\]]+\s*-?\d`)
)

// asksOData reports whether a text is an address whose query has options of
// OData, and no other name that begins with a dollar.
func asksOData(text string) bool {
	path, query, ok := strings.Cut(text, "?")
	if !ok || !strings.Contains(path, "/") || strings.ContainsAny(text, "{}[]\"' \t\r\n") || strings.Contains(path, "$") {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(value, "$") || strings.Contains(name, "$") && !systemQuery.MatchString(name) {
			return false
		}
	}
	return true
}

// operatorName: a name that begins with a dollar is an option of OData, a
// property of an analytics tool or a variable of GraphQL. An injection into
// MongoDB has the operator inside of a name, or as a name in JSON.
func operatorName(s subject) string {
	switch {
	case s.place == inName && !mongoName.MatchString(s.text):
		if systemQuery.MatchString(s.text) {
			return "an option of OData"
		}
	case s.place == inName:
		if analyticsName.MatchString(s.text) {
			return "what is to become of a property"
		}
		if filterName.MatchString(s.text) && !mongoCode.MatchString(s.text) && !loginName.MatchString(s.text) {
			return "an operator of a filter"
		}
	case isGraphQL(s):
		return "variables of GraphQL"
	case systemQuery.MatchString(s.name) && !strings.ContainsAny(s.text, "{[\"'"):
		return "an option of OData"
	case asksOData(s.text):
		return "an address with options of OData"
	case controlName.MatchString(s.text):
		return "the name of a control of ASP.NET"
	case !mongoOperator.MatchString(s.text) && (mongoRange.MatchString(s.text) || !strings.Contains(s.text, `"$g`) && !strings.Contains(s.text, `"$l`)) && isData(s.text):
		return "ranges of numbers, or names that are no operators"
	}
	return ""
}

var (
	// graphqlString is a string of GraphQL, a block of several lines included.
	graphqlString = regexp.MustCompile(`(?s)""".*?"""|"(?:[^"\\]|\\.)*"`)
	// graphqlRest is all that a document of GraphQL has besides.
	graphqlRest = regexp.MustCompile(`^(?:[\w\s{}()\[\]:,!$@=|&.-]|#[^\n]*\n)*$`)
)

// isGraphQL reports whether a field is called query and has a document of
// GraphQL. In its strings is what clients send.
func isGraphQL(s subject) bool {
	rest := graphqlString.ReplaceAllString(s.text, "\x00")
	return lastName(s.name) == "query" && !glued.MatchString(rest) && !strings.HasPrefix(s.text, "{{") && variableOfQuery.MatchString(s.text) && strings.Contains(s.text, "{") &&
		strings.HasSuffix(strings.TrimSpace(s.text), "}") && graphqlRest.MatchString(strings.ReplaceAll(rest, "\x00", "0"))
}

// lastName is the last part of the name of a leaf of JSON.
func lastName(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
