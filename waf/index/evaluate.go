package index

import (
	"strings"

	"gatehouse/waf/transform"
	"gatehouse/waf/variables"
)

// Evaluation is the memory for finding candidates; it may be used again, by
// one goroutine at a time. The zero value is ready.
type Evaluation struct {
	ix         *Index
	req        *variables.Request
	resp       *variables.Response
	candidates bits
	touched    bits // rules whose first link matches
	mine       bits // those of them that the value in hand matches
	mineList   []uint16
	tried      bits // rules whose first link was tried on the text in hand
	triedList  []uint16
	groups     []group
	groupOf    [maxSteps]int8 // by step, while a value is looked at
	hits       hits
	chain      chainState
	lower      []byte
}

// group is a text that a value becomes after some steps.
type group struct {
	text  string
	class transform.Class
	steps stepSet
}

// bits is a set of small numbers.
type bits []uint64

func (b *bits) reset(n int) {
	want := (n + 63) / 64
	if cap(*b) < want {
		*b = make(bits, want)
	}
	*b = (*b)[:want]
	clear(*b)
}

func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

var noResponse variables.Response

// Run finds the rules of an index that could match a message. p is nil for an
// index of request rules.
func (e *Evaluation) Run(ix *Index, r *variables.Request, p *variables.Response) {
	if p == nil {
		p = &noResponse
	}
	e.ix, e.req, e.resp = ix, r, p
	e.candidates.reset(len(ix.rules))
	e.touched.reset(len(ix.rules))
	e.mine.reset(len(ix.rules))
	e.tried.reset(len(ix.rules))
	e.hits.reset(len(ix.byLiteral))
	for c := range numCollections {
		if pl := &ix.plans[c]; len(pl.order) > 0 {
			c.each(r, p, func(name, value string) { e.value(c, pl, name, value) })
		}
	}
	for _, ru := range ix.counting {
		e.touched.add(ru.number)
	}
	e.decide()
}

// decide makes candidates of the rules whose first link matches, and whose
// chain could.
func (e *Evaluation) decide() {
	for i, ru := range e.ix.rules {
		if e.touched.has(i) && (len(ru.rest) == 0 && !ru.first.slow() || e.chainMatches(ru)) {
			e.candidates.add(i)
		}
	}
}

// value looks at one value, unless what it matches is remembered.
func (e *Evaluation) value(c collection, pl *plan, name, text string) {
	if len(text) > memoryText || len(name) > memoryText {
		e.look(c, pl, name, text)
		return
	}
	hash := e.ix.memory.hash(c, name, text)
	if known := e.ix.memory.find(hash, c, name, text); known != nil {
		for _, n := range known.touched {
			e.touched.add(int(n))
		}
		return
	}
	e.look(c, pl, name, text)
	e.ix.memory.keep(hash, c, name, text, e.mineList)
}

// look finds the rules whose first link a value matches.
func (e *Evaluation) look(c collection, pl *plan, name, text string) {
	e.mineList = e.mineList[:0]
	e.transformed(pl, text)
	e.lower = appendLower(e.lower[:0], name)
	var named []*link
	if pl.byName != nil && name != "" {
		named = pl.byName[string(e.lower)]
	}
	for i := range e.groups {
		g := &e.groups[i]
		if pl.scan {
			e.literals(c, g)
		}
		e.try(pl.plain, c, g)
		e.try(named, c, g)
		for _, n := range e.triedList {
			e.tried[n/64] = 0
		}
		e.triedList = e.triedList[:0]
	}
	for _, n := range e.mineList {
		e.touched.add(int(n))
		e.mine[n/64] = 0
	}
}

// appendLower appends a name with ASCII letters in lower case.
func appendLower(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// transformed works out what becomes of a value in the steps of a plan.
func (e *Evaluation) transformed(pl *plan, text string) {
	class := transform.ClassOf(text)
	if !class.Intersects(pl.active) {
		e.groups = append(e.groups[:0], group{text, class, pl.all})
		return
	}
	e.groups = append(e.groups[:0], group{text: text, class: class})
	for _, s := range pl.order {
		st := &e.ix.steps.list[s]
		if s == 0 {
			e.groupOf[0] = 0
			e.groups[0].steps.add(0)
			continue
		}
		g := e.groupOf[st.parent]
		if e.groups[g].class.Intersects(st.active) {
			g = e.groupFor(st.apply(e.groups[g].text), g)
		}
		e.groupOf[s] = g
		e.groups[g].steps.add(s)
	}
}

// groupFor returns the group of a text, which may be that of the step before.
func (e *Evaluation) groupFor(text string, before int8) int8 {
	if e.groups[before].text == text {
		return before
	}
	for i := range e.groups {
		if e.groups[i].text == text {
			return int8(i)
		}
	}
	e.groups = append(e.groups, group{text: text, class: transform.ClassOf(text)})
	return int8(len(e.groups) - 1)
}

// literals scans a text and tries the links whose literals occur in it.
func (e *Evaluation) literals(c collection, g *group) {
	text := g.text
	if g.class.Intersects(relativeBytes) {
		text = relativesFolded.Replace(text)
	}
	e.hits.clear()
	e.ix.words.scan(text, &e.hits)
	for _, lit := range e.hits.list {
		for _, l := range e.ix.byLiteral[lit] {
			if l.from.has(c) && l.way.meets(g.steps) && e.open(l) && l.need.bytes.holds(g.class) && l.takes(c, e.lower) {
				e.tryOn(l, g)
			}
		}
	}
}

// open reports whether it is not known yet whether a link matches the text in
// hand.
func (e *Evaluation) open(l *link) bool {
	n := l.rule.number
	return !e.mine.has(n) && !e.tried.has(n)
}

// tryOn tries a link on a text.
func (e *Evaluation) tryOn(l *link, g *group) {
	n := l.rule.number
	if l.need.exact || l.op.Match(g.text) != l.negate {
		e.mine.add(n)
		e.mineList = append(e.mineList, uint16(n))
		return
	}
	e.tried.add(n)
	e.triedList = append(e.triedList, uint16(n))
}

// relativeBytes begin the two letters outside ASCII that are another case of
// S and K; relativesFolded makes them those.
var (
	relativeBytes   = func() (c transform.Class) { c.Add(0xc5); c.Add(0xe2); return c }()
	relativesFolded = strings.NewReplacer("ſ", "s", "\u212a", "k")
)

// try tries links on a text.
func (e *Evaluation) try(links []*link, c collection, g *group) {
	for _, l := range links {
		if l.way.meets(g.steps) && e.open(l) && l.need.bytes.holds(g.class) && l.takes(c, e.lower) {
			e.tryOn(l, g)
		}
	}
}

// Leave takes rules, from one number to another, out of the candidates.
func (e *Evaluation) Leave(from, to int) {
	for i, ru := range e.ix.rules {
		if from <= ru.id && ru.id <= to {
			e.candidates[i/64] &^= 1 << (i % 64)
		}
	}
}

// Clean reports whether no rule could match.
func (e *Evaluation) Clean() bool {
	if e.ix.dirty {
		return false
	}
	for _, w := range e.candidates {
		if w != 0 {
			return false
		}
	}
	return true
}

// Candidates calls yield for the rules that could match.
func (e *Evaluation) Candidates(yield func(id int) bool) { e.each(true, yield) }

// Skippable calls yield for the rules that cannot match: they may be skipped.
func (e *Evaluation) Skippable(yield func(id int) bool) { e.each(false, yield) }

func (e *Evaluation) each(candidate bool, yield func(id int) bool) {
	for i, ru := range e.ix.rules {
		if e.candidates.has(i) == candidate && (candidate || !ru.kept) && !yield(ru.id) {
			return
		}
	}
}
