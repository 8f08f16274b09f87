package index

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/waf/seclang"
	"gatehouse/waf/variables"
)

var noRequest = &variables.Request{}

// link compiles one condition of a rule.
func (c *compiler) link(ru *rule, r *seclang.Rule) *link {
	l := &link{rule: ru, negate: r.Operator.Negate, capture: r.Capture, multiMatch: r.MultiMatch, name: r.Operator.Name, file: c.File}
	end, way, err := c.ix.steps.add(r.Transformations)
	if err != nil {
		l.opaque, end, way = true, 0, stepSet{}
	}
	l.end = end
	if r.MultiMatch {
		l.way = way
	} else {
		l.way.add(end)
	}
	for _, v := range r.Variables {
		l.look(v)
	}
	for _, s := range r.SetVars {
		l.sets = append(l.sets, setting{name: pieces(s.Name), value: pieces(s.Value), known: !signed(s.Value)})
	}
	if r.Operator.Name != "" {
		c.operator(l, r.Operator)
	}
	return l
}

// operator compiles the operator of a link. Macros that are constant are
// filled in; an argument with others is compiled when it is known.
func (c *compiler) operator(l *link, o seclang.Operator) {
	l.argument = pieces(o.Argument)
	argument, ok := c.constantText(o.Argument)
	if o.Name == "rx" || o.Name == "pm" {
		argument, ok = o.Argument, true // Coraza has no macros there
	}
	if !ok {
		l.dynamic = pieces(o.Argument)
		return
	}
	op, n, err := newOperator(o.Name, argument, c.File, &c.ix.dfaBytes)
	if err != nil {
		c.err = fmt.Errorf("@%s: %w", o.Name, err)
		return
	}
	l.op = op
	if !l.negate {
		l.need = n
	}
	if _, ok := op.(opaque); ok {
		l.opaque = true
	}
}

// constantText fills in the macros of a text; ok is false when one of them is
// not constant.
func (c *compiler) constantText(text string) (string, bool) {
	var b strings.Builder
	for _, p := range pieces(text) {
		if p.variable == "" {
			b.WriteString(p.text)
			continue
		}
		name, isTx := strings.CutPrefix(p.variable, "tx.")
		value, set := c.ix.constants[name]
		if !isTx || !set {
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// pieces takes a text with macros apart. A macro that cannot be read is one
// that is not known.
func pieces(text string) (list []piece) {
	parsed, err := seclang.Macro(text)
	if err != nil {
		return []piece{{variable: "?"}}
	}
	for _, p := range parsed {
		if p.Variable == "" {
			list = append(list, piece{text: p.Text})
			continue
		}
		name := strings.ToLower(p.Variable)
		if p.Key != "" {
			name += "." + p.Key
		}
		list = append(list, piece{text: p.Text, variable: name})
	}
	return list
}

// assigned is a variable's value after a setvar: one with a sign is added.
func assigned(before, value string) string {
	if !signed(value) {
		return value
	}
	a, _ := strconv.Atoi(before)
	b, _ := strconv.Atoi(value)
	return strconv.Itoa(a + b)
}

func signed(value string) bool { return value != "" && (value[0] == '+' || value[0] == '-') }

// look adds a variable to what a link looks at.
func (l *link) look(v seclang.Variable) {
	switch v.Name {
	case "TX":
		l.tx = append(l.tx, txOf(v))
		return
	case "MATCHED_VAR", "MATCHED_VARS":
		l.matched = true
		l.opaque = l.opaque || v.Count || v.Key != "" || v.Regex != nil
		return
	case "XML":
		if from, ok := xmlCollections[v.Key]; ok && !v.Negate {
			l.target(v, from, "")
			return
		}
	}
	from, ok := collectionsOf[v.Name]
	if !ok {
		l.opaque = true
		return
	}
	for _, c := range from {
		if v.Negate {
			l.except(v, c)
		} else {
			l.target(v, c, strings.ToLower(v.Key))
		}
	}
}

func (l *link) target(v seclang.Variable, from collection, name string) {
	l.from.add(from)
	t := target{from: from, name: name, count: v.Count}
	if v.Regex != nil {
		t.names = v.Regex
	}
	l.targets = append(l.targets, t)
}

// except takes values out of the targets so far.
func (l *link) except(v seclang.Variable, from collection) {
	for i := range l.targets {
		if t := &l.targets[i]; t.from == from {
			t.except = append(t.except, exception{name: strings.ToLower(v.Key), names: v.Regex})
		}
	}
}

// txOf is a variable of the transaction that a link looks at.
func txOf(v seclang.Variable) txTarget {
	t := txTarget{name: strings.ToLower(v.Key), count: v.Count}
	if v.Regex != nil {
		t.names = v.Regex.MatchString
	} else if v.Key == "" {
		t.names = func(string) bool { return true }
	}
	return t
}
