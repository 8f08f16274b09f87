package body

import (
	"mime"
	"strings"
)

// looseNames is what a Content-Disposition that parsers may read differently
// says of a file: every name that one of them might use.
type looseNames struct {
	disposition
	other     string // what a parser without, or with other, precedence of filename* uses
	malformed bool   // not as RFC 6266 and RFC 8187 have it
	duplicate bool   // a parameter twice
	quoted    bool   // filename* in quotes
}

// looseDisposition reads a Content-Disposition of any kind. The library
// decodes filename* of two charsets only and tells nobody, so both file names
// are looked up in the text itself.
func looseDisposition(value string) (d looseNames) {
	_, params, err := mime.ParseMediaType(value)
	if err != nil {
		d.malformed = value != ""
		d.duplicate = d.malformed && hasParamTwice(value)
		return d
	}
	d.filename = params["filename"]
	pieces := hasPieces(value)
	extended, ok := looseValueOf(value, "filename*")
	switch {
	case ok:
		d.malformed = pieces
		d.extendLoosely(value, extended)
	case pieces:
		d.malformed = true
		if plain, ok := looseValueOf(value, "filename"); ok {
			plain, _ = unquote(plain)
			if d.filename != plain {
				d.other = d.filename
			}
			d.filename = plain
		}
	}
	return d
}

// extendLoosely takes filename* for the file's name, and filename for the
// other if it differs.
func (d *looseNames) extendLoosely(value, extended string) {
	extended, d.quoted = unquote(extended)
	parts := strings.SplitN(extended, "'", 3)
	if len(parts) < 3 {
		d.malformed = true
		return
	}
	d.extended, d.charset, d.language = true, parts[0], parts[1]
	name, whole := unpercent(parts[2])
	d.filename = name
	d.malformed = d.malformed || !whole
	if plain, ok := looseValueOf(value, "filename"); ok {
		if plain, _ = unquote(plain); plain != name {
			d.other = plain
		}
	}
}

// looseParams yields the parameters of a value, and its beginning up to the
// first semicolon if that has an equals sign: cut at semicolons that are not in
// quotes, names without white space.
func looseParams(value string, yield func(name, value string) bool) {
	quoted, start := false, 0
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && quoted:
			i++
		case value[i] == '"':
			quoted = !quoted
		case value[i] == ';' && !quoted:
			if !yieldParam(value[start:i], yield) {
				return
			}
			start = i + 1
		}
	}
	yieldParam(value[start:], yield)
}

func yieldParam(s string, yield func(name, value string) bool) bool {
	name, value, ok := strings.Cut(s, "=")
	return !ok || yield(strings.TrimSpace(name), strings.TrimSpace(value))
}

// looseValueOf is the first value of a parameter, quotes and all.
func looseValueOf(value, name string) (found string, ok bool) {
	looseParams(value, func(n, v string) bool {
		if strings.EqualFold(n, name) {
			found, ok = v, true
		}
		return !ok
	})
	return found, ok
}

// hasParamTwice reports a parameter that is there more than once.
func hasParamTwice(value string) (twice bool) {
	seen := map[string]bool{}
	looseParams(value, func(name, _ string) bool {
		name = strings.ToLower(name)
		twice = seen[name]
		seen[name] = true
		return !twice
	})
	return twice
}

// hasPieces reports a file name in numbered pieces (RFC 2231: filename*0=,
// filename*1*=), which few servers put together.
func hasPieces(value string) (pieces bool) {
	looseParams(value, func(name, _ string) bool {
		digits, ok := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(name, "*")), "filename*")
		pieces = ok && digits != "" && strings.Trim(digits, "0123456789") == ""
		return !pieces
	})
	return pieces
}

// unquote removes the quotes around s and the backslashes of its escapes.
func unquote(s string) (text string, quoted bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s, false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
