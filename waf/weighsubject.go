package waf

import (
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"strings"

	"gatehouse/waf/variables"
)

// place is where in a request a value is. It says what is usual there: tokens
// in the target and in fields of the head, documents in bodies.
type place uint8

const (
	inBody place = iota
	inQuery
	inHead
	inTarget
	inName
)

// subject is a value under judgement.
type subject struct {
	place place
	name  string // of the field; json.a.0.b for leaves of JSON
	text  string
}

// view is a request as the second opinion sees it. It remembers what it found
// in texts, since many rules match the same one.
type view struct {
	work     int // values that may still be looked at
	bytes    int // bytes that may still be looked at
	req      *variables.Request
	weigher  *weigher
	rules    family // of the match under judgement
	hostile  map[string]findings
	sql      map[string]int // rules about SQL that match and are sure, by the variable
	writings map[subject]writing

	args, cookies, head named
}

// doubtOf says why a match in a subject does not count; empty where it does.
func (v *view) doubtOf(m *Match, s subject, sql int) string {
	if r, ok := imprecise[m.RuleID]; ok {
		if reason := r(s); reason != "" {
			return reason
		}
	}
	if reason := hasKnownForm(m.RuleID, s); reason != "" {
		return reason
	}
	if reason := v.ofCodeField(m.RuleID, s); reason != "" {
		return reason
	}
	if m.RuleID/1000 == 932 && plainAddress.MatchString(s.text) && strings.Contains(s.text, "/") && strings.Contains(s.text, "?") && !commandInQuery.MatchString(s.text) {
		return "an address of the web"
	}
	k := v.writing(s)
	if m.RuleID/1000 == 942 && (k == token || k == password || k == phrase) && goesOn.MatchString(lower(s.text)) {
		return ""
	}
	if k == token && (s.place == inBody || s.place == inQuery) && sql == 0 && unsure[m.RuleID] && !strings.Contains(s.text, "'") && !operatorWord.MatchString(s.text) {
		k = lone
	}
	if k == filter && m.RuleID/1000 == 932 && !separates.MatchString(s.text) {
		return k.String()
	}
	if k == token || isPrecise(m.RuleID, k, s.text) || (k == filter || k == phrase) && m.RuleID/1000 != 942 {
		return ""
	}
	if k == blob {
		return k.String()
	}
	v.rules = familyOf(m.RuleID)
	if m.Evidence = v.evidenceOf(s, k, v.rules == ofScripts); m.Evidence != "" {
		return ""
	}
	return k.String()
}

// commandInQuery is a program behind an ampersand, where a parameter has its
// name and value.
var commandInQuery = regexp.MustCompile(`(?i)&(?:/[^&=]*|` + shellAlone + `)(?:&|$)`)

// separates is what stands between commands, or runs one inside of another.
var separates = regexp.MustCompile("[;|&`$\\\\\n\r#]")

// evidenceOf is what evidence there is in a subject of a kind of writing; of a
// script, where scripts is set: elements of HTML that quote code run those.
func (v *view) evidenceOf(s subject, k writing, scripts bool) string {
	switch k {
	case prose:
		return v.evidence(withoutCode(s.text, !scripts), k)
	case markup:
		if scripts {
			return v.evidence(dataScript.ReplaceAllString(s.text, " "), k)
		}
		return v.evidence(withoutQuotes(s.text, true), k)
	case fields:
		return v.evidenceInFields(s.text)
	case data:
		return v.evidenceInData(s, scripts)
	case filter:
		return v.evidenceInFilter(s.text)
	case graphql:
		return v.evidenceInGraphQL(s.text)
	}
	return v.evidence(s.text, k)
}

// tooMuch is the evidence where there is more in a value than is looked at:
// what was found counts.
const tooMuch = "more parts than are looked at"

// part looks at a part of a value, which somebody else wrote than the names of
// the parts: whatever it says it is, all evidence counts.
func (v *view) part(text string, k writing) string {
	if v.work--; v.work < 0 {
		return tooMuch
	}
	return v.evidence(text, k)
}

// evidenceInFields looks at each value of a list of fields.
func (v *view) evidenceInFields(list string) string {
	for pair := range strings.SplitSeq(list, "&") {
		_, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if why := v.part(value, fields); why != "" {
			return why
		}
	}
	return ""
}

// goesOn is a value from which a condition or a statement of SQL goes on, which
// is what an injection is, whatever else is in it.
var goesOn = regexp.MustCompile(`^[^\s'"(]{0,32}['"]?\)*(?:\s|/\*.*?\*/|\+)*(?:(?:and|or|xor|having|where|rlike|regexp|glob|div|mod|(?:not\s+)?between|(?:not\s+)?like|(?:not\s+)?in|is|procedure|into|limit|offset|union|except|intersect|order\s+by|group\s+by|collate)\b|\|\||&&)`)

// operatorWord is a word between conditions, or one that compares.
var operatorWord = regexp.MustCompile(`(?i)\b(?:or|and|xor|like|rlike|regexp|between|union|having)\b|\|\||&&`)

// unsure are the rules about SQL that need another one that is none of them, or
// evidence: the tokens of libinjection, names of functions, many of which are
// those of mathematics, and words behind numbers, as in addresses of streets.
var unsure = map[int]bool{942100: true, 942151: true, 942360: true}

// evidenceInData looks at each string of a JSON document, whose form says
// nothing of what is in them.
func (v *view) evidenceInData(s subject, scripts bool) (why string) {
	if why = v.evidence(s.text, data); why != "" {
		return why
	}
	jsonStrings(s.text, func(text string) bool {
		switch k := writingOf(subject{s.place, "", text}); k {
		case blob:
		case markup:
			why = v.part(text, k)
		default:
			why = v.part(withoutCode(text, !scripts), prose)
		}
		return why == ""
	})
	return why
}

// jsonStrings calls f with each string of a JSON document, in order, names and
// what is there twice included, until it returns false.
func jsonStrings(doc string, f func(text string) bool) {
	d := json.NewDecoder(strings.NewReader(doc))
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		if text, ok := token.(string); ok && !f(text) {
			return
		}
	}
}

// evidenceInFilter looks at a condition without its strings, and at each of
// them: where the application puts quotes around the whole, they are what runs.
func (v *view) evidenceInFilter(text string) string {
	for _, q := range quotedString.FindAllString(text, -1) {
		if why := v.part(q[1:len(q)-1], filter); why != "" {
			return why
		}
	}
	return v.evidence(quotedString.ReplaceAllString(text, " 1 "), filter)
}

// evidenceInGraphQL looks at each string of a document, and at the rest.
func (v *view) evidenceInGraphQL(text string) string {
	for _, q := range graphqlString.FindAllString(text, -1) {
		if why := v.part(withoutCode(strings.Trim(q, `"`), false), prose); why != "" {
			return why
		}
	}
	return v.evidence(graphqlString.ReplaceAllString(text, `""`), prose)
}

// countSQL counts the other rules about SQL that match each variable.
func (v *view) countSQL(jm *Judgement) {
	v.sql = map[string]int{}
	for i := range jm.Matches {
		m := &jm.Matches[i]
		if m.RuleID/1000 != 942 || unsure[m.RuleID] {
			continue
		}
		seen := map[string]bool{}
		for j := range m.Values {
			if name := m.Values[j].Variable; !seen[name] {
				seen[name] = true
				v.sql[name]++
			}
		}
	}
}

// evidence is what hostileIn says to the rule under judgement, remembered.
func (v *view) evidence(text string, k writing) string {
	key := k.String() + text
	found, known := v.hostile[key]
	if !known {
		if v.hostile == nil {
			v.hostile = map[string]findings{}
		}
		found = hostileIn(text, k)
		v.hostile[key] = found
	}
	return found.speakingTo(v.rules)
}

// writing is writingOf, remembered.
func (v *view) writing(s subject) writing {
	if k, ok := v.writings[s]; ok {
		return k
	}
	if v.writings == nil {
		v.writings = map[subject]writing{}
	}
	k := writingOf(s)
	v.writings[s] = k
	return k
}

// writing is what kind of text a value is. For all kinds but token a match
// alone is no finding: it takes evidence of an attack.
type writing uint8

const (
	token    writing = iota // a name, a number, a short value
	prose                   // a text of sentences, code quoted in it included
	markup                  // HTML through and through, by an editor
	data                    // JSON in a field, or a list of fields
	program                 // code, in a field that is for code
	filter                  // a condition of a filter language
	blob                    // a picture or another file as base64
	password                // what is hashed and never shown
	fields                  // a form's names and values, in a cookie
	phrase                  // a few words, which may be commands as well
	graphql                 // a document of GraphQL
	lone                    // a token in which only unsure rules about SQL see something
)

// String is the reason in the log why a match does not count.
func (w writing) String() string {
	return [...]string{"", "in prose, without a break-out", "in rich text, with nothing that runs", "in a data structure, without a break-out",
		"in a program, without an exploit", "in a condition, without a break-out", "in a file as base64", "in a password, without an exploit",
		"in a list of fields, without a break-out", "in a phrase, without a break-out", "in GraphQL, without a break-out in a string",
		"seen by unsure rules alone, without a break-out"}[w]
}

var (
	// Passwords are the opposite of words, and look like code by intent.
	passwordName = regexp.MustCompile(`(?i)(^|[_.\-\[ a-z])(pass(word|wd|phrase|code)?|pwd|secret)(_?(confirm(ation)?|repeat|again|new|old|current|[12]))?\]?$`)
	// Fields that are made for code, queries or patterns, and for nothing
	// else.
	programName = regexp.MustCompile(`(?i)(^|[_.\-\[])(sql|query|script|source|src|js|css|tpl|snippet|pattern|regex|stylesheet|user_?data|cells?|func|function|stacktrace|stack|trace|statement|diff|patch)\d?\]?(\.\d+)*$`)
	// A coupon, a country and a language have codes, too.
	wholeCode = regexp.MustCompile(`(?i)(^|[.\[])((source|custom|embed|html|css|js)_?)?code\]?(\.\d+)*$`)
	// Fields for documents, which may be programs as well.
	documentName = regexp.MustCompile(`(?i)(^|[_.\-\[a-z0-9])(template|config|html|svg|body|content|customized|raw|stringvalue|args|commands?)\]?(\.\d+)*$`)
	// What programs begin with, in languages that are written in such fields.
	programStart = regexp.MustCompile(`(?i)^\s*(?:#!|//|/\*|#\s|--\s|<\?|<!doctype|<html|\{%|\{\{|@@|diff --git|---\s|import\s|from\s|package\s|func\s|function\b|async\s|const\s|let\s|var\s|class\s|def\s|public\s|using\s|#include|module\s|export\s|require\s|version:|[.#@]?[\w-]+[^;<]{0,80}\{\s|[A-Z]\w*(?:Error|Exception)\b|at\s|traceback|[a-z_]\w*\s*[:=]\s)`)
	// SQL-like languages of filters begin with the name of a column, or with
	// a function of one; an injection into one begins with a value.
	condition = regexp.MustCompile(`(?i)^\(?\s*(?:not\s+)?[a-z_][\w.:]*\s*(?:=|!=|<>|<=|>=|<|>|~|\s(?:like|ilike|in|eq|ne|gt|lt|ge|le|is|between)\b)`)
	// Functions come first in fields for conditions and formulas.
	function = regexp.MustCompile(`(?i)^\(?\s*(?:not\s+)?[a-z_]\w*\(|^\([\w\s+*/.-]+\)\s*[-+*/<>=!]`)
	// Formulas of spreadsheets.
	formula      = regexp.MustCompile(`^=[A-Z][A-Z.]+\(`)
	functionName = regexp.MustCompile(`(?i)filter|where|expr|formula|^fn$|\bfunc|calc|equation|jql|cql`)
	// Fields that are made for conditions: anywhere else a column in front is
	// what an attacker puts there.
	conditionName = regexp.MustCompile(`(?i)filter|where|expr|jql|cql|query|condition|constraint|^q$|search`)
	// Names and values like a form's, in a cookie.
	fieldList = regexp.MustCompile(`^[A-Za-z_][\w.-]*=[\w%+.,:()*~!/-]*(?:&[A-Za-z_][\w.-]*=[\w%+.,:()*~!/-]*){2,}$`)
	// The names of fields that hold a pattern to compare with.
	patternName = regexp.MustCompile(`(?i)(pattern|regexp?)\]?$`)
	// The names of fields that hold code as it was written, to be shown.
	codeName = regexp.MustCompile(`(?i)(^|[.\[])(code|source|snippet|paste)\]?$`)
	// Statements of SQL in lines of their own, the first one whole.
	sqlScript = regexp.MustCompile(`(?is)^\s*(?:--[^\n]*\n\s*)*(?:begin|start\s+transaction|alter\s+table|create\s+\w+|insert\s+into|update\s+\S+\s+set|select|with|drop\s+table)\b[^;]*;[ \t\r]*\n`)
	// A whole query, in a parameter that is made for one.
	queryName  = regexp.MustCompile(`(?i)(^|[._\[-])(q|query|sql|soql|tq|stmt|statement)\]?$`)
	wholeQuery = regexp.MustCompile(`(?is)^\s*select\s[\w\s.,()*"]{1,400}(?:\sfrom\s[\w."]+|\swhere\s)`)
	queryEnd   = regexp.MustCompile(`--|#|/\*|;`)
	// What ends a condition early belongs in none.
	conditionEnd = regexp.MustCompile(`--|#|/\*|;\s*[a-z]+\s+[a-z]|\bselect\b|\bunion\b`)
	// The beginning of documents of HTML and XML, and of pieces of them as
	// editors make them.
	markupStart = regexp.MustCompile(`(?i)^\s*<(!doctype|!--|\?xml|html|head|body|div|p|table|h[1-6]|ul|ol|section|article|figure|blockquote|span|iframe|svg|img|a|b|i|em|strong|br|hr|[a-z]\w*:[a-z]\w*)\b`)
	// A whole page, as the whole body. Texts of several lines are taken for
	// logs, too: no application has a form of them.
	page = regexp.MustCompile(`(?i)^\s*<(!doctype html|html)\b`)
	// Files that applications take as data URLs (RFC 2397), and that run
	// nowhere.
	blobForm = regexp.MustCompile(`^data:(?:image/(?:png|jpe?g|gif|webp|avif|bmp|heic|x-icon)|(?:audio|video|font)/[\w.+-]+|application/(?:pdf|octet-stream|zip))(?:;[\w=.-]+)*;base64,[A-Za-z0-9+/\s]*={0,2}$`)
	// Programs and queries begin with their own words; what breaks out begins
	// with a value or what ends one.
	breakOut = regexp.MustCompile(`^\s*(['");|&$` + "`" + `\]}]|-?\d+\s*['");|&]|-?\d+\s+(or|and|union)\b|<script|<\?|\{\{|\.\.|/etc/|%)`)
)

// longDocument is the length in bytes from which a field for code holds a
// program rather than a value.
const longDocument = 48

// writingOf tells what kind of text a value is.
func writingOf(s subject) writing {
	switch {
	case s.place == inTarget, s.place == inName:
		return token
	case passwordName.MatchString(s.name):
		return password
	case blobForm.MatchString(s.text):
		return blob
	case isData(s.text):
		return data
	case s.place == inHead && fieldList.MatchString(s.text):
		return fields
	case isGraphQL(s):
		return graphql
	case isPage(s):
		return program
	case len(s.text) >= longDocument/2 && s.place == inBody && markupStart.MatchString(s.text) && !codeName.MatchString(s.name):
		return markup
	case isSource(s) || isWholeQuery(s) || isSPARQL(s):
		return program
	case s.place == inHead:
		return token
	case s.place == inBody && patternName.MatchString(s.name):
		return prose
	case comparesValue.MatchString(s.text) && isCondition(s):
		return filter
	case isProse(s.text) || s.place == inBody && isRemark(s) || isSearch(s):
		return prose
	case s.place == inBody && isProgram(s):
		return program
	case s.place == inBody && isLong(s.text):
		return prose
	case isCondition(s):
		return filter
	case isPhrase(s.text):
		return phrase
	}
	return token
}

// comparesValue is what conditions have and sentences have not.
var comparesValue = regexp.MustCompile(`(?i)\s(?:[<>!]?=|[<>]|in)\s*(?:['"(\d]|true\b|false\b|null\b)`)

// isPage reports whether a whole body is a page, or a text of several lines.
func isPage(s subject) bool {
	if s.place != inBody || s.name != "" {
		return false
	}
	return page.MatchString(s.text) || len(s.text) >= longDocument && strings.Count(s.text, "\n") >= 3 && !breakOut.MatchString(lower(s.text))
}

// isSource reports whether a field of a body is made for code and has a page,
// or for documents as well and has a script of SQL.
func isSource(s subject) bool {
	switch {
	case s.place != inBody:
		return false
	case codeName.MatchString(s.name) || fileContent.MatchString(s.name):
		if isScriptOfPHP(s.text) {
			return true
		}
		if codeName.MatchString(s.name) {
			return markupStart.MatchString(s.text) && len(s.text) >= longDocument || sqlScript.MatchString(s.text)
		}
	}
	return (programName.MatchString(s.name) || documentName.MatchString(s.name)) && sqlScript.MatchString(s.text)
}

var (
	// fileContent are the names of fields of interfaces that take files.
	fileContent = regexp.MustCompile(`^json\.(?:files|actions)\.\d+\.content$`)
	// runsCommands is what a program of an intruder has.
	runsCommands = regexp.MustCompile("(?i)\\b(?:system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|eval|assert|create_function|call_user_func\\w*|base64_decode|gzinflate|str_rot13|preg_replace|move_uploaded_file|file_put_contents|fwrite|include|include_once|phpinfo)\\b|`|[)\\]]\\s*\\(|\\brequire(?:_once)?\\s*\\(?\\s*\\$|\\b(?:array_\\w+|u[ak]?sort|readfile|file_get_contents|file|fopen|highlight_file|show_source|copy|rename|unlink|unserialize|extract|ob_start|register_\\w+_function)\\s*\\(\\s*\\$_|\\$\\w+\\s*\\(|\\$_\\w+\\s*(?:\\[[^\\]]*\\]\\s*)?\\(")
)

// isScriptOfPHP reports whether a text is a program of PHP in lines, with
// nothing that runs commands or loads others.
func isScriptOfPHP(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), "<?php") && strings.Count(text, "\n") >= 2 && !runsCommands.MatchString(text)
}

// isWholeQuery reports whether a parameter that is made for one has a query
// from its beginning to its end.
func isWholeQuery(s subject) bool {
	return s.place == inQuery && queryName.MatchString(s.name) && wholeQuery.MatchString(s.text) && !queryEnd.MatchString(s.text)
}

// sparqlForm is a query of SPARQL from its beginning: prefixes, variables with
// question marks, and what they stand for in braces.
var sparqlForm = regexp.MustCompile(`(?is)^\s*(?:(?:prefix\s+[\w-]*:\s*<[^<>\s]*>|base\s+<[^<>\s]*>|#[^\n]*\n)\s*)*select\s+(?:distinct\s+|reduced\s+)?(?:(?:\?\w+|\*|\([^()]*(?:\([^()]*\)[^()]*)?\))\s+)+(?:from\s+<[^<>\s]*>\s+)*(?:where\s*)?\{.*\}[^{};'"]*$`)

// isSPARQL reports whether a field for queries has one of SPARQL.
func isSPARQL(s subject) bool {
	return lastName(s.name) == "query" && strings.Contains(s.text, "?") && sparqlForm.MatchString(s.text)
}

// sampleName is what browsers report of a script that they did not run.
var sampleName = regexp.MustCompile(`(?i)(script-|^json\.(?:.*\.)?)sample$`)

// statement is the beginning of a whole statement of SQL. An injection goes on
// with one that the application began.
var statement = regexp.MustCompile(`(?is)^\s*(select|insert into|update|delete from|with|create|alter)\s.{8,}`)

// humps are where a word of a name in camel case begins: rawSql.
var humps = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// isProgram reports whether a field of a body is made for code and has some: it
// begins as programs do, or has lines; in a field for documents, both.
func isProgram(s subject) bool {
	if breakOut.MatchString(lower(s.text)) {
		return false
	}
	if sampleName.MatchString(s.name) {
		return true
	}
	name := humps.ReplaceAllString(s.name, "${1}_$2")
	begins, lines := programStart.MatchString(s.text), strings.Count(s.text, "\n") >= 2
	switch {
	case documentName.MatchString(name):
		return begins && lines || statement.MatchString(s.text)
	case name == "", programName.MatchString(name), wholeCode.MatchString(name):
		return len(s.text) >= longDocument && (begins || lines) || name != "" && statement.MatchString(s.text)
	}
	return false
}

// isLong reports whether a text is a document by its size: an injection is one
// value and its break-out, seldom more than a line.
func isLong(text string) bool {
	return len(text) >= 96 && len(strings.Fields(text[:min(len(text), proseLooked)])) >= 8 && !breakOut.MatchString(lower(text))
}

// isData reports whether a text is a JSON object or array, or lines of them.
func isData(text string) bool {
	text = strings.TrimSpace(text)
	if len(text) <= 2 || (text[0] != '{' || text[1] == '{') && text[0] != '[' {
		return false
	}
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var one json.RawMessage
		switch err := d.Decode(&one); {
		case err == io.EOF:
			return true
		case err != nil || one[0] != '{' && one[0] != '[':
			return false
		}
	}
}

// isCondition reports whether a text is a whole condition of a filter
// language: its quotes are balanced and nothing ends it early.
func isCondition(s subject) bool {
	if !(conditionName.MatchString(s.name) && condition.MatchString(s.text) || functionName.MatchString(s.name) && function.MatchString(s.text) || formula.MatchString(s.text)) {
		return false
	}
	rest := quotedString.ReplaceAllString(s.text, "\x00")
	return !strings.ContainsAny(rest, `'"`) && !glued.MatchString(rest) && !conditionEnd.MatchString(lower(rest))
}

// glued is a string that stands directly at a word or at another string: its
// quotes are those of two others.
var glued = regexp.MustCompile(`\x00[\w\x00]|\w\x00`)

// quotedString is a string of a filter language, between quotes of its own.
var quotedString = regexp.MustCompile(`"[^"]*"|'(?:[^']|\'\')*'`)

func lower(text string) string { return strings.ToLower(text) }
