package l7

import (
	"bytes"
	"strings"

	"gatehouse/internal/httpmsg"
)

// PathMap chooses a target by canonical path: the first pattern in listed
// order that matches, without regard to case (Azure: URL path map).
type PathMap struct {
	entries []pathEntry
	rest    *Target
}

type pathEntry struct {
	text   string
	prefix bool // the pattern ended in *
	target *Target
}

// NewPathMap makes a map with the target for what no pattern matches.
func NewPathMap(rest *Target) *PathMap { return &PathMap{rest: rest} }

// Add appends a pattern: it starts with / and may end in *.
func (m *PathMap) Add(pattern string, t *Target) {
	text, prefix := strings.CutSuffix(pattern, "*")
	m.entries = append(m.entries, pathEntry{text, prefix, t})
}

// Find returns the target for a canonical path.
//
// A path with parameters ("/a;x/b") is one thing to Java servers, which take it
// for "/a/b", and another to the rest. Where the two lead to different targets
// the path is ambiguous, and must not be let past the rules of one by being
// read as the other.
func (m *PathMap) Find(path []byte) (t *Target, ambiguous bool) {
	t = m.rest
	for i := range m.entries {
		if e := &m.entries[i]; e.matches(path) {
			t = e.target
			break
		}
	}
	if httpmsg.ParamsAt(path) < 0 {
		return t, false
	}
	return t, m.findBare(path) != t
}

func (e *pathEntry) matches(path []byte) bool {
	if len(path) < len(e.text) || !e.prefix && len(path) != len(e.text) {
		return false
	}
	return httpmsg.EqualFold(path[:len(e.text)], e.text)
}

// findBare is the target for a path without the parameters of its segments.
func (m *PathMap) findBare(path []byte) *Target {
	for i := range m.entries {
		if e := &m.entries[i]; e.matchesBare(path) {
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
