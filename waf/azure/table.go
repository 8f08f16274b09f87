package azure

import "strings"

// table is a set as it is written down.
type table struct {
	groups []group
	// disabled are rules that are off although their level is on.
	disabled string
	notice   string
	warning  string
	err      string
	log      string // rules whose action is to log
}

// group is a group's rules by paranoia level, identifiers with blanks between.
type group struct {
	name               string
	pl1, pl2, pl3, pl4 string
}

// set makes rules of the table: those up to the paranoia level are on.
func (t table) set(name, version string, paranoia int) *Set {
	s := &Set{Name: name, Version: version, Paranoia: paranoia}
	for _, g := range t.groups {
		for i, ids := range []string{g.pl1, g.pl2, g.pl3, g.pl4} {
			for id := range strings.FieldsSeq(ids) {
				r := Rule{ID: id, Group: g.name, Paranoia: i + 1, Severity: t.severity(id)}
				r.Enabled = r.Paranoia <= paranoia && !listed(t.disabled, id)
				if listed(t.log, id) {
					r.Action = Log
				}
				s.Rules = append(s.Rules, r)
			}
		}
	}
	return s
}

func (t table) severity(id string) Severity {
	switch {
	case listed(t.notice, id):
		return Notice
	case listed(t.warning, id):
		return Warning
	case listed(t.err, id):
		return Error
	}
	return Critical
}

// listed reports whether an identifier is in a list with blanks between.
func listed(list, id string) bool {
	for v := range strings.FieldsSeq(list) {
		if v == id {
			return true
		}
	}
	return false
}

// acting makes a set of rules without levels and scores.
func acting(name, version string, groups map[Action]group, order ...Action) *Set {
	s := &Set{Name: name, Version: version}
	for _, a := range order {
		for id := range strings.FieldsSeq(groups[a].pl1) {
			s.Rules = append(s.Rules, Rule{ID: id, Group: groups[a].name, Enabled: true, Action: a})
		}
	}
	return s
}
