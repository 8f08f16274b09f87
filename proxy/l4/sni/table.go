package sni

import (
	"fmt"
	"strings"
)

// Route is what some server names lead to.
type Route struct {
	// Patterns are host names, and *.suffix for the names with exactly one
	// label more than suffix; in any case, with or without a dot at the end.
	Patterns []string
	// Index is what Lookup returns.
	Index int
}

// Table finds the route of a server name. It does not change any more, and
// any goroutine may use it. The zero Table has no routes.
type Table struct {
	exact     map[string]int
	wildcards map[string]int // by suffix
}

// NewTable makes a table. Of two equal patterns the first counts. The error
// names a pattern that is none.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{exact: map[string]int{}, wildcards: map[string]int{}}
	for _, r := range routes {
		for _, p := range r.Patterns {
			name, wildcard := strings.CutPrefix(strings.TrimSuffix(lower([]byte(p)), "."), "*.")
			if !isName(name) {
				return nil, fmt.Errorf("server name %q: want a host name, or *. and a host name", p)
			}
			m := t.exact
			if wildcard {
				m = t.wildcards
			}
			if _, ok := m[name]; !ok {
				m[name] = r.Index
			}
		}
	}
	return t, nil
}

// Lookup returns the index of a name that Parse has found: of the route that
// has the very name, else of the one whose wildcard covers it. A wildcard
// stands for one label, so that there is only one that can.
func (t *Table) Lookup(name string) (index int, ok bool) {
	if i, ok := t.exact[name]; ok {
		return i, true
	}
	label, suffix, _ := strings.Cut(name, ".")
	if label == "" {
		return 0, false
	}
	index, ok = t.wildcards[suffix]
	return index, ok
}
