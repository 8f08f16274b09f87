package waf

import (
	"slices"
	"strconv"

	"gatehouse/config"
	"gatehouse/waf/azure"
)

// ruleChange is what becomes of a managed rule that is not as the rule set has
// it.
type ruleChange uint8

const (
	ruleKept    ruleChange = iota
	ruleOff                // left out
	ruleLogged             // without its score
	ruleBlocks             // blocks by itself
	ruleEnabled            // on although it is above the paranoia level
)

// ruleChanges are the changes by rule, in numbers of the Core Rule Set.
type ruleChanges map[int]ruleChange

// changesOf works out what a policy changes: the rules that its Azure set does
// not have or has switched off, then overrides of groups, then of rules.
func changesOf(s *config.RuleSet) ruleChanges {
	changes := ruleChanges{}
	set := azureSet(s)
	switch {
	case set != nil:
		changes.restrict(set, s)
	case s.Profile == config.ProfileCRS:
		for _, id := range azure.RuleIDs() { // no rules but the Core Rule Set's
			changes[id] = ruleOff
		}
	}
	for _, o := range orderedOverrides(s) {
		for _, id := range overridden(&o, set) {
			switch {
			case o.State == config.OverrideDisabled || o.Action == config.OverrideOff:
				changes[id] = ruleOff
			case o.Action == config.OverrideLog:
				changes[id] = ruleLogged
			case o.Action == config.OverrideBlock:
				changes[id] = ruleBlocks
			case o.State == config.OverrideEnabled:
				changes[id] = ruleEnabled
			default:
				delete(changes, id)
			}
		}
	}
	return changes
}

// restrict leaves out what an Azure set does not have on by default, and
// switches on what it has on below the level that the Core Rule Set gives it.
func (c ruleChanges) restrict(set *azure.Set, s *config.RuleSet) {
	active, _ := set.Split(func(r azure.Rule) bool { return r.Enabled && r.Paranoia <= s.Paranoia })
	has := map[int]bool{}
	for _, id := range active {
		has[id] = true
	}
	for _, d := range managedRules() {
		switch id := d.ID; {
		case !has[id]:
			c[id] = ruleOff
		case levelOf(d.Tags) > s.Paranoia:
			c[id] = ruleEnabled
		}
	}
}

// azureSet is the Azure rule set that a policy names; nil for the Core Rule
// Set itself.
func azureSet(s *config.RuleSet) *azure.Set {
	if s.Name == config.RuleSetCRS {
		return nil
	}
	set, ok := azure.Find(s.Name.String(), s.Version)
	if !ok {
		return nil
	}
	return set
}

// orderedOverrides are the overrides with those of groups first: that of a
// rule wins.
func orderedOverrides(s *config.RuleSet) []config.RuleOverride {
	list := slices.Clone(s.Overrides)
	slices.SortStableFunc(list, func(a, b config.RuleOverride) int { return min(a.Rule, 1) - min(b.Rule, 1) })
	return list
}

// overridden are the rules that an override is about. An Azure set's numbers
// are translated; so are its groups.
func overridden(o *config.RuleOverride, set *azure.Set) []int {
	switch {
	case o.Rule != 0 && set != nil:
		if ids, _, ok := set.CRS(strconv.Itoa(o.Rule)); ok {
			return ids
		}
		return []int{o.Rule}
	case o.Rule != 0:
		return []int{o.Rule}
	case set != nil:
		if ids, ok := set.IDs(o.Group); ok {
			return ids
		}
	}
	return rulesOfGroup(o.Group)
}

// rulesOfGroup are the managed rules of a group, by any of its names.
func rulesOfGroup(name string) (ids []int) {
	g, ok := azure.FindGroup(name)
	if !ok {
		return nil
	}
	for _, r := range managedRules() {
		if g.From <= r.ID && r.ID <= g.To {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// groupOf is the name of a rule's group.
func groupOf(id int) string {
	if g, ok := azure.GroupOf(id); ok {
		return g.Short
	}
	return "other"
}

// rangeOfGroup is a group as a range of numbers; empty when there is no such
// group.
func rangeOfGroup(name string) string {
	if g, ok := azure.FindGroup(name); ok {
		return strconv.Itoa(g.From) + "-" + strconv.Itoa(g.To)
	}
	return ""
}

// azureNotes say what a policy asks for in the name of an Azure set and gets
// otherwise, or not at all.
func azureNotes(s *config.RuleSet) (notes []string) {
	set := azureSet(s)
	if set == nil {
		return nil
	}
	for _, n := range set.Report() {
		if n.Rule.Enabled {
			notes = append(notes, set.Name+" "+set.Version+" rule "+n.Rule.ID+": "+n.Text)
		}
	}
	return notes
}
