package body

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"gatehouse/waf/variables"
)

// parseXML reads a document: the values of attributes into b.XMLAttributes,
// the texts between tags, without white space around, into b.XMLText.
//
// More than Coraza reads is read in three cases: documents in ISO-8859-1,
// which Coraza refuses, well-formed ones in which elements happen to be named
// as HTML's void elements are (the link of RSS), and what comes before the
// fault in a broken one.
func parseXML(b *variables.Body, text, contentType string, lim Limits) (refused *Refusal) {
	charset := mediaTypeOf(contentType).charset
	if charset == "" || strings.EqualFold(charset, "utf-8") {
		var ok bool
		if b.XMLAttributes, b.XMLText, ok = quickXML(text, lim.Depth); ok {
			return nil
		}
	}
	r := xmlReader{lim: lim, charset: charset, text: text}
	r.read(true)
	switch {
	case r.reason == "":
	case lim.Strict && r.reason == reasonXMLEncoding:
		return refuse(415, r.reason)
	case lim.Strict && r.reason == reasonXMLSize:
		return refuse(413, r.reason)
	case lim.Strict:
		return refuse(400, r.reason)
	default:
		r = xmlReader{lim: lim, text: text}
		r.read(false)
	}
	b.XMLAttributes, b.XMLText, b.Error = r.attributes, r.texts, r.reason
	return nil
}

// xmlReader walks a document once. reason says what is wrong with it.
type xmlReader struct {
	lim     Limits
	text    string
	charset string // that of the message, which overrides the document's
	label   string // the document's, where it is not UTF-8

	attributes []string
	texts      []string
	tokens     int
	depth      int
	roots      int
	begun      bool // something came that may only follow the XML declaration
	reason     string
}

func (r *xmlReader) fail(reason string) bool {
	r.reason = reason
	return false
}

// read walks the document. Not well-formed ones are read as Coraza reads
// them: as if they were HTML, and ended anywhere.
func (r *xmlReader) read(strict bool) {
	if hasLongTag(r.text) {
		r.fail(reasonXMLSize)
		return
	}
	d := xml.NewDecoder(strings.NewReader(r.text))
	d.CharsetReader = r.decoder
	if d.Strict = strict; !strict {
		d.AutoClose, d.Entity = xml.HTMLAutoClose, xml.HTMLEntity
	}
	for {
		token, err := d.Token()
		if err != nil {
			r.end(err, strict)
			return
		}
		if strict && !r.wellFormed(token) || !r.keep(token) {
			return
		}
		if r.tokens++; r.tokens > maxXMLTokens {
			r.fail(reasonXMLSize)
			return
		}
	}
}

// The decoder needs a hundred times the memory of a tag that is all
// attributes, and a microsecond for each token. What quickXML cannot read is
// therefore limited.
const (
	maxXMLTag    = 64 << 10 // bytes
	maxXMLTokens = 64 << 10
)

// hasLongTag reports a tag of more than maxXMLTag bytes. Comments and CDATA
// sections are none.
func hasLongTag(text string) bool {
	for {
		at := strings.IndexByte(text, '<')
		if at < 0 {
			return false
		}
		text = text[at+1:]
		end := strings.IndexByte(text, '>')
		if end < 0 {
			end = len(text)
		}
		if end > maxXMLTag && text[0] != '!' {
			return true
		}
		text = text[end:]
	}
}

// end judges the error with which the tokens ended.
func (r *xmlReader) end(err error, strict bool) {
	var syntax *xml.SyntaxError
	switch {
	case r.reason != "": // the encoding, which is the cause
	case err == io.EOF && !strict:
	case err == io.EOF && r.roots == 1:
		r.checkCharset()
	case !strict && errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
	default:
		r.fail(reasonXMLSyntax)
	}
}

// keep takes over what rules look at.
func (r *xmlReader) keep(token xml.Token) bool {
	switch t := token.(type) {
	case xml.StartElement:
		if r.depth++; r.depth > r.lim.Depth {
			return r.fail(reasonXMLDepth)
		}
		for i := range t.Attr {
			r.attributes = append(r.attributes, t.Attr[i].Value)
		}
	case xml.EndElement:
		r.depth--
	case xml.CharData:
		if s := strings.TrimSpace(string(t)); s != "" {
			r.texts = append(r.texts, s)
		}
	}
	return true
}

// wellFormed judges what the library lets pass, and what it has no reason to
// forbid: document types declare entities, and parsers differ in which.
func (r *xmlReader) wellFormed(token xml.Token) bool {
	first := !r.begun
	r.begun = true
	switch t := token.(type) {
	case xml.Directive:
		return r.fail(reasonXMLDirective)
	case xml.ProcInst:
		if strings.EqualFold(t.Target, "xml") && !first {
			return r.fail(reasonXMLSyntax)
		}
	case xml.StartElement:
		if r.depth == 0 {
			r.roots++
		}
		if attributeTwice(t.Attr) {
			return r.fail(reasonXMLAttribute)
		}
	case xml.CharData:
		if first && string(t) == "\ufeff" {
			r.begun = false
		} else if r.depth == 0 && strings.Trim(string(t), " \t\r\n") != "" && !(first && isMarked(string(t))) {
			return r.fail(reasonXMLSyntax)
		}
	}
	return true
}

// isMarked tells a byte order mark with white space after it.
func isMarked(s string) bool {
	return strings.Trim(strings.TrimPrefix(s, "\ufeff"), " \t\r\n") == ""
}

func attributeTwice(attrs []xml.Attr) bool {
	if len(attrs) > 8 {
		seen := make(map[xml.Name]bool, len(attrs))
		for i := range attrs {
			seen[attrs[i].Name] = true
		}
		return len(seen) < len(attrs)
	}
	for i := range attrs {
		for j := range i {
			if attrs[i].Name == attrs[j].Name {
				return true
			}
		}
	}
	return false
}

// checkCharset refuses a document of which message and declaration say
// different encodings.
func (r *xmlReader) checkCharset() {
	isUTF8 := strings.EqualFold(r.charset, "utf-8") || strings.EqualFold(r.charset, "utf8")
	switch {
	case r.charset == "", strings.EqualFold(r.charset, r.label):
	case isUTF8 && r.label == "":
	case !isUTF8 && isASCII(r.text):
	default:
		r.fail(reasonXMLEncoding)
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decoder reads documents that say they are in ISO-8859-1 or ASCII, a part of
// it.
func (r *xmlReader) decoder(label string, in io.Reader) (io.Reader, error) {
	if !strings.EqualFold(label, "iso-8859-1") && !strings.EqualFold(label, "us-ascii") {
		r.fail(reasonXMLEncoding)
		return nil, errors.New(reasonXMLEncoding)
	}
	r.label = label
	return &latin1{in: in}, nil
}

// latin1 makes UTF-8 of ISO-8859-1.
type latin1 struct {
	in    io.Reader
	raw   [512]byte
	ready []byte // of text, what is not read yet
	text  [1024]byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.ready) == 0 {
		n, err := l.in.Read(l.raw[:])
		l.ready = l.text[:0]
		for _, c := range l.raw[:n] {
			l.ready = utf8.AppendRune(l.ready, rune(c))
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}
