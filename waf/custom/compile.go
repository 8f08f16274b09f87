package custom

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Bounds of what Compile takes. Azure's are lower: 100 rules, 600 prefixes
// and 10 texts in a condition.
const (
	MaxRules        = 1000
	MaxConditions   = 100   // of a rule
	MaxTransforms   = 20    // of a condition
	MaxPrefixes     = 10000 // of a condition
	MaxEqual        = 10000 // values of an Equal
	MaxTexts        = 1000  // values of another operator on texts or numbers: each is searched for by itself
	MaxText         = 4096  // bytes of a value
	MaxInstructions = 2000  // of an expression: its time for a text is at worst the product of this and the text's length
)

// Set is compiled rules in order of priority. It never changes, and any
// number of Evaluations may use it.
type Set struct {
	rules []compiled
	body  bool
}

// compiled is an enabled rule.
type compiled struct {
	rule       *Rule
	index      int
	conditions []condition
}

// condition is a Condition with its operator made. Of the two operators one
// is nil, except for Any.
type condition struct {
	*Condition
	text    operator
	address addressOperator
	body    bool // looks at the body, among others
}

// Compile checks and compiles rules. Its error lists all that is wrong, each
// with the rule's name. The rules must not be changed afterwards.
func Compile(rules []Rule) (*Set, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%d custom rules, more than %d", len(rules), MaxRules)
	}
	errs := unique(rules)
	s := &Set{}
	for i := range rules {
		r := &rules[i]
		c, err := compileRule(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("custom rule %s: %w", abbreviated(r.Name), err))
		}
		if r.Disabled {
			continue
		}
		s.rules = append(s.rules, compiled{rule: r, index: i, conditions: c})
		s.body = s.body || slices.ContainsFunc(c, func(c condition) bool { return c.body })
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortStableFunc(s.rules, func(a, b compiled) int { return cmp.Compare(a.rule.Priority, b.rule.Priority) })
	return s, nil
}

// unique refuses two rules of one name, or of one priority: which went first
// would be chance.
func unique(rules []Rule) (errs []error) {
	names, priorities := map[string]bool{}, map[int]string{}
	for _, r := range rules {
		if names[r.Name] {
			errs = append(errs, fmt.Errorf("two custom rules named %s", abbreviated(r.Name)))
		}
		if other, taken := priorities[r.Priority]; taken {
			errs = append(errs, fmt.Errorf("custom rules %s and %s both have priority %d", abbreviated(other), abbreviated(r.Name), r.Priority))
		}
		names[r.Name], priorities[r.Priority] = true, r.Name
	}
	return errs
}

func compileRule(r *Rule) ([]condition, error) {
	switch {
	case r.Name == "" || len(r.Name) > 128:
		return nil, fmt.Errorf("its name has %d bytes, want 1 to 128", len(r.Name))
	case r.Action > JSChallenge:
		return nil, fmt.Errorf("unknown action %d", r.Action)
	case r.RateLimit && r.Action == JSChallenge:
		return nil, errors.New("a rate limit cannot challenge")
	case r.RateLimit && r.Action == Allow:
		return nil, errors.New("a rate limit cannot allow what is over it")
	case len(r.Conditions) == 0 || len(r.Conditions) > MaxConditions:
		return nil, fmt.Errorf("%d conditions, want 1 to %d", len(r.Conditions), MaxConditions)
	}
	list := make([]condition, len(r.Conditions))
	for i := range r.Conditions {
		var err error
		if list[i], err = compileCondition(&r.Conditions[i]); err != nil {
			return nil, fmt.Errorf("condition %d: %s: %w", i+1, r.Conditions[i].Operator, err)
		}
	}
	return list, nil
}

func compileCondition(c *Condition) (condition, error) {
	out := condition{Condition: c}
	var err error
	if out.text, out.address, err = c.operators(); err != nil {
		return out, err
	}
	if len(c.Variables) == 0 || len(c.Variables) > MaxConditions {
		return out, fmt.Errorf("%d variables, want 1 to %d", len(c.Variables), MaxConditions)
	}
	if len(c.Transforms) > MaxTransforms {
		return out, fmt.Errorf("%d transforms, more than %d", len(c.Transforms), MaxTransforms)
	}
	for _, t := range c.Transforms {
		if t > HTMLEntityDecode {
			return out, fmt.Errorf("unknown transform %d", t)
		}
	}
	for _, s := range c.Variables {
		if err := checkSource(s, &out); err != nil {
			return out, err
		}
		out.body = out.body || s.Variable.body()
	}
	return out, nil
}

func checkSource(s Source, c *condition) error {
	switch {
	case s.Variable > RequestCookies:
		return fmt.Errorf("unknown variable %d", s.Variable)
	case s.Selector != "" && !s.Variable.selectable():
		return fmt.Errorf("%s takes no selector", s.Variable)
	case s.Variable.address() && c.address == nil:
		return fmt.Errorf("%s takes ipMatch, geoMatch and any", s.Variable)
	case s.Variable.address() && len(c.Transforms) > 0:
		return fmt.Errorf("%s takes no transforms", s.Variable)
	case !s.Variable.address() && c.text == nil:
		return fmt.Errorf("%s is no address", s.Variable)
	}
	return nil
}

// Len is the number of enabled rules.
func (s *Set) Len() int { return len(s.rules) }

// NeedsBody reports whether any rule looks at the body.
func (s *Set) NeedsBody() bool { return s.body }
