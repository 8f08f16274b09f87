package l7

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"gatehouse/internal/httpmsg"
)

// PathMap chooses a target by canonical path, and by what its rules want of
// a request besides: the first pattern in listed order that matches, without
// regard to case (Azure: URL path map).
type PathMap struct {
	entries  []pathEntry
	rest     *Target
	specific bool // the most specific entries come first
}

type pathEntry struct {
	text   string
	prefix bool // the pattern ended in *
	match  *Match
	target *Target
}

// NewPathMap makes a map with the target for what no pattern matches.
func NewPathMap(rest *Target) *PathMap { return &PathMap{rest: rest} }

// Add appends a pattern: it starts with / and may end in *. A nil match wants
// nothing besides.
func (m *PathMap) Add(pattern string, match *Match, t *Target) {
	text, prefix := strings.CutSuffix(pattern, "*")
	m.entries = append(m.entries, pathEntry{text, prefix, match, t})
}

// MostSpecificFirst puts the patterns into the order of the Gateway API
// (HTTPRouteRule): exact paths, then the longest, then those that want a
// method, then more fields, then more parameters; then as listed.
func (m *PathMap) MostSpecificFirst() {
	m.specific = true
	slices.SortStableFunc(m.entries, func(a, b pathEntry) int {
		exact := func(e pathEntry) int { return map[bool]int{false: 0, true: 1}[e.prefix] }
		return cmp.Or(exact(a)-exact(b), len(b.text)-len(a.text), b.match.wants(wantsMethod)-a.match.wants(wantsMethod),
			b.match.wants(wantsFields)-a.match.wants(wantsFields), b.match.wants(wantsQuery)-a.match.wants(wantsQuery))
	})
}

// Find returns the target for a request with a canonical path. trusted says
// that its forwarding fields are believed.
//
// A path with parameters ("/a;x/b") is one thing to Java servers, which take it
// for "/a/b", and another to the rest. Where the two lead to different targets
// the path is ambiguous, and must not be let past the rules of one by being
// read as the other.
func (m *PathMap) Find(q *httpmsg.Request, path []byte, trusted bool) (t *Target, ambiguous bool) {
	t = m.rest
	for i := range m.entries {
		if e := &m.entries[i]; e.matches(path) && e.match.holds(q, trusted) {
			t = e.target
			break
		}
	}
	if httpmsg.ParamsAt(path) < 0 {
		return t, false
	}
	return t, m.findBare(q, path, trusted) != t
}

func (e *pathEntry) matches(path []byte) bool {
	if len(path) < len(e.text) || !e.prefix && len(path) != len(e.text) {
		return false
	}
	return httpmsg.EqualFold(path[:len(e.text)], e.text)
}

// findBare is the target for a path without the parameters of its segments.
func (m *PathMap) findBare(q *httpmsg.Request, path []byte, trusted bool) *Target {
	for i := range m.entries {
		if e := &m.entries[i]; e.matchesBare(path) && e.match.holds(q, trusted) {
			return e.target
		}
	}
	return m.rest
}

// matchesBare is matches for a path without the parameters of its segments.
func (e *pathEntry) matchesBare(path []byte) bool {
	text := e.text
	for len(path) > 0 {
		bare, params := path, []byte(nil)
		if at := httpmsg.ParamsAt(path); at >= 0 {
			bare, params = path[:at], path[at:]
		}
		n := min(len(bare), len(text))
		if !httpmsg.EqualFold(bare[:n], text[:n]) {
			return false
		}
		text = text[n:]
		if text == "" && (e.prefix || len(bare) > n) {
			return e.prefix
		}
		next := bytes.IndexByte(params, '/')
		if next < 0 {
			break
		}
		path = params[next:]
	}
	return text == ""
}
