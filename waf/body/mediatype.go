package body

import (
	"strings"

	"gatehouse/waf/variables"
)

// KindOf tells how a body is read from the first Content-Type value of its
// message. The types that Coraza and its rules for body processors know are
// chosen as they choose, prefixes included; JSON and XML also under the other
// names that browsers and frameworks read them by. boundary is that of
// multipart/form-data. err is a *Refusal where the value is not one that all
// parsers read alike; kind is set all the same.
func KindOf(contentType string) (kind variables.Processor, boundary string, err error) {
	if contentType == "" {
		return variables.None, "", nil
	}
	m := mediaTypeOf(contentType)
	kind = kindOf(m.essence)
	if r := m.refusal(kind); r != nil {
		return kind, m.boundary, r
	}
	return kind, m.boundary, nil
}

func kindOf(essence string) variables.Processor {
	switch {
	case strings.HasPrefix(essence, "application/x-www-form-urlencoded"):
		return variables.URLEncoded
	case strings.HasPrefix(essence, "multipart/form-data"):
		return variables.Multipart
	case isJSON(essence):
		return variables.JSON
	case isXML(essence):
		return variables.XML
	}
	return variables.None
}

func isJSON(essence string) bool {
	switch essence {
	case "text/json", "text/x-json", "application/x-json", "application/csp-report":
		return true
	}
	return strings.HasPrefix(essence, "application/json") || strings.Contains(essence, "+json") || isLines(essence)
}

func isXML(essence string) bool {
	for _, known := range [...]string{"application/xml", "text/xml", "application/soap+xml"} {
		if strings.HasPrefix(essence, known) {
			return true
		}
	}
	return strings.HasSuffix(essence, "+xml")
}

// isLines tells the types that hold one JSON text after another.
func isLines(contentType string) bool {
	switch essenceOf(contentType) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
		"application/jsonlines", "application/json-seq", "text/x-ndjson":
		return true
	}
	return false
}

// essenceOf is the type and subtype of a Content-Type value, in lower case.
// Coraza removes all of Unicode's spaces around it, so that is done here.
func essenceOf(contentType string) string {
	essence, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(essence))
}

// mediaType is a Content-Type value.
type mediaType struct {
	essence  string // type/subtype, in lower case
	charset  string
	boundary string

	several       bool // a comma outside quotes
	spaced        bool // spaces around the type that only Unicode knows
	malformed     bool // not as RFC 9110 has it; what could be made out is in the fields
	charsetTwice  bool
	boundaryTwice bool
	starred       bool // a parameter in pieces or in a coding (RFC 2231)
}

func mediaTypeOf(contentType string) (m mediaType) {
	m.essence = essenceOf(contentType)
	m.several = strings.Contains(m.essence, ",")
	raw, rest, more := strings.Cut(contentType, ";")
	m.spaced = len(trimBlanks(raw)) != len(strings.TrimSpace(raw))
	for more && trimBlanks(rest) != "" {
		p, after, ok := cutParam(rest)
		if !ok {
			m.malformed = true
			p, after = looseParam(rest)
		}
		m.several = m.several || !p.quoted && strings.Contains(p.value, ",")
		m.add(p)
		rest = strings.TrimPrefix(after, ";")
	}
	return m
}

func (m *mediaType) add(p param) {
	switch {
	case strings.EqualFold(p.name, "charset"):
		m.charsetTwice = m.charsetTwice || m.charset != ""
		m.charset = p.value
	case strings.EqualFold(p.name, "boundary"):
		m.boundaryTwice = m.boundaryTwice || m.boundary != ""
		m.boundary = p.value
		m.malformed = m.malformed || p.escaped()
	case strings.Contains(p.name, "*"):
		m.starred = true
	}
}

// refusal judges the value for a body of some kind. What only RFC 9110
// forbids and no parser stumbles over is left to rules, but for multipart,
// whose boundary everything hangs on.
func (m mediaType) refusal(kind variables.Processor) *Refusal {
	switch {
	case m.several:
		return refuse(400, reasonTypeTwice)
	case m.charsetTwice:
		return refuse(400, reasonCharsetTwice)
	case m.boundaryTwice:
		return refuse(400, reasonBoundaryTwice)
	case m.charset != "" && !isReadCharset(m.charset):
		return refuse(415, reasonCharset)
	case m.spaced:
		return refuse(400, reasonType)
	case kind != variables.Multipart:
		return nil
	case m.malformed, m.starred, m.essence != "multipart/form-data":
		return refuse(400, reasonType)
	case !isBoundary(m.boundary):
		return refuse(400, reasonBoundary)
	}
	return nil
}

// isReadCharset tells the encodings in which ASCII is ASCII, which is what
// rules rely on.
func isReadCharset(charset string) bool {
	for _, known := range [...]string{"utf-8", "utf8", "iso-8859-1", "us-ascii", "windows-1252"} {
		if strings.EqualFold(charset, known) {
			return true
		}
	}
	return false
}

// isBoundary applies RFC 2046 5.1.1: 1 to 70 characters, the last not a space.
func isBoundary(s string) bool {
	if s == "" || len(s) > 70 || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("'()+_,-./:=? ", c) < 0 {
			return false
		}
	}
	return true
}
