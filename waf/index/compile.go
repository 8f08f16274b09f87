package index

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/waf/seclang"
)

// Options say what an index is made of.
type Options struct {
	// Response makes an index of the rules for responses (phases 3 and 4)
	// instead of those for requests (1 and 2).
	Response bool
	// File reads what @pmFromFile names.
	File func(name string) ([]byte, error)
}

// maxDFABytes bounds the memory of all automata of expressions of an index.
const maxDFABytes = 16 << 20

// Compile makes an index of rules, which are in the order in which they run.
func Compile(items []seclang.Item, o Options) (*Index, error) {
	c := &compiler{Options: o, ix: &Index{steps: newSteps(), memory: newMemory(), constants: map[string]string{}}}
	c.ix.dfaBytes.Store(maxDFABytes)
	first, last := 1, 2
	if o.Response {
		c.phase(items, 1)
		c.phase(items, 2)
		c.active = nil
		first, last = 3, 4
	}
	for p := first; p <= last; p++ {
		c.phase(items, p)
	}
	if c.err != nil {
		return nil, c.err
	}
	c.dropInvisible()
	c.plan()
	return c.ix, nil
}

// compiler is an index in the making.
type compiler struct {
	Options
	ix     *Index
	active []*source // rules that depend on the message, in order
	read   []string  // variables of the transaction that the other rules read
	err    error
}

// source is a rule with what it was made from.
type source struct {
	*rule
	from *seclang.Rule
}

// phase runs the rules of a phase as for a request that none of them matches:
// what depends on the configuration only is decided, and the rules that depend
// on the message are compiled.
func (c *compiler) phase(items []seclang.Item, phase int) {
	skipTo, passed := "", 0
	for _, it := range items {
		switch {
		case it.Marker != "":
			if it.Marker == skipTo {
				skipTo = ""
			}
		case it.Rule == nil || it.Rule.Phase != phase || skipTo != "" || c.err != nil:
		default:
			n := len(c.active)
			skipTo = c.rule(it.Rule)
			if passed > 0 && len(c.active) > n {
				c.active[n].kept = true
			}
			passed = max(passed-1, it.Rule.Skip)
		}
	}
}

// rule decides or compiles one rule; it returns the marker to go on from.
func (c *compiler) rule(r *seclang.Rule) (skipTo string) {
	links := append([]seclang.Rule{*r}, r.Chain...)
	ru := &rule{id: r.ID, phase: r.Phase}
	for i := range links {
		l := c.link(ru, &links[i])
		if c.err != nil {
			c.err = fmt.Errorf("rule %d: %w", r.ID, c.err)
			return ""
		}
		switch {
		case ru.first != nil:
			ru.rest = append(ru.rest, l)
			ru.matched = ru.matched || l.readsMatched()
		case !l.constant():
			ru.first = l
		default:
			c.read = append(c.read, l.names()...)
			if !c.constantly(l) {
				return ""
			}
			c.assign(&links[i])
		}
	}
	if ru.first == nil {
		c.ix.dirty = c.ix.dirty || visible(r)
		return r.SkipAfter
	}
	c.active = append(c.active, &source{ru, r})
	return ""
}

// constant reports whether a link does not depend on the message.
func (l *link) constant() bool { return len(l.targets) == 0 && !l.matched && !l.opaque }

// names are the variables of the transaction that a link reads by name.
func (l *link) names() (list []string) {
	for _, t := range l.tx {
		list = append(list, t.name)
	}
	texts := [][]piece{l.dynamic, l.argument}
	for _, s := range l.sets {
		texts = append(texts, s.value)
	}
	for _, text := range texts {
		for _, p := range text {
			if name, ok := strings.CutPrefix(p.variable, "tx."); ok {
				list = append(list, name)
			}
		}
	}
	return list
}

// readsMatched reports whether a link looks at what those before it matched.
func (l *link) readsMatched() bool {
	texts := [][]piece{l.argument}
	for _, s := range l.sets {
		texts = append(texts, s.name, s.value)
	}
	for _, text := range texts {
		if slices.ContainsFunc(text, func(p piece) bool { return p.variable == "matched_var" }) {
			return true
		}
	}
	return l.matched
}

// constantly decides a constant link.
func (c *compiler) constantly(l *link) bool {
	if l.op == nil && l.dynamic == nil {
		return true // SecAction
	}
	e := Evaluation{ix: c.ix, req: noRequest, resp: &noResponse}
	return e.chainMatches(&rule{first: l})
}

// assign does what the setvars of a constant rule say.
func (c *compiler) assign(r *seclang.Rule) {
	for _, s := range r.SetVars {
		name, ok1 := c.constantText(s.Name)
		value, ok2 := c.constantText(s.Value)
		if !ok1 || !ok2 {
			continue
		}
		c.ix.constants[strings.ToLower(name)] = assigned(c.ix.constants[strings.ToLower(name)], value)
	}
}

// visible reports whether anybody sees that a rule matches: it is logged, or
// does something to the request.
func visible(r *seclang.Rule) bool {
	return r.Log != nil && *r.Log || r.Disruptive != "" && r.Disruptive != "pass" && r.Disruptive != "block"
}

// dropInvisible leaves out the rules of which nobody would see that they
// match: what they set is read by no rule, and they take rules or parts of
// the message away from others at most. The rest become the rules of the
// index.
func (c *compiler) dropInvisible() {
	for _, s := range c.active {
		if visible(s.from) || c.isRead(s) {
			s.number = len(c.ix.rules)
			c.ix.rules = append(c.ix.rules, s.rule)
		}
	}
}

// isRead reports whether another rule reads what a rule sets.
func (c *compiler) isRead(s *source) bool {
	for _, l := range s.links() {
		for _, set := range l.sets {
			for _, other := range c.active {
				if other != s && other.reads(set) {
					return true
				}
			}
			if slices.ContainsFunc(c.read, func(name string) bool { return strings.HasPrefix(name, prefixOf(set.name)) }) {
				return true
			}
		}
	}
	return false
}

func (r *rule) links() []*link { return append([]*link{r.first}, r.rest...) }

// reads reports whether a rule looks at a variable that a setting may set.
func (r *rule) reads(s setting) bool {
	name := prefixOf(s.name)
	whole := len(s.name) == 1 && s.name[0].variable == ""
	for _, l := range r.links() {
		for _, t := range l.tx {
			if t.names != nil || t.name == name || !whole && strings.HasPrefix(t.name, name) {
				return true
			}
		}
		for _, p := range l.dynamic {
			if p.variable == "tx."+name {
				return true
			}
		}
	}
	return false
}

// prefixOf is what the name of a setting begins with.
func prefixOf(name []piece) string {
	if len(name) == 0 || name[0].variable != "" {
		return ""
	}
	return strings.ToLower(name[0].text)
}

// plan arranges the links by what they look at and for.
func (c *compiler) plan() {
	numbers := map[string]int32{}
	var literals []string
	for _, r := range c.ix.rules {
		l := r.first
		if l.slow() {
			c.ix.counting = append(c.ix.counting, r)
			continue
		}
		c.planLink(l, func(lit string) int32 {
			n, ok := numbers[lit]
			if !ok {
				n = int32(len(literals))
				numbers[lit] = n
				literals = append(literals, lit)
				c.ix.byLiteral = append(c.ix.byLiteral, nil)
			}
			return n
		})
	}
	c.ix.words = newAutomaton(literals)
}

// slow reports whether a first link needs more than a look at each value.
func (l *link) slow() bool {
	counts := slices.ContainsFunc(l.targets, func(t target) bool { return t.count })
	return counts || len(l.tx) > 0 || l.matched || l.dynamic != nil || l.opaque
}

func (c *compiler) planLink(l *link, number func(string) int32) {
	for from := range numCollections {
		if l.from.has(from) {
			c.planFor(&c.ix.plans[from], l, from)
		}
	}
	for _, lit := range l.need.anyOf {
		n := number(lit)
		c.ix.byLiteral[n] = append(c.ix.byLiteral[n], l)
	}
}

func (c *compiler) planFor(pl *plan, l *link, from collection) {
	for s := range c.ix.steps.list {
		if l.way.has(s) {
			c.need(pl, s)
		}
	}
	if len(l.need.anyOf) > 0 {
		pl.scan = true
		return
	}
	names := l.namesIn(from)
	if names == nil {
		pl.plain = append(pl.plain, l)
		return
	}
	if pl.byName == nil {
		pl.byName = map[string][]*link{}
	}
	for _, n := range names {
		pl.byName[n] = append(pl.byName[n], l)
	}
}

// need adds a step, and those before it, to a plan.
func (c *compiler) need(pl *plan, s int) {
	if pl.all.has(s) {
		return
	}
	if s != 0 {
		c.need(pl, c.ix.steps.list[s].parent)
	}
	pl.all.add(s)
	pl.order = append(pl.order, s)
	pl.active = pl.active.Union(c.ix.steps.list[s].active)
}

// namesIn are the names that a link's targets select in a collection; nil when
// they select otherwise.
func (l *link) namesIn(from collection) (list []string) {
	for i := range l.targets {
		t := &l.targets[i]
		if t.from != from {
			continue
		}
		if t.name == "" {
			return nil
		}
		if !slices.Contains(list, t.name) {
			list = append(list, t.name)
		}
	}
	return list
}

// Rules are the rules that the index decides on, in order.
func (ix *Index) Rules() []int {
	var ids []int
	for _, r := range ix.rules {
		ids = append(ids, r.id)
	}
	return ids
}
