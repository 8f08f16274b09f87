package index

import (
	"strconv"
	"strings"

	"gatehouse/waf/variables"
)

// A chain is decided by trying every value that its first link matches, with
// what that leaves behind for the links after it.

// maxTries bounds the values tried for one rule. A rule that needs more could
// match.
const maxTries = 2000

// chainState is what the links of a chain leave behind for each other.
type chainState struct {
	captures [10]string // TX:0 to TX:9
	captured bool
	vars     []variables.Pair // variables of the transaction, names in lower case
	matched  []string         // all values that the links so far match
	tries    int
	lower    []byte
}

// txTarget is a variable of the transaction, or some, that a link looks at.
type txTarget struct {
	name  string // in lower case
	names func(string) bool
	count bool
}

// setting is a setvar of a link.
type setting struct {
	name  []piece
	value []piece
	known bool // a plain assignment; others leave a value that is not known
}

// piece is a part of a text with macros: literal text, or a variable.
type piece struct {
	text     string
	variable string // in lower case; empty: text
}

// unknown is the value of a variable that is not known: every link could match
// it. A request with this text in it is looked at by the rule engine, no more.
const unknown = "\x00not known"

// anyName is the name of a variable whose name is not known.
const anyName = "*"

// chainMatches reports whether all links of a rule could match.
func (e *Evaluation) chainMatches(r *rule) bool {
	e.chain.captured = false
	e.chain.vars = e.chain.vars[:0]
	e.chain.matched = e.chain.matched[:0]
	e.chain.tries = 0
	return e.linkMatches(r, 0)
}

// linkMatches reports whether the links of a rule from the n-th on could
// match.
func (e *Evaluation) linkMatches(r *rule, n int) bool {
	l := r.first
	if n > 0 {
		l = r.rest[n-1]
	}
	last := n == len(r.rest)
	if l.opaque {
		return last || e.linkMatches(r, n+1)
	}
	before := len(e.chain.matched)
	if !last && r.matched {
		// MATCHED_VARS are all values that a link matches, of whichever variable.
		e.texts(l, func(text string) {
			if e.fits(l, text) {
				e.chain.matched = append(e.chain.matched, text)
			}
		})
	}
	could := false
	e.texts(l, func(text string) {
		could = could || e.fits(l, text) && (last || e.goOn(r, n, l, text))
	})
	e.chain.matched = e.chain.matched[:before]
	return could
}

// fits reports whether a link could match a text.
func (e *Evaluation) fits(l *link, text string) bool {
	if e.chain.tries++; e.chain.tries > maxTries || text == unknown {
		return true
	}
	op := e.operatorOf(l)
	_, could := op.(opaque)
	return could || op.Match(text) != l.negate
}

// operatorOf is the operator of a link, with its argument filled in.
func (e *Evaluation) operatorOf(l *link) operator {
	if l.dynamic == nil {
		return l.op
	}
	argument, ok := e.expand(l.dynamic)
	if !ok {
		return opaque{}
	}
	op, _, err := newOperator(l.name, argument, l.file, nil)
	if err != nil {
		return opaque{}
	}
	return op
}

// goOn tries the links after one that matches a text.
func (e *Evaluation) goOn(r *rule, n int, l *link, text string) bool {
	captures, captured, vars := e.chain.captures, e.chain.captured, len(e.chain.vars)
	e.leave(l, text)
	could := e.linkMatches(r, n+1)
	e.chain.captures, e.chain.captured, e.chain.vars = captures, captured, e.chain.vars[:vars]
	return could
}

// leave notes what a link that matched leaves behind.
func (e *Evaluation) leave(l *link, text string) {
	if l.capture {
		c, ok := e.operatorOf(l).(capturer)
		e.chain.captured = ok && !l.negate
		if e.chain.captured {
			clear(e.chain.captures[:])
			copy(e.chain.captures[:9], c.Groups(text))
		}
	}
	for _, s := range l.sets {
		name, ok := e.expand(s.name)
		if !ok {
			name = anyName
		}
		value, ok := e.expand(s.value)
		if !ok || !s.known || name == anyName {
			value = unknown
		}
		e.chain.vars = append(e.chain.vars, variables.Pair{Name: strings.ToLower(name), Value: value})
	}
}

// texts calls visit for everything that a link looks at, transformed.
func (e *Evaluation) texts(l *link, visit func(text string)) {
	for i := range l.targets {
		t := &l.targets[i]
		n := 0
		t.from.each(e.req, e.resp, func(name, value string) {
			if e.chain.lower = appendLower(e.chain.lower[:0], name); !t.takes(e.chain.lower) {
				return
			}
			n++
			if !t.count {
				e.stepped(l, value, visit)
			}
		})
		if t.count {
			e.stepped(l, strconv.Itoa(n), visit)
		}
	}
	for i := range l.tx {
		e.txTexts(l, &l.tx[i], visit)
	}
	if l.matched {
		for _, text := range e.chain.matched {
			e.stepped(l, text, visit)
		}
	}
}

// stepped transforms a text as a link wants it: once, or with multiMatch after
// every step.
func (e *Evaluation) stepped(l *link, text string, visit func(text string)) {
	if l.multiMatch {
		for s := range e.ix.steps.list {
			if s != l.end && l.way.has(s) {
				visit(e.ix.steps.run(s, text))
			}
		}
	}
	visit(e.ix.steps.run(l.end, text))
}

// txTexts calls visit for the variables of the transaction that a target
// takes.
func (e *Evaluation) txTexts(l *link, t *txTarget, visit func(text string)) {
	if t.names == nil {
		value, set, known := e.variable(t.name)
		switch {
		case !known:
			visit(unknown)
		case t.count:
			e.stepped(l, map[bool]string{false: "0", true: "1"}[set], visit)
		case set:
			e.stepped(l, value, visit)
		}
		return
	}
	for i := range e.chain.vars {
		if v := &e.chain.vars[i]; v.Name == anyName || t.names(v.Name) {
			if v.Value == unknown || t.count {
				visit(unknown)
				continue
			}
			e.stepped(l, v.Value, visit)
		}
	}
}

// variable returns a variable of the transaction.
func (e *Evaluation) variable(name string) (value string, set, known bool) {
	if len(name) == 1 && '0' <= name[0] && name[0] <= '9' {
		return e.chain.captures[name[0]-'0'], true, e.chain.captured
	}
	for i := len(e.chain.vars) - 1; i >= 0; i-- {
		if v := &e.chain.vars[i]; v.Name == name || v.Name == anyName {
			return v.Value, true, v.Value != unknown
		}
	}
	value, set = e.ix.constants[name]
	return value, set, true
}

// expand fills in the macros of a text; ok is false when one is not known. A
// variable that is not set leaves its name there, as in Coraza.
func (e *Evaluation) expand(pieces []piece) (text string, ok bool) {
	for _, p := range pieces {
		if p.variable == "" {
			text += p.text
			continue
		}
		value, set, known := e.macro(p.variable)
		if !known {
			return "", false
		}
		if !set {
			value = p.text
		}
		text += value
	}
	return text, true
}

func (e *Evaluation) macro(name string) (value string, set, known bool) {
	if v, isTx := strings.CutPrefix(name, "tx."); isTx {
		return e.variable(v)
	}
	if name == "matched_var" && len(e.chain.matched) == 1 {
		return e.chain.matched[0], true, true
	}
	return "", false, false
}
