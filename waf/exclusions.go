package waf

import (
	"fmt"
	"regexp"
	"strings"

	"gatehouse/config"
)

// managedRange are the rules that look for something: those before decide how
// a request is read, those behind decide on the score.
const managedRange = "911000-948999"

// exclusions hides parts of requests from rules.
func (w *ruleWriter) exclusions(s *config.RuleSet) {
	for i := range s.Exclusions {
		x := &s.Exclusions[i]
		for _, rules := range ruleLists(x.Rules, x.Groups) {
			for _, target := range excluded(x) {
				w.linef(`SecRuleUpdateTargetById %s "%s"`, rules, quoted(target))
			}
		}
	}
}

// ruleLists are the rules that an exclusion or exception names, as
// SecRuleUpdateTargetById and ctl:ruleRemoveById want them.
func ruleLists(rules []int, groups []string) (list []string) {
	if len(rules) == 0 && len(groups) == 0 {
		return []string{managedRange}
	}
	for _, id := range rules {
		list = append(list, fmt.Sprint(id))
	}
	for _, g := range groups {
		if r := rangeOfGroup(g); r != "" {
			list = append(list, r)
		}
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
	name := regexp.QuoteMeta(strings.ToLower(x.Selector))
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
	return []string{"!" + variable + ":/" + strings.ReplaceAll(pattern, "/", `\/`) + "/"}
}

// exceptionsFrom is the number of the first rule that is made of an
// exception.
const exceptionsFrom = 9_900_000 - 10_000

// exceptions has rules skip whole requests.
func (w *ruleWriter) exceptions(s *config.RuleSet) {
	id := exceptionsFrom
	for i := range s.Exceptions {
		x := &s.Exceptions[i]
		for _, rules := range ruleLists(x.Rules, x.Groups) {
			for _, value := range x.Values {
				w.linef(`SecRule %s "@%s %s" "id:%d,phase:1,pass,nolog,t:none,ctl:ruleRemoveById=%s"`, exceptVariable(x), exceptOperator(x.Operator), quoted(value), id, rules)
				id++
			}
		}
	}
}

func exceptVariable(x *config.Exception) string {
	switch x.Variable {
	case config.ExceptRemoteAddr:
		return "REMOTE_ADDR"
	case config.ExceptHeader:
		return "REQUEST_HEADERS:" + x.Selector
	}
	return "REQUEST_URI_RAW"
}

func exceptOperator(c config.Comparison) string {
	return map[config.Comparison]string{config.CompareContains: "contains", config.CompareStartsWith: "beginsWith",
		config.CompareEndsWith: "endsWith", config.CompareIPMatch: "ipMatch"}[c] + map[bool]string{true: "streq"}[c == config.CompareEquals]
}

// quoted is a text as the argument of an operator.
func quoted(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }
