package body

import (
	"net/textproto"
	"strconv"
	"strings"

	"gatehouse/waf/variables"
)

const (
	maxPartHeaders    = 32
	maxPartHeaderSize = 8 << 10
)

// parseMultipart reads multipart/form-data: fields into b.ArgsPost, what is
// known of files into the other collections.
func parseMultipart(b *variables.Body, contentType, text string, lim Limits) (truncated bool, refused *Refusal) {
	m := mediaTypeOf(contentType)
	r := partReader{b: b, delimiter: "--" + m.boundary, lim: lim}
	if m.refusal(variables.Multipart) == nil {
		r.read(text)
	} else {
		r.reason = reasonBoundary // Strict has refused it already
	}
	switch {
	case r.reason == "":
		return false, nil
	case lim.Strict && r.reason == reasonParts:
		return false, refuse(413, r.reason)
	case lim.Strict:
		return false, refuse(400, r.reason)
	}
	*b = variables.Body{Processor: b.Processor}
	return looseMultipart(b, contentType, text, lim), nil
}

// partReader reads a body that keeps to the letter of RFC 2046 and RFC 7578,
// as what browsers and libraries send does. reason is why one does not.
type partReader struct {
	b         *variables.Body
	delimiter string // "--" and the boundary
	lim       Limits
	reason    string
}

func (r *partReader) fail(reason string) bool {
	r.reason = reason
	return false
}

// read takes a body apart at its delimiters. Each must be a line of its own
// that ends in CRLF: some parsers find others too, and a piece of content that
// looks like one would be a part to them.
func (r *partReader) read(text string) bool {
	text = strings.TrimPrefix(text, "\r\n") // an empty preamble; some clients send it
	rest, ok := strings.CutPrefix(text, r.delimiter)
	if !ok {
		return r.fail(reasonPreamble)
	}
	for n := 0; ; n++ {
		if end, ok := strings.CutPrefix(rest, "--"); ok {
			if end != "" && end != "\r\n" {
				return r.fail(reasonEpilogue)
			}
			return true
		}
		if rest, ok = strings.CutPrefix(rest, "\r\n"); !ok {
			return r.fail(reasonDelimiter)
		}
		if n == r.lim.Parts {
			return r.fail(reasonParts)
		}
		at := strings.Index(rest, r.delimiter)
		if at < 0 {
			return r.fail(reasonUnfinished)
		}
		part, ok := strings.CutSuffix(rest[:at], "\r\n")
		if !ok {
			return r.fail(reasonDelimiter)
		}
		if !r.part(part) {
			return false
		}
		rest = rest[at+len(r.delimiter):]
	}
}

// part reads what is between two delimiters.
func (r *partReader) part(text string) bool {
	head, content, ok := strings.Cut(text, "\r\n\r\n")
	if !ok || len(head) > maxPartHeaderSize {
		return r.fail(reasonPartHeader)
	}
	value, ok := r.headers(head)
	if !ok {
		return false
	}
	d, reason := parseDisposition(value)
	if reason != "" {
		return r.fail(reason)
	}
	for line := range strings.SplitSeq(head, "\r\n") {
		r.b.PartHeaders = append(r.b.PartHeaders, variables.Pair{Name: d.name, Value: headerLine(line)})
	}
	r.b.PartNames = append(r.b.PartNames, variables.Pair{Name: d.name, Value: d.name})
	r.b.FilesCombinedSize += len(content)
	if d.extended {
		r.b.FilenameCharsets = append(r.b.FilenameCharsets, variables.Pair{Name: d.name, Value: d.charset})
		r.b.FilenameLanguages = append(r.b.FilenameLanguages, variables.Pair{Name: d.name, Value: d.language})
	}
	if d.filename == "" {
		r.b.ArgsPost = append(r.b.ArgsPost, variables.Pair{Name: d.name, Value: content})
		return true
	}
	r.b.PartFilenames = append(r.b.PartFilenames, variables.Pair{Name: d.name, Value: d.filename})
	r.b.Files = append(r.b.Files, d.filename)
	r.b.FileFields = append(r.b.FileFields, d.name)
	addSize(r.b, d.filename, len(content))
	return true
}

// addSize keeps the size of a file. Names differ in case or they are one, and
// of one name only the last size is kept: FILES_SIZES is such a map in Coraza.
func addSize(b *variables.Body, filename string, size int) {
	p := variables.Pair{Name: filename, Value: strconv.Itoa(size)}
	lower := strings.ToLower(filename)
	for i, have := range b.FileSizes {
		// Folding alone takes more letters for one than lowering does.
		if strings.EqualFold(have.Name, lower) && strings.ToLower(have.Name) == lower {
			b.FileSizes[i] = p
			return
		}
	}
	b.FileSizes = append(b.FileSizes, p)
}

// headers judges the header lines of a part and returns its
// Content-Disposition.
func (r *partReader) headers(head string) (disposition string, ok bool) {
	var names [maxPartHeaders]string
	n := 0
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || n == len(names) || name == "" || tokenLength(name) < len(name) || hasControl(value) {
			return "", r.fail(reasonPartHeader)
		}
		for _, other := range names[:n] {
			if strings.EqualFold(name, other) {
				return "", r.fail(reasonHeaderTwice)
			}
		}
		names[n] = name
		n++
		value = trimBlanks(value)
		if strings.EqualFold(name, "Content-Disposition") {
			disposition = value
		} else if reason := oddPartHeader(name, value); reason != "" {
			return "", r.fail(reason)
		}
	}
	return disposition, true
}

// oddPartHeader says why a header makes a part one that parsers take
// differently.
func oddPartHeader(name, value string) (reason string) {
	switch {
	case strings.EqualFold(name, "Content-Transfer-Encoding"):
		for _, plain := range [...]string{"7bit", "8bit", "binary"} {
			if strings.EqualFold(value, plain) {
				return ""
			}
		}
		return reasonTransfer
	case strings.EqualFold(name, "Content-Type"):
		m := mediaTypeOf(value)
		switch {
		case strings.HasPrefix(m.essence, "multipart/"):
			return reasonNested
		case m.charsetTwice, m.several, m.charset != "" && !isReadCharset(m.charset):
			return reasonPartCharset
		}
	}
	return ""
}

// hasControl reports control characters other than tabs: bare CR and LF and
// NUL among them.
func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// headerLine is a header line as MULTIPART_PART_HEADERS has it: the name in
// its canonical form, a colon and a space, the value without blanks around.
func headerLine(line string) string {
	name, value, _ := strings.Cut(line, ":")
	value = trimBlanks(value)
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if at := len(name) + 2; canonical == name && len(line) >= at && line[at:] == value && line[at-1] == ' ' {
		return line
	}
	return canonical + ": " + value
}
