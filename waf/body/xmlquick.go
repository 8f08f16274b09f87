package body

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// quickXML reads the documents that programs write: well-formed, in UTF-8,
// names in ASCII, no document type. It finds what xmlReader finds in them,
// many times faster and without copying. ok is false for all others, which
// need not be at fault: xmlReader judges them.
func quickXML(text string, depth int) (attributes, texts []string, ok bool) {
	text, marked := strings.CutPrefix(text, "\ufeff")
	if !isXMLText(text) {
		return nil, nil, false
	}
	text, ok = cutDeclaration(text)
	q := quickReader{text: text, limit: depth}
	if marked {
		q.texts = append(q.texts, "\ufeff") // as the decoder has it
	}
	q.decoded.chunk = min(len(text), 4096)
	if !ok || !q.document() {
		return nil, nil, false
	}
	return q.attributes, q.texts, true
}

// isXMLText tells text that has only characters of XML 1.0 2.2.
func isXMLText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return utf8.ValidString(s) && !strings.Contains(s, "\ufffe") && !strings.Contains(s, "\uffff")
}

// cutDeclaration removes the XML declaration, if there is one. ok is false if
// it is not one of version 1.0 and UTF-8.
func cutDeclaration(text string) (rest string, ok bool) {
	declaration, found := strings.CutPrefix(text, "<?xml ")
	if !found {
		return text, true
	}
	declaration, rest, ok = strings.Cut(declaration, "?>")
	for n := 0; ok && strings.TrimLeft(declaration, xmlSpace) != ""; n++ {
		var name, value string
		name, value, declaration, ok = cutAttribute(declaration)
		switch {
		case !ok:
		case n == 0:
			ok = name == "version" && value == "1.0"
		case n == 1 && name == "encoding":
			ok = strings.EqualFold(value, "utf-8")
		default:
			ok = name == "standalone" && strings.TrimLeft(declaration, xmlSpace) == ""
		}
	}
	return rest, ok
}

const xmlSpace = " \t\r\n"

// cutAttribute takes name="value" off the beginning of s, with white space
// around the equals sign and before the name.
func cutAttribute(s string) (name, value, rest string, ok bool) {
	s = strings.TrimLeft(s, xmlSpace)
	n := xmlNameLength(s)
	if n == 0 {
		return "", "", s, false
	}
	name, s = s[:n], strings.TrimLeft(s[n:], xmlSpace)
	if s, ok = strings.CutPrefix(s, "="); !ok {
		return "", "", s, false
	}
	s = strings.TrimLeft(s, xmlSpace)
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", "", s, false
	}
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 {
		return "", "", s, false
	}
	value, rest = s[1:1+end], s[2+end:]
	// White space must separate it from the next.
	ok = rest == "" || strings.IndexByte(xmlSpace+"/>?", rest[0]) >= 0
	return name, value, rest, ok
}

// xmlNameLength is how long a name s begins with: ASCII, with one colon at
// most, not at an end.
func xmlNameLength(s string) int {
	start, colons := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_':
		case i > start && (isDigit(c) || c == '-' || c == '.'):
		case i > start && c == ':' && colons == 0:
			start, colons = i+1, 1
		case i == start || c == ':' || c >= utf8.RuneSelf:
			return 0
		default:
			return i
		}
	}
	return 0 // a name is never the last thing
}

// quickReader walks a document without its declaration. Its methods return
// false for what they leave to xmlReader.
type quickReader struct {
	text       string // what is not read yet
	limit      int    // of nesting
	open       []string
	names      []string // of the attributes of one element
	decoded    arena
	attributes []string
	texts      []string
}

func (q *quickReader) document() bool {
	roots := 0
	for {
		at := strings.IndexByte(q.text, '<')
		if at < 0 {
			return len(q.open) == 0 && roots == 1 && strings.Trim(q.text, xmlSpace) == ""
		}
		if !q.chars(q.text[:at]) {
			return false
		}
		q.text = q.text[at+1:]
		if len(q.open) == 0 && q.text != "" && q.text[0] != '!' && q.text[0] != '?' {
			roots++
		}
		if roots > 1 || !q.markup() {
			return false
		}
	}
}

// markup reads what follows an opening angle bracket.
func (q *quickReader) markup() (ok bool) {
	switch {
	case strings.HasPrefix(q.text, "/"):
		return q.end()
	case strings.HasPrefix(q.text, "!--"):
		_, q.text, ok = strings.Cut(q.text[3:], "--")
		if ok {
			q.text, ok = strings.CutPrefix(q.text, ">")
		}
		return ok
	case strings.HasPrefix(q.text, "![CDATA["):
		var s string
		s, q.text, ok = strings.Cut(q.text[len("![CDATA["):], "]]>")
		return ok && len(q.open) > 0 && q.keepText(s, false)
	case strings.HasPrefix(q.text, "?"):
		n := xmlNameLength(q.text[1:])
		if n == 0 || strings.EqualFold(q.text[1:1+n], "xml") || strings.IndexByte(xmlSpace+"?", q.text[1+n]) < 0 {
			return false
		}
		_, q.text, ok = strings.Cut(q.text[1+n:], "?>")
		return ok
	}
	return q.start()
}

// maxAttributes is how many attributes an element may have for quickXML.
const maxAttributes = 1024

// start reads a start tag, or one that is both.
func (q *quickReader) start() (ok bool) {
	n := xmlNameLength(q.text)
	if n == 0 || len(q.open) == q.limit {
		return false
	}
	name := q.text[:n]
	q.text = q.text[n:]
	if strings.IndexByte(xmlSpace+"/>", q.text[0]) < 0 {
		return false
	}
	q.names = q.names[:0]
	for {
		q.text = strings.TrimLeft(q.text, xmlSpace)
		switch {
		case strings.HasPrefix(q.text, ">"):
			q.text = q.text[1:]
			q.open = append(q.open, name)
			return distinct(q.names)
		case strings.HasPrefix(q.text, "/>"):
			q.text = q.text[2:]
			return distinct(q.names)
		}
		var attribute, value string
		attribute, value, q.text, ok = cutAttribute(q.text)
		if !ok || len(q.names) == maxAttributes || strings.IndexByte(value, '<') >= 0 {
			return false
		}
		if value, ok = q.decode(value, true); !ok {
			return false
		}
		q.names = append(q.names, attribute)
		q.attributes = append(q.attributes, value)
	}
}

// distinct tells that no name is there twice. It may sort them.
func distinct(names []string) bool {
	if len(names) > 1 {
		slices.Sort(names)
	}
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return false
		}
	}
	return true
}

// end reads an end tag.
func (q *quickReader) end() (ok bool) {
	if len(q.open) == 0 {
		return false
	}
	last := len(q.open) - 1
	if q.text, ok = strings.CutPrefix(q.text[1:], q.open[last]); !ok {
		return false
	}
	q.open = q.open[:last]
	q.text, ok = strings.CutPrefix(strings.TrimLeft(q.text, xmlSpace), ">")
	return ok
}

// chars reads text between tags.
func (q *quickReader) chars(s string) bool {
	if strings.Trim(s, xmlSpace) == "" {
		return true
	}
	return len(q.open) > 0 && !strings.Contains(s, "]]>") && q.keepText(s, true)
}

func (q *quickReader) keepText(s string, references bool) bool {
	s, ok := q.decode(s, references)
	if s = strings.TrimSpace(s); s != "" {
		q.texts = append(q.texts, s)
	}
	return ok
}

// decode makes line feeds of all line ends, and replaces references.
func (q *quickReader) decode(s string, references bool) (string, bool) {
	if strings.IndexByte(s, '\r') < 0 && !(references && strings.IndexByte(s, '&') >= 0) {
		return s, true
	}
	from := q.decoded.room(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\r':
			q.decoded.b.WriteByte('\n')
			if i+1 < len(s) && s[i+1] == '\n' {
				i++
			}
		case c == '&' && references:
			name, _, found := strings.Cut(s[i+1:min(len(s), i+12)], ";")
			r := reference(name)
			if !found || r < 0 {
				return "", false
			}
			q.decoded.b.WriteRune(r)
			i += len(name) + 1
		default:
			q.decoded.b.WriteByte(c)
		}
	}
	return q.decoded.since(from), true
}

// reference is the character that a reference stands for: one of the five
// entities every document has, or a number. It is -1 for others.
func reference(name string) rune {
	switch name {
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "amp":
		return '&'
	case "quot":
		return '"'
	case "apos":
		return '\''
	}
	digits, ok := strings.CutPrefix(name, "#")
	base := rune(10)
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	if !ok || digits == "" || len(digits) > 7 {
		return -1
	}
	r := rune(0)
	for i := range len(digits) {
		if c := digits[i]; !isHex(c) || rune(unhex(c)) >= base {
			return -1
		}
		r = r*base + rune(unhex(digits[i]))
	}
	// A reference is as long as what it stands for, or longer, so that the
	// room in the arena is enough.
	if !utf8.ValidRune(r) || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
		return -1
	}
	return r
}
