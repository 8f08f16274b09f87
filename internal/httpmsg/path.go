package httpmsg

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// PathOptions choose among readings of a path that backends may differ in.
type PathOptions struct {
	// KeepEncodedSlash keeps %2F as it is, a part of its segment. Otherwise
	// it is refused.
	KeepEncodedSlash bool
	// KeepDuplicateSlashes keeps // as it is. Otherwise it becomes /.
	KeepDuplicateSlashes bool
}

// Reasons for which a path is refused.
var (
	errPathStart     = errors.New("path does not begin with a slash")
	errPathByte      = errors.New("byte in path that may not be there")
	errPathPercent   = errors.New("bad percent-encoding in path")
	errPathControl   = errors.New("encoded control character in path")
	errPathBackslash = errors.New("backslash in path")
	errPathSlash     = errors.New("encoded slash in path")
	errPathUTF8      = errors.New("encoded bytes in path are not UTF-8")
	errPathDots      = errors.New("disguised dot segment in path")
	errPathClimbs    = errors.New("path climbs above its root")
)

// CanonicalPath makes the one form of a path that is matched and forwarded,
// so that the gateway and the backend cannot mean different things (hostile-
// input rows 51 to 56). If raw has that form already, path is raw and same is
// true; otherwise path is dst with the form appended.
//
// Percent-encoded unreserved characters (RFC 3986 2.3) are decoded, once; all
// other encodings stay, with capital digits. Then dot segments are removed and
// duplicate slashes merged. A percent sign that is itself encoded stays so: a
// backend that decodes twice is not served by decoding once more here.
//
// Refused is what has no place in an honest path, or is understood
// differently from server to server: backslashes and controls, raw or
// encoded; bytes outside visible ASCII; bad percent-encodings and those of
// bytes that are not UTF-8, overlong forms among them; dot segments dressed up
// with parameters ("..;x", which Tomcat takes for "..") or beside an encoded
// slash; parameters in place of a segment ("/;x/a", which Tomcat takes for
// "/a"), save at the end, where Java puts session ids; and more ".." than
// segments. RFC 3986 5.2.4 would drop the latter, but no client sends them
// (each resolves dots itself), so it is an attempt on a file system.
func CanonicalPath(dst, raw []byte, o PathOptions) (path []byte, same bool, err error) {
	if len(raw) == 0 || raw[0] != '/' {
		return dst, false, errPathStart
	}
	if isCanonical(raw, o.KeepDuplicateSlashes) {
		return raw, true, nil
	}
	from := len(dst)
	path, err = appendCanonical(dst, raw, o)
	if err != nil {
		return dst, false, err
	}
	if bytes.Equal(path[from:], raw) {
		return raw, true, nil
	}
	return path, false, nil
}

// isCanonical reports whether a look at each byte and the next one suffices to
// see that a path is canonical.
func isCanonical(raw []byte, duplicates bool) bool {
	last := byte('/')
	for _, c := range raw[1:] {
		if !pathPlain[c] && (c != '/' || last == '/' && !duplicates) {
			return false
		}
		if last == '/' && (c == '.' || c == ';') {
			return false
		}
		last = c
	}
	return true
}

// pathPlain are the bytes that stand for themselves in any place of a path
// but the beginning of a segment.
var pathPlain = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = bytes.IndexByte([]byte(`/%\?#`), byte(c)) < 0
	}
	return t
}()

// appendCanonical is CanonicalPath for paths that need more than a look.
func appendCanonical(dst, raw []byte, o PathOptions) ([]byte, error) {
	from := len(dst)
	for more := true; more; {
		segment := raw[1:]
		end := bytes.IndexByte(segment, '/')
		if more = end >= 0; more {
			segment, raw = segment[:end], segment[end:]
		}
		start := len(dst)
		var err error
		if dst, err = appendSegment(append(dst, '/'), segment, o.KeepEncodedSlash); err != nil {
			return nil, err
		}
		if err := checkSegment(dst[start+1:], more, o.KeepEncodedSlash); err != nil {
			return nil, err
		}
		if dst, err = settle(dst, from, start, more, o.KeepDuplicateSlashes); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// settle decides what becomes of the segment at dst[start:], slash included;
// the path begins at from. With more to come, a segment that goes takes its
// slash along; as the last one it leaves it.
func settle(dst []byte, from, start int, more, duplicates bool) ([]byte, error) {
	switch segment := dst[start+1:]; {
	case len(segment) == 0 && (duplicates || !more), len(segment) > 2:
		return dst, nil
	case len(segment) == 0, string(segment) == ".":
		dst = dst[:start]
	case string(segment) == "..":
		parent := bytes.LastIndexByte(dst[from:start], '/')
		if parent < 0 {
			return nil, errPathClimbs
		}
		dst = dst[:from+parent]
	default:
		return dst, nil
	}
	if !more {
		dst = append(dst, '/')
	}
	return dst, nil
}

// appendSegment appends a segment with its percent-encodings made canonical.
func appendSegment(dst, b []byte, encodedSlash bool) ([]byte, error) {
	for len(b) > 0 {
		switch c := b[0]; {
		case pathPlain[c]:
			dst = append(dst, c)
			b = b[1:]
		case c == '%':
			n, err := encoded(b, encodedSlash)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				c, _ := unpercent(b)
				dst = append(dst, c)
				b = b[3:]
			}
			for range n {
				dst = append(dst, '%', capital(b[1]), capital(b[2]))
				b = b[3:]
			}
		case c == '\\':
			return nil, errPathBackslash
		default:
			return nil, errPathByte
		}
	}
	return dst, nil
}

// encoded judges the percent-encoded character that b begins with: how many
// bytes of it stay encoded, 0 for an unreserved one.
func encoded(b []byte, slash bool) (n int, err error) {
	c, ok := unpercent(b)
	switch {
	case !ok:
		return 0, errPathPercent
	case isUnreserved(c):
		return 0, nil
	case c < ' ' || c == 0x7f:
		return 0, errPathControl
	case c == '\\':
		return 0, errPathBackslash
	case c == '/' && !slash:
		return 0, errPathSlash
	case c < utf8.RuneSelf:
		return 1, nil
	}
	if n = encodedRune(b); n == 0 {
		return 0, errPathUTF8
	}
	return n, nil
}

// unpercent decodes the percent-encoded byte that b begins with.
func unpercent(b []byte) (c byte, ok bool) {
	if len(b) < 3 || b[0] != '%' || unhex[b[1]] < 0 || unhex[b[2]] < 0 {
		return 0, false
	}
	return byte(unhex[b[1]])<<4 | byte(unhex[b[2]]), true
}

// encodedRune is the number of percent-encoded bytes of the character that b
// begins with; 0 if they are not valid UTF-8.
func encodedRune(b []byte) int {
	var char [utf8.UTFMax]byte
	n := 0
	for n < len(char) {
		c, ok := unpercent(b[3*n:])
		if !ok {
			break
		}
		char[n] = c
		n++
	}
	r, size := utf8.DecodeRune(char[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

func isUnreserved(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// capital is a hexadecimal digit in upper case.
func capital(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 'A'
	}
	return c
}

// checkSegment refuses a segment that some server takes for "." or ".." or
// for none. Its percent-encodings are canonical.
func checkSegment(b []byte, more, encodedSlash bool) error {
	bare := withoutParams(b)
	if len(bare) < len(b) && (isDots(bare) || len(bare) == 0 && more) {
		return errPathDots
	}
	if !encodedSlash {
		return nil
	}
	slash := []byte("%2F")
	for at := bytes.Index(b, slash); at >= 0; at = bytes.Index(b, slash) {
		if isDots(withoutParams(b[:at])) || isDots(withoutParams(b[at+len(slash):])) {
			return errPathDots
		}
		b = b[at+len(slash):]
	}
	return nil
}

// withoutParams is the segment up to its first parameter.
func withoutParams(b []byte) []byte {
	if at := ParamsAt(b); at >= 0 {
		return b[:at]
	}
	return b
}

// ParamsAt is where in a canonical path the parameters of a segment begin: the
// first semicolon, encoded or not, or -1. Java servers take "/a;x/b" for
// "/a/b", others take it as it is (RFC 3986 3.3 leaves it to them).
func ParamsAt(path []byte) int {
	plain, encoded := bytes.IndexByte(path, ';'), bytes.Index(path, []byte("%3B"))
	if plain < 0 || encoded >= 0 && encoded < plain {
		return encoded
	}
	return plain
}

func isDots(b []byte) bool { return string(b) == "." || string(b) == ".." }
