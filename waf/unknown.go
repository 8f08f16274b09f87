package waf

import (
	"fmt"
	"strconv"

	"gatehouse/config"
	"gatehouse/waf/azure"
)

// unknownRules finds the rules and groups that a policy names and that are
// not there: a misspelt exclusion must not pass for one.
func unknownRules(s *config.RuleSet) (errs []error) {
	known := map[int]bool{}
	for _, r := range managedRules() {
		known[r.ID] = true
	}
	for _, id := range []int{200002, 200003, 200004, 200009} {
		known[id] = true
	}
	set := azureSet(s)
	check := func(path string, rules []int, groups []string) {
		for _, id := range rules {
			if inSet := set != nil && setHas(set, id); !known[id] && !inSet {
				errs = append(errs, fmt.Errorf("ruleSet.%s: there is no rule %d", path, id))
			}
		}
		for _, g := range groups {
			if len(rulesOfGroup(g, nil)) == 0 && (set == nil || !groupInSet(set, g)) {
				errs = append(errs, fmt.Errorf("ruleSet.%s: there is no group %q; `appgw waf rules` lists them", path, g))
			}
		}
	}
	for i, o := range s.Overrides {
		if o.Rule != 0 {
			check(fmt.Sprintf("overrides[%d].rule", i), []int{o.Rule}, nil)
		} else {
			check(fmt.Sprintf("overrides[%d].group", i), nil, []string{o.Group})
		}
	}
	for i, x := range s.Exclusions {
		check(fmt.Sprintf("exclusions[%d]", i), x.Rules, x.Groups)
	}
	for i, x := range s.Exceptions {
		check(fmt.Sprintf("exceptions[%d]", i), x.Rules, x.Groups)
	}
	return errs
}

func setHas(set *azure.Set, id int) bool {
	_, ok := set.Rule(strconv.Itoa(id))
	return ok
}

func groupInSet(set *azure.Set, name string) bool {
	_, ok := set.Group(name)
	return ok
}
