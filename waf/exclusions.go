package waf

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/waf/azure"
)

// managedRange are the rules that look for something: those before decide how
// a request is read, those behind decide on the score.
var managedRange = ruleRange{911000, 948999}

// exclusions hides parts of requests from rules, where they are not left out
// anyway.
func (w *ruleWriter) exclusions(s *config.RuleSet, changes ruleChanges) {
	for i := range s.Exclusions {
		x := &s.Exclusions[i]
		for _, r := range namedRules(s, x.Rules, x.Groups) {
			if changes[r.from].is(ruleOff) {
				continue
			}
			for _, target := range excluded(x) {
				w.linef(`SecRuleUpdateTargetById %s "%s"`, r, target)
			}
		}
	}
}

// namedRules are the rules that an exclusion or exception names: all managed
// rules if it names none.
func namedRules(s *config.RuleSet, rules []int, groups []string) (list []ruleRange) {
	if len(rules) == 0 && len(groups) == 0 {
		return []ruleRange{managedRange}
	}
	set := azureSet(s)
	var ids []int
	for _, id := range rules {
		ids = append(ids, rulesOf(id, set)...)
	}
	for _, name := range groups {
		if g, ok := azure.FindGroup(name); ok && set == nil {
			list = append(list, ruleRange{g.From, g.To})
			continue
		}
		ids = append(ids, rulesOfGroup(name, set)...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		list = append(list, ruleRange{id, id})
	}
	return list
}

// excluded are the targets that an exclusion takes away. The rules compare
// names without regard to case; members of JSON are excluded by their own
// name, wherever they are.
func excluded(x *config.Exclusion) []string {
	variable := map[config.ExclusionVariable]string{
		config.ExcludeHeaderValues: "REQUEST_HEADERS", config.ExcludeCookieValues: "REQUEST_COOKIES", config.ExcludeArgValues: "ARGS",
		config.ExcludeHeaderKeys: "REQUEST_HEADERS_NAMES", config.ExcludeCookieKeys: "REQUEST_COOKIES_NAMES", config.ExcludeArgKeys: "ARGS_NAMES",
	}[x.Variable]
	name := literal(x.Selector)
	argument := x.Variable == config.ExcludeArgValues || x.Variable == config.ExcludeArgKeys
	var pattern string
	switch x.Operator {
	case config.CompareEqualsAny:
		return []string{"!" + variable}
	case config.CompareContains:
		pattern = name
	case config.CompareStartsWith:
		pattern = "^" + name
		if argument {
			pattern = `^(?:json\.(?:.*\.)?)?` + name
		}
	case config.CompareEndsWith:
		pattern = name + "$"
	default:
		pattern = "^" + name + "$"
		if argument {
			pattern = `^(?:json\.(?:.*\.)?)?` + name + `(?:\.\d+)*$`
		}
	}
	return []string{"!" + variable + ":/" + pattern + "/"}
}

// literal is a text as an expression that matches it: what is no letter or
// digit is written as its number, so that it means nothing to whatever reads
// the rule. Letters are in lower case, as the names they are compared with.
func literal(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c - 'A' + 'a')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-', c >= 0x80:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
