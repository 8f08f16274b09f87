package l7

import (
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
func (m *PathMap) Find(path []byte) *Target {
	for i := range m.entries {
		e := &m.entries[i]
		if len(path) < len(e.text) || !e.prefix && len(path) != len(e.text) {
			continue
		}
		if httpmsg.EqualFold(path[:len(e.text)], e.text) {
			return e.target
		}
	}
	return m.rest
}
