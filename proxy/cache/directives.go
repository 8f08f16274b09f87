package cache

import (
	"math"

	"gatehouse/internal/httpmsg"
)

// Directive is one or several of the cache directives of RFC 9111 5.2 and RFC
// 5861.
type Directive uint32

// The directives that are known; those with a number have it in Directives.
const (
	NoStore Directive = 1 << iota
	NoCache           // without field names
	Private           // without field names
	Public
	MustRevalidate
	ProxyRevalidate
	MustUnderstand
	OnlyIfCached
	MaxAge
	SMaxAge
	MaxStale
	MinFresh
	StaleWhileRevalidate
	StaleIfError
)

// known returns a directive by its name; 0 is every other.
func known(name []byte) Directive {
	for i := range directiveNames {
		if httpmsg.EqualFold(name, directiveNames[i]) {
			return 1 << i
		}
	}
	return 0
}

// directiveNames are in the order of the constants.
var directiveNames = [...]string{"no-store", "no-cache", "private", "public", "must-revalidate", "proxy-revalidate", "must-understand",
	"only-if-cached", "max-age", "s-maxage", "max-stale", "min-fresh", "stale-while-revalidate", "stale-if-error"}

// permits are the directives that let a response be used more: one that is
// malformed does not count.
const permits = Public | MustUnderstand | MaxAge | SMaxAge | MaxStale | StaleWhileRevalidate | StaleIfError

// number is where the number of a directive is; nil if it has none.
func (d *Directives) number(of Directive) *int64 {
	switch of {
	case MaxAge:
		return &d.MaxAge
	case SMaxAge:
		return &d.SMaxAge
	case MaxStale:
		return &d.MaxStale
	case MinFresh:
		return &d.MinFresh
	case StaleWhileRevalidate:
		return &d.StaleWhileRevalidate
	case StaleIfError:
		return &d.StaleIfError
	}
	return nil
}

// maxSeconds is what larger numbers of seconds count as (RFC 9111 1.2.2).
const maxSeconds = math.MaxInt32

// maxNamed bounds the directives with field names; with more of them than that
// none counts as if it had any.
const maxNamed = 4

// Directives are what Cache-Control fields say. The zero value says nothing.
// Numbers are seconds, and valid only if Has says that they are there.
type Directives struct {
	set Directive

	MaxAge, SMaxAge, MaxStale, MinFresh, StaleWhileRevalidate, StaleIfError int64

	named  [maxNamed][]byte // lists of fields of no-cache and private: pieces of what was parsed
	nNamed int
}

// Has reports whether one of some directives is there.
func (d *Directives) Has(any Directive) bool { return d.set&any != 0 }

// Ignore forgets some directives.
func (d *Directives) Ignore(any Directive) { d.set &^= any }

// said reports whether there is any that is known.
func (d *Directives) said() bool { return d.set != 0 || d.nNamed > 0 }

// Names reports whether a field is one that no-cache or private names: it must
// not be stored.
func (d *Directives) Names(field string) bool {
	for _, list := range d.named[:d.nNamed] {
		for elem, rest, ok := httpmsg.NextElement(list); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			if httpmsg.EqualFold(elem, field) {
				return true
			}
		}
	}
	return false
}

// Add parses one field line, and reports whether all of it was well formed. Of
// what is not, restrictions count and permissions do not: a number that is none
// is 0, so that the response is stale (RFC 9111 4.2.1).
func (d *Directives) Add(value []byte) (wellFormed bool) {
	wellFormed = true
	for len(value) > 0 {
		if c := value[0]; c == ',' || c == ' ' || c == '\t' {
			value = value[1:]
			continue
		}
		var a argument
		name, rest := token(value)
		a, value = argumentOf(rest)
		if len(name) == 0 {
			a.malformed = true
		}
		wellFormed = d.take(known(name), a) && wellFormed
	}
	return wellFormed
}

// take adds a directive.
func (d *Directives) take(is Directive, a argument) (wellFormed bool) {
	switch at := d.number(is); {
	case at != nil:
		return d.takeNumber(is, at, a)
	case is&(NoCache|Private) != 0 && a.given && !a.malformed && len(httpmsg.TrimSpace(a.text)) > 0 && d.nNamed < maxNamed:
		d.named[d.nNamed] = a.text
		d.nNamed++
	case !a.malformed || is&permits == 0:
		d.set |= is
	}
	return !a.malformed
}

// takeNumber adds a directive with a number. Of two, the one counts that lets
// the response be used less.
func (d *Directives) takeNumber(is Directive, at *int64, a argument) (wellFormed bool) {
	n, ok := seconds(a)
	switch {
	case is == MaxStale && !a.given && !a.malformed:
		n, ok = maxSeconds, true // of any age
	case !ok && is&(MaxStale|MinFresh) != 0:
		return false // a client's wish that cannot be read
	}
	switch {
	case d.set&is == 0:
		*at = n
	case is&permits != 0:
		*at = min(*at, n)
	default:
		*at = max(*at, n)
	}
	d.set |= is
	return ok
}

// seconds reads a number of seconds; 0 if it is none.
func seconds(a argument) (n int64, ok bool) {
	if !a.given || a.malformed || len(a.text) == 0 {
		return 0, false
	}
	for _, c := range a.text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), maxSeconds)
	}
	return n, true
}

// argument is what follows the name of a directive.
type argument struct {
	text      []byte // without quotes
	given     bool
	malformed bool // or something is between it and the next comma
}

// argumentOf takes an argument and what is left up to the next directive.
func argumentOf(b []byte) (a argument, rest []byte) {
	if len(b) > 0 && b[0] == '=' {
		a.given = true
		if b = b[1:]; len(b) > 0 && b[0] == '"' {
			a.text, b, a.malformed = quoted(b[1:])
		} else {
			a.text, b = token(b)
			a.malformed = len(a.text) == 0
		}
	}
	for len(b) > 0 && b[0] != ',' {
		if b[0] != ' ' && b[0] != '\t' {
			a.malformed = true
		}
		b = b[1:]
	}
	return a, b
}

// quoted takes a quoted string, whose first quote is gone. No directive needs
// an escape: one with any is not understood.
func quoted(b []byte) (text, rest []byte, malformed bool) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			malformed = true
			i++
		case '"':
			return b[:i], b[i+1:], malformed
		}
	}
	return nil, nil, true
}

// token takes a token (RFC 9110 5.6.2), which may be empty.
func token(b []byte) (tok, rest []byte) {
	n := 0
	for n < len(b) && isTokenByte(b[n]) {
		n++
	}
	return b[:n], b[n:]
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		return true
	case c <= ' ', c >= 0x7f:
		return false
	}
	switch c {
	case '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}', '"':
		return false
	}
	return true
}

// DirectivesOf reads what a request says: its Cache-Control, or, where there is
// none, Pragma (RFC 9111 5.4).
func DirectivesOf(f *httpmsg.Fields) (d Directives) {
	said, pragma := false, false
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		switch {
		case !ok || id != httpmsg.Other:
		case httpmsg.EqualFold(name, "cache-control"):
			d.Add(value)
			said = true
		case httpmsg.EqualFold(name, "pragma"):
			pragma = pragma || httpmsg.HasToken(value, "no-cache")
		}
	}
	if pragma && !said {
		d.set |= NoCache
	}
	return d
}
