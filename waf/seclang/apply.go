package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Item is a rule, or a marker that skipAfter leads to.
type Item struct {
	Rule   *Rule  // nil for a marker
	Marker string // its name
}

// Apply returns the rules and markers that remain, in order, when the
// directives that change rules have been carried out, each on what stands
// before it: SecDefaultAction, SecRuleRemoveById, ByTag and ByMsg,
// SecRuleUpdateTargetById and ByTag, SecRuleUpdateActionById. Other directives
// are passed over, except some that are errors: Include, which cannot be
// followed here, SecRemoteRules, and SecRuleUpdateTargetByMsg and
// SecRuleScript, which Coraza would ignore.
//
// Rules have the actions of SecDefaultAction (log, auditlog, pass for phase 2,
// if there is none) before their own, and instead of block its disruptive
// action. The rules of the directives themselves are not changed.
//
// The error, if any, joins an *Error for everything that is wrong.
func Apply(directives []Directive) ([]Item, error) {
	s := ruleSet{ids: map[int]bool{}}
	s.defaults[2], _, _ = parseDefaults("phase:2,log,auditlog,pass")
	var errs []error
	for _, d := range directives {
		if err := s.apply(d); err != nil {
			errs = append(errs, &Error{d.File, d.Line, fmt.Errorf("%s: %w", d.Name, err)})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s.items, nil
}

// ruleSet is the rules so far.
type ruleSet struct {
	items    []Item
	ids      map[int]bool
	defaults [maxPhase + 1][]Action
}

func (s *ruleSet) apply(d Directive) error {
	switch d.Name {
	case "SecRule", "SecAction":
		return s.add(d.Rule)
	case "SecMarker":
		s.items = append(s.items, Item{Marker: d.Text})
	case "SecDefaultAction":
		list, phase, err := parseDefaults(d.Text)
		s.defaults[phase] = list
		return err
	case "Include":
		return errors.New("not followed: the files are to be given in their order")
	case "SecRuleUpdateTargetByMsg", "SecRuleScript", "SecRemoteRules":
		return errors.New("not supported")
	}
	if parse, ok := updates[d.Name]; ok {
		u, err := parse(d.Text)
		if err != nil {
			return err
		}
		return s.update(u)
	}
	return nil
}

// add adds a copy of a rule, with the default actions.
func (s *ruleSet) add(written *Rule) error {
	if s.ids[written.ID] {
		return fmt.Errorf("there is a rule %d already", written.ID)
	}
	r := *written
	if err := s.addDefaults(&r); err != nil {
		return err
	}
	r.Variables = slices.Clip(r.Variables)
	r.Chain = slices.Clone(r.Chain)
	for i := range r.Chain {
		link := &r.Chain[i]
		if err := s.addDefaults(link); err != nil {
			return err
		}
		link.Actions = withoutDisruptive(link.Actions)
		link.Phase, link.Disruptive, link.Allow, link.Redirect = r.Phase, "", "", ""
	}
	s.ids[r.ID] = true
	s.items = append(s.items, Item{Rule: &r})
	return nil
}

// addDefaults puts the default actions of the phase that the rule itself says
// before its own. In a link that is not the phase of its chain, as in Coraza.
func (s *ruleSet) addDefaults(r *Rule) error {
	if r.silent {
		return nil
	}
	phase := 2
	for _, a := range r.Actions {
		if a.Name == "phase" {
			phase, _ = parsePhase(a.Value) // it was read before
		}
	}
	if defaults := s.defaults[phase]; defaults != nil {
		r.Actions = merge(r.Actions, defaults)
	}
	return r.decode()
}

// merge gives the actions of a rule with those of SecDefaultAction.
func merge(own, defaults []Action) (list []Action) {
	var decision Action
	for _, a := range defaults {
		switch {
		case a.Name == "phase":
		case actions[a.Name].kind == disruptive:
			decision = a
		default:
			list = append(list, a)
		}
	}
	for _, a := range own {
		if a.Name != "block" {
			list = append(list, a)
		}
	}
	if !hasDisruptive(list) {
		list = append(list, decision)
	}
	return list
}

// parseDefaults reads the text of a SecDefaultAction: it has a phase, 1 to 5,
// and a disruptive action, and nothing that belongs to one rule.
func parseDefaults(text string) (list []Action, phase int, err error) {
	if list, err = splitActions(text); err != nil {
		return nil, 0, err
	}
	for _, a := range list {
		switch {
		case a.Name == "phase":
			if phase, err = parsePhase(a.Value); err != nil {
				return nil, 0, err
			}
		case actions[a.Name].kind == metadata || a.Name == "t" || a.Name == "chain":
			return nil, 0, fmt.Errorf("action %s belongs to one rule", a.Name)
		}
	}
	if phase == 0 || !hasDisruptive(list) {
		return nil, 0, errors.New("want a phase and a disruptive action (pass, deny, ...)")
	}
	return list, phase, (&Rule{Actions: list}).decode()
}

func withoutDisruptive(list []Action) []Action {
	return slices.DeleteFunc(slices.Clone(list), func(a Action) bool { return actions[a.Name].kind == disruptive })
}

// number reads a number that is not negative.
func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%.40q is not a number", text)
	}
	return n, nil
}

// idRange is the numbers of rules from first to last.
type idRange struct{ first, last int }

// parseRange reads 942100 or 942100-942199.
func parseRange(text string) (ids idRange, err error) {
	first, last, ok := strings.Cut(text, "-")
	if ids.first, err = positive(first); err != nil {
		return ids, err
	}
	if ids.last = ids.first; ok {
		ids.last, err = positive(last)
	}
	if err == nil && ids.first > ids.last {
		err = fmt.Errorf("range %s is empty", text)
	}
	return ids, err
}
