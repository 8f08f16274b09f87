package waf

import (
	"maps"
	"slices"
	"strconv"

	"gatehouse/config"
	"gatehouse/waf/azure"
)

// ruleChange is what becomes of a managed rule that is not as the rule set has
// it.
type ruleChange uint8

const (
	ruleOff     ruleChange = 1 << iota // left out
	ruleLogged                         // without its score
	ruleBlocks                         // blocks by itself
	ruleEnabled                        // on although it is above the paranoia level
)

// is reports whether a change is of that kind, among others.
func (c ruleChange) is(kind ruleChange) bool { return c&kind != 0 }

// override is what an override makes of a rule that the rule set has as c.
func (c ruleChange) override(o *config.RuleOverride) ruleChange {
	if o.State == config.OverrideDisabled || o.Action == config.OverrideOff {
		return ruleOff
	}
	if o.State == config.OverrideEnabled {
		c = c&^ruleOff | ruleEnabled
	}
	switch o.Action {
	case config.OverrideLog:
		c |= ruleLogged
	case config.OverrideBlock:
		c |= ruleBlocks
	}
	return c
}

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
	asTheSetHasThem := maps.Clone(changes)
	for _, o := range orderedOverrides(s) {
		for _, id := range overridden(&o, set) {
			changes[id] = asTheSetHasThem[id].override(&o)
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

// overridden are the rules that an override is about.
func overridden(o *config.RuleOverride, set *azure.Set) []int {
	if o.Rule != 0 {
		return rulesOf(o.Rule, set)
	}
	return rulesOfGroup(o.Group, set)
}

// rulesOf are the rules that stand for a number in a policy: where it names an
// Azure set that has such a rule, those that the rule is translated to.
func rulesOf(id int, set *azure.Set) []int {
	if set != nil {
		if ids, _, ok := set.CRS(strconv.Itoa(id)); ok {
			return ids
		}
	}
	return []int{id}
}

// rulesOfGroup are the managed rules of a group, by any of its names; in a
// policy that names an Azure set, those that the set's rules are translated to.
func rulesOfGroup(name string, set *azure.Set) (ids []int) {
	if set != nil {
		if ids, ok := set.IDs(name); ok {
			return ids
		}
	}
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
