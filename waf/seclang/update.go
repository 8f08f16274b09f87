package seclang

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// update is a change of rules that stand before it.
type update struct {
	ids       []idRange
	tag, msg  string // if there are no ids, which rules: those with the tag, or with the message
	remove    bool
	variables []Variable
	actions   []Action
}

// updates has the directives that change rules.
var updates = map[string]func(text string) (update, error){
	"SecRuleRemoveById":        parseRemoveByID,
	"SecRuleRemoveByTag":       parseRemoveByTag,
	"SecRuleRemoveByMsg":       parseRemoveByMsg,
	"SecRuleUpdateTargetById":  parseTargetByID,
	"SecRuleUpdateTargetByTag": parseTargetByTag,
	"SecRuleUpdateActionById":  parseActionByID,
}

var errEmpty = errors.New("nothing follows")

func parseRemoveByID(text string) (u update, err error) {
	u.remove = true
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return u, errEmpty
	}
	u.ids, err = parseRanges(fields)
	return u, err
}

func parseRemoveByTag(text string) (update, error) {
	if text == "" {
		return update{}, errEmpty
	}
	return update{remove: true, tag: text}, nil
}

func parseRemoveByMsg(text string) (update, error) {
	if text == "" {
		return update{}, errEmpty
	}
	return update{remove: true, msg: text}, nil
}

func parseTargetByID(text string) (u update, err error) {
	last := ""
	if u.ids, last, err = rangesAndLast(text, "VARIABLES"); err == nil {
		u.variables, err = parseVariables(last)
	}
	return u, err
}

func parseTargetByTag(text string) (u update, err error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return u, errors.New("want a tag and VARIABLES, both without blanks")
	}
	u.tag = strings.Trim(fields[0], `"`)
	u.variables, err = parseVariables(strings.Trim(fields[1], `"`))
	return u, err
}

func parseActionByID(text string) (u update, err error) {
	last := ""
	if u.ids, last, err = rangesAndLast(text, "actions"); err != nil {
		return u, err
	}
	if u.actions, err = splitActions(last); err != nil {
		return u, err
	}
	for _, a := range u.actions {
		if a.Name == "id" || a.Name == "chain" {
			return u, fmt.Errorf("action %s cannot be changed", a.Name)
		}
	}
	return u, (&Rule{Actions: u.actions}).decode()
}

// rangesAndLast reads numbers of rules and what follows them. Coraza takes the
// last word for that, and nothing after the first number that is not a range.
func rangesAndLast(text, what string) (ids []idRange, last string, err error) {
	fields := strings.Fields(text)
	n := len(fields) - 1
	if n < 1 {
		return nil, "", fmt.Errorf("want numbers of rules and %s, these without blanks", what)
	}
	if ids, err = parseRanges(fields[:n]); err != nil {
		return nil, "", err
	}
	for i := range ids[:n-1] {
		if ids[i].first == ids[i].last {
			return nil, "", fmt.Errorf("only rule %d would be changed: use a directive for each", ids[i].first)
		}
	}
	return ids, strings.Trim(fields[n], `"`), nil
}

func parseRanges(fields []string) (list []idRange, err error) {
	for _, f := range fields {
		ids, err := parseRange(f)
		if err != nil {
			return nil, err
		}
		list = append(list, ids)
	}
	return list, nil
}

// concerns reports whether a rule is one of those that an update changes.
func (u *update) concerns(r *Rule) bool {
	switch {
	case len(u.ids) > 0:
		return slices.ContainsFunc(u.ids, func(ids idRange) bool { return ids.first <= r.ID && r.ID <= ids.last })
	case u.tag != "":
		return slices.Contains(r.Tags, u.tag)
	}
	return r.Msg == u.msg
}

// update changes rules. Rules of a chain after the first are never concerned.
func (s *ruleSet) update(u update) error {
	if u.remove {
		s.items = slices.DeleteFunc(s.items, func(i Item) bool {
			gone := i.Rule != nil && u.concerns(i.Rule)
			if gone {
				delete(s.ids, i.Rule.ID)
			}
			return gone
		})
		return nil
	}
	for _, ids := range u.ids {
		if ids.first == ids.last && !s.ids[ids.first] {
			return fmt.Errorf("there is no rule %d before this", ids.first)
		}
	}
	for _, item := range s.items {
		if r := item.Rule; r != nil && u.concerns(r) {
			if err := r.change(u); err != nil {
				return err
			}
		}
	}
	return nil
}

// change adds the variables and actions of an update to those of a rule. A
// disruptive action takes the place of the one that the rule has.
func (r *Rule) change(u update) error {
	r.Variables = slices.Concat(r.Variables, u.variables)
	if len(u.actions) == 0 {
		return nil
	}
	if hasDisruptive(u.actions) {
		r.Actions = withoutDisruptive(r.Actions)
	}
	r.Actions = slices.Concat(r.Actions, u.actions)
	return r.decode()
}
