// Package azure knows the managed rule sets of Azure's web application
// firewall: which rules each has, in which groups, and which rules of the
// OWASP Core Rule Set 4.25, or of this package, stand for them here.
//
// A policy keeps Azure's identifiers; a Set translates them. What has no
// equivalent is in its Report. The tables hold what Microsoft publishes for
// Application Gateway ("DRS and CRS rule groups and rules"); the rules that
// Microsoft wrote itself are not published, and those of this package (Rules)
// are written from what is public about the same attacks.
package azure

import (
	"slices"
	"strings"
)

// Set is one version of a managed rule set.
type Set struct {
	Name    string // as in ruleSetType: OWASP, Microsoft_DefaultRuleSet, ...
	Version string // as in ruleSetVersion: 3.2
	// Paranoia is the highest level whose rules are on by default, 1 or 2;
	// 0 for sets without levels.
	Paranoia int
	Rules    []Rule
}

// Rule is a rule of a set.
type Rule struct {
	ID       string // as in ruleId: 942100, Bot100100
	Group    string // as in ruleGroupName
	Paranoia int    // level, 1 to 4; 0 in sets without levels
	Enabled  bool   // by default
	Severity Severity
	Action   Action // by default
}

// Severity is what a match adds to the anomaly score. Rules of the Core Rule
// Set have severities of their own, up to three points away.
type Severity uint8

const (
	Unscored Severity = 0 // of rules that act by themselves, such as those for bots
	Notice   Severity = 2
	Warning  Severity = 3
	Error    Severity = 4
	Critical Severity = 5
)

// String is the severity's name in Azure's documentation.
func (s Severity) String() string {
	switch s {
	case Notice:
		return "Notice"
	case Warning:
		return "Warning"
	case Error:
		return "Error"
	case Critical:
		return "Critical"
	}
	return ""
}

// Action is what a match does where no override says otherwise.
type Action uint8

const (
	AnomalyScoring Action = iota
	Block
	Log
	Allow
)

// String is the action's name in Azure's configuration.
func (a Action) String() string {
	return [...]string{"AnomalyScoring", "Block", "Log", "Allow"}[min(a, Allow)]
}

// Sets returns all sets, new ones of a kind first.
func Sets() []*Set {
	return []*Set{drs22(), drs21(), owasp32(), bots11(), bots10(), ddos10()}
}

// Find returns the set of that name, whose case does not matter, and version.
func Find(name, version string) (*Set, bool) {
	for _, s := range Sets() {
		if strings.EqualFold(s.Name, name) && s.Version == version {
			return s, true
		}
	}
	return nil, false
}

// Rule returns the rule of that identifier. Those for bots are known with and
// without the letters in front.
func (s *Set) Rule(id string) (Rule, bool) {
	for _, r := range s.Rules {
		if r.ID == id || strings.TrimPrefix(r.ID, "Bot") == id {
			return r, true
		}
	}
	return Rule{}, false
}

// CRS returns the rules that stand for one of the set's: identifiers of the
// Core Rule Set, of Coraza's recommended configuration (2000xx), or of Rules.
// There may be none. The note says why, or how they differ; it is empty where
// the rule is the same. If the set has no such rule, ok is false.
func (s *Set) CRS(id string) (ids []int, note string, ok bool) {
	r, ok := s.Rule(id)
	if !ok {
		return nil, "", false
	}
	t := translate(r.ID)
	return t.ids, t.notice(r), true
}

// Group returns the rules of a group, by the set's name for it or any that
// FindGroup knows.
func (s *Set) Group(name string) ([]Rule, bool) {
	var list []Rule
	g, known := FindGroup(name)
	for _, r := range s.Rules {
		if strings.EqualFold(r.Group, name) || known && g.named(r.Group) {
			list = append(list, r)
		}
	}
	return list, len(list) > 0
}

// IDs returns what stands for the rules of a group, each once, ascending.
func (s *Set) IDs(group string) (ids []int, ok bool) {
	list, ok := s.Group(group)
	return union(list), ok
}

// Split says which rules are needed when those of the set are on for which on
// holds: active stand for at least one of them; inactive stand for rules of
// the set too, but for none that is on. Both are ascending. With on nil it is
// the set's default that counts.
func (s *Set) Split(on func(Rule) bool) (active, inactive []int) {
	if on == nil {
		on = func(r Rule) bool { return r.Enabled }
	}
	active = union(slices.DeleteFunc(slices.Clone(s.Rules), func(r Rule) bool { return !on(r) }))
	inactive = slices.DeleteFunc(union(s.Rules), func(id int) bool {
		_, found := slices.BinarySearch(active, id)
		return found
	})
	return active, inactive
}

func union(rules []Rule) []int {
	var ids []int
	for _, r := range rules {
		ids = append(ids, translate(r.ID).ids...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Note is how a rule differs from what stands for it.
type Note struct {
	Rule Rule
	IDs  []int  // empty: nothing stands for it
	Text string // why, or how they differ
}

// Report lists the rules of the set that have no equivalent, or not quite.
func (s *Set) Report() []Note {
	var notes []Note
	for _, r := range s.Rules {
		t := translate(r.ID)
		if text := t.notice(r); text != "" {
			notes = append(notes, Note{r, t.ids, text})
		}
	}
	return notes
}
