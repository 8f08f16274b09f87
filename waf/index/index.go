// Package index finds out, cheaply, which rules of a rule set could match a
// request at all.
//
// It evaluates the conditions of rules itself: every value is transformed once
// for all rules that transform it alike, one pass of an automaton over the
// result finds the literals without which an expression cannot match, and
// only where one occurs is the expression tried. What the index cannot decide,
// it answers with "could match": it never claims that a rule cannot match when
// it could. A request for which no rule is a candidate is clean, and the rule
// engine need not be asked; otherwise the engine decides, and rules that are
// no candidates may be skipped there.
package index

import (
	"regexp"
	"sync/atomic"

	"gatehouse/waf/transform"
)

// Index is the compiled conditions of a rule set. It is immutable and safe
// for concurrent use.
type Index struct {
	steps     *steps
	words     *automaton
	byLiteral [][]*link // by number of the literal
	plans     [numCollections]plan
	rules     []*rule // those that are decided by the message
	counting  []*rule // those of them that begin with a count
	constants map[string]string
	memory    *memory
	dfaBytes  atomic.Int64 // left for automata of expressions
	dirty     bool         // a rule that does not depend on the message matches, and is seen
}

// plan is what is to be done with the values of a collection.
type plan struct {
	order  []int              // steps that its links need, parents first
	all    stepSet            // the same
	active transform.Class    // texts without these bytes take no step
	plain  []*link            // links that have to be tried on every value
	byName map[string][]*link // links that have to be tried on the values of one name
	scan   bool               // some link has literals
}

// rule is a rule whose condition depends on the message.
type rule struct {
	id      int
	phase   int
	number  int // in Index.rules
	first   *link
	rest    []*link // the links of its chain
	matched bool    // a link looks at what those before it matched
	kept    bool    // never to be skipped: another rule's skip counts it
}

// link is one condition of a rule: the first, or one of its chain.
type link struct {
	rule       *rule
	targets    []target
	from       collectionSet // the collections of the targets
	multiMatch bool
	way        stepSet // steps whose results are looked at: the last, or with multiMatch each
	end        int     // the last step
	op         operator
	negate     bool
	need       need
	capture    bool
	matched    bool       // looks at what the links before it matched (MATCHED_VAR and others)
	opaque     bool       // uses something that is not known here: could match
	tx         []txTarget // variables of the transaction it looks at
	sets       []setting  // variables of the transaction that it sets
	argument   []piece    // the argument as it is written
	dynamic    []piece    // the argument, where it has macros that are not constant
	name       string     // of the operator, for a dynamic argument
	file       func(string) ([]byte, error)
}

// target is a variable of a link.
type target struct {
	from   collection
	name   string         // of the values, in lower case; empty: all
	names  *regexp.Regexp // of the values' names in lower case; nil: all
	count  bool           // the number of values instead of the values
	except []exception
}

// exception is values that a target leaves out.
type exception struct {
	name  string // in lower case; empty: all
	names *regexp.Regexp
}

// collectionSet is a set of collections.
type collectionSet uint64

func (s *collectionSet) add(c collection)     { *s |= 1 << c }
func (s collectionSet) has(c collection) bool { return s&(1<<c) != 0 }

// takes reports whether a target has the value of a name, which is in lower
// case.
func (t *target) takes(lower []byte) bool {
	if t.name != "" && t.name != string(lower) || t.names != nil && !t.names.Match(lower) {
		return false
	}
	for i := range t.except {
		if e := &t.except[i]; e.names != nil && e.names.Match(lower) || e.names == nil && (e.name == "" || e.name == string(lower)) {
			return false
		}
	}
	return true
}

// takes reports whether one of a link's targets has a value.
func (l *link) takes(c collection, lower []byte) bool {
	for i := range l.targets {
		if t := &l.targets[i]; t.from == c && !t.count && t.takes(lower) {
			return true
		}
	}
	return false
}
