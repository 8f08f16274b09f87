package seclang

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"
	"github.com/corazawaf/coraza/v3/types/variables"
)

// understood is what a rule came to be: for Coraza as it is in its memory,
// for us as Apply has it, in the same words.
type understood struct {
	marker             string
	id, phase          int
	raw                string
	variables          []string
	operator, argument string
	negate             bool
	actions            []string // those that do something
	tags               []string
	severity           string
	msg, logData       string
	status             int
	capture, multi     bool
	log, audit, chain  bool
	transformed        int // number of transformations
	chained            []understood
}

// corazaRules compiles text with Coraza and reads its rules out of it.
func corazaRules(text string) (rules []understood, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Coraza panics: %v", p)
		}
	}()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(text))
	if err != nil {
		return nil, err
	}
	return rulesOf(waf), nil
}

func rulesOf(waf coraza.WAF) (rules []understood) {
	list := reflect.ValueOf(waf).FieldByName("waf").Elem().FieldByName("Rules").FieldByName("rules")
	for i := range list.Len() {
		rules = append(rules, corazaRule(list.Index(i)))
	}
	return rules
}

func corazaRule(v reflect.Value) understood {
	text := func(name string) string { return v.FieldByName(name).String() }
	number := func(name string) int { return int(v.FieldByName(name).Int()) }
	flag := func(name string) bool { return v.FieldByName(name).Bool() }
	u := understood{
		marker: text("SecMark_"), id: number("ID_"), phase: number("Phase_"), raw: text("Raw_"),
		msg: macroText(v.FieldByName("Msg")), logData: macroText(v.FieldByName("LogData")), status: number("DisruptiveStatus"),
		capture: flag("Capture"), multi: flag("MultiMatch"), log: flag("Log"), audit: flag("Audit"), chain: flag("HasChain"),
		transformed: v.FieldByName("transformations").Len(),
	}
	if s := types.RuleSeverity(number("Severity_")); s != types.RuleSeverityUnset {
		u.severity = s.String()
	}
	for i := range v.FieldByName("Tags_").Len() {
		u.tags = append(u.tags, v.FieldByName("Tags_").Index(i).String())
	}
	if op := v.FieldByName("operator"); !op.IsNil() {
		u.operator, u.argument = op.Elem().FieldByName("Function").String(), op.Elem().FieldByName("Data").String()
		u.negate = op.Elem().FieldByName("Negation").Bool()
	}
	for i := range v.FieldByName("variables").Len() {
		u.variables = append(u.variables, corazaVariable(v.FieldByName("variables").Index(i)))
	}
	for i := range v.FieldByName("actions").Len() {
		u.actions = append(u.actions, v.FieldByName("actions").Index(i).FieldByName("Name").String())
	}
	if next := v.FieldByName("Chain"); !next.IsNil() {
		link := corazaRule(next.Elem())
		rest := link.chained
		link.chained = nil
		// Default actions get into links, but only the first rule decides.
		link.actions = slices.DeleteFunc(link.actions, func(a string) bool { return actions[a].kind == disruptive })
		u.chained = append([]understood{link}, rest...)
	}
	return u
}

// macroText reads the original text of a macro, which is an interface.
func macroText(v reflect.Value) string {
	if v.IsNil() {
		return ""
	}
	return v.Elem().Elem().FieldByName("original").String()
}

func corazaVariable(v reflect.Value) string {
	name := variables.RuleVariable(v.FieldByName("Variable").Uint()).Name()
	text := selection(name, v.FieldByName("KeyStr").String(), corazaRegex(v.FieldByName("KeyRx")), v.FieldByName("Count").Bool())
	for i := range v.FieldByName("Exceptions").Len() {
		e := v.FieldByName("Exceptions").Index(i)
		text += " except " + selection(name, e.FieldByName("KeyStr").String(), corazaRegex(e.FieldByName("KeyRx")), false)
	}
	return text
}

// corazaRegex reads the expression of a *regexp.Regexp; it is not empty then.
func corazaRegex(v reflect.Value) string {
	if v.IsNil() {
		return ""
	}
	return "~" + v.Elem().FieldByName("expr").String()
}

func selection(name, key, regex string, count bool) string {
	return fmt.Sprintf("%s %t %s", name, count, cmp.Or(regex, key))
}

// ours says what Apply made of a rule.
func ours(i Item) understood {
	if i.Rule == nil {
		return understood{marker: i.Marker, raw: "SecMarker " + i.Marker}
	}
	u := oneOfOurs(i.Rule)
	for n := range i.Rule.Chain {
		link := &i.Rule.Chain[n]
		u.chained = append(u.chained, oneOfOurs(link))
		u.chained[n].phase = 0 // Coraza does not say that of links
		u.raw += " \n" + link.Raw
		u.chained[n].raw = ""
	}
	return u
}

func oneOfOurs(r *Rule) understood {
	u := understood{
		id: r.ID, phase: r.Phase, raw: r.Raw, argument: r.Operator.Argument, negate: r.Operator.Negate,
		tags: r.Tags, severity: r.Severity, msg: r.Msg, logData: r.LogData, status: r.Status,
		capture: r.Capture, multi: r.MultiMatch, log: r.Log != nil && *r.Log, audit: r.Audit != nil && *r.Audit,
		chain: r.chained, transformed: len(r.Transformations), operator: r.Operator.Name,
	}
	for _, a := range r.Actions {
		if actions[a.Name].kind != metadata {
			u.actions = append(u.actions, a.Name)
		}
	}
	var list []string // the variables, to which negated ones are added
	for _, v := range r.Variables {
		regex := ""
		if v.Regex != nil {
			regex = "~" + v.Regex.String()
		}
		if !v.Negate {
			list = append(list, selection(v.Name, v.Key, regex, v.Count))
			continue
		}
		for i := range list {
			if strings.HasPrefix(list[i], v.Name+" ") {
				list[i] += " except " + selection(v.Name, v.Key, regex, false)
			}
		}
	}
	u.variables = list
	return u
}

// compare reports the first differences of two rule sets.
func compare(t *testing.T, got []Item, want []understood) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d rules and markers, Coraza has %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := normal(ours(got[i])), normal(want[i])
		if !reflect.DeepEqual(g, w) {
			t.Errorf("rule %d:\n got %+v\nwant %+v", w.id, g, w)
		}
	}
}

// normal takes out what is said in two ways: operators by their written name
// or ours, empty lists.
func normal(u understood) understood {
	op := strings.TrimPrefix(strings.TrimPrefix(u.operator, "!"), "@")
	if known, ok := operators[op]; ok {
		op = known.name
	}
	u.operator = op
	u.actions = slices.Clone(u.actions)
	for i := range u.chained {
		u.chained[i] = normal(u.chained[i])
	}
	for _, list := range []*[]string{&u.actions, &u.tags, &u.variables} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return u
}
