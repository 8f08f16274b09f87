package body

import "strings"

// disposition is the Content-Disposition of a part.
type disposition struct {
	name     string
	filename string // that of filename*, if there is one
	extended bool   // there is a filename* (RFC 8187)
	charset  string // of filename*, as sent
	language string // of filename*, mostly empty
}

// maxParams is how many parameters a Content-Disposition may have. Browsers
// send two.
const maxParams = 8

// parseDisposition reads a value that all parsers read alike: form-data, a
// name, and perhaps a file name. reason says why it is not such a value.
func parseDisposition(value string) (d disposition, reason string) {
	kind, rest, more := strings.Cut(value, ";")
	if !strings.EqualFold(trimBlanks(kind), "form-data") {
		return d, reasonDisposition
	}
	var params [maxParams]param
	n := 0
	for more {
		p, after, ok := cutParam(rest)
		if !ok || n == maxParams {
			return d, reasonDisposition
		}
		for _, other := range params[:n] {
			if strings.EqualFold(p.name, other.name) {
				return d, reasonParamTwice
			}
		}
		params[n] = p
		n++
		_, rest, more = strings.Cut(after, ";")
	}
	return d, d.set(params[:n])
}

// set takes the parameters over.
func (d *disposition) set(params []param) (reason string) {
	plain, extended := "", ""
	hasPlain := false
	for _, p := range params {
		if p.escaped() {
			return reasonQuoting
		}
		switch {
		case strings.EqualFold(p.name, "name"):
			d.name = p.value
		case strings.EqualFold(p.name, "filename"):
			plain, hasPlain = p.value, true
		case strings.EqualFold(p.name, "filename*") && !p.quoted:
			extended, d.extended = p.value, true
		case strings.Contains(p.name, "*"):
			return reasonContinuation
		}
	}
	switch {
	case d.name == "":
		return reasonPartName
	case strings.EqualFold(d.name, "_charset_"):
		return reasonCharsetPart
	case strings.Contains(d.name, "=?") || strings.Contains(plain, "=?"):
		return reasonEncodedWord
	}
	d.filename = plain
	if !d.extended {
		return ""
	}
	if !d.extend(extended) {
		return reasonFilename
	}
	if hasPlain && plain != d.filename {
		return reasonTwoFilenames
	}
	return ""
}

// extend reads the value of filename*: charset'language'percent-encoded.
func (d *disposition) extend(value string) bool {
	parts := strings.SplitN(value, "'", 3)
	if len(parts) < 3 || !strings.EqualFold(parts[0], "utf-8") && !strings.EqualFold(parts[0], "iso-8859-1") {
		return false
	}
	d.charset, d.language = parts[0], parts[1]
	name, whole := unpercent(parts[2])
	d.filename = name
	return whole && !hasControl(name) && !strings.Contains(name, "\t")
}

// unpercent decodes percent-encodings and leaves what is none. whole is false
// if there was such.
func unpercent(s string) (decoded string, whole bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	whole = true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
		} else if i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		} else {
			b.WriteByte('%')
			whole = false
		}
	}
	return b.String(), whole
}
