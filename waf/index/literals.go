package index

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/waf/transform"
)

// need is what a text must contain for a regular expression to match it.
type need struct {
	// anyOf: at least one of these literals, in lower case, is in every match.
	// Empty: nothing is known.
	anyOf []string
	// exact: a text that has one of the literals matches, and need not be
	// looked at again.
	exact bool
	// bytes every match has.
	bytes condition
}

// condition is what the bytes of a text must be for an expression to match
// it: of each set at least one, and of each list of alternatives one.
type condition struct {
	all    []transform.Class
	either [][]condition
}

// holds reports whether the bytes of a text can be those of a match.
func (c *condition) holds(bytes transform.Class) bool {
	for _, set := range c.all {
		if !bytes.Intersects(set) {
			return false
		}
	}
	for _, alternatives := range c.either {
		if !anyHolds(alternatives, bytes) {
			return false
		}
	}
	return true
}

func anyHolds(alternatives []condition, bytes transform.Class) bool {
	for i := range alternatives {
		if alternatives[i].holds(bytes) {
			return true
		}
	}
	return false
}

// size is how many sets a condition has.
func (c *condition) size() int {
	n := len(c.all)
	for _, alternatives := range c.either {
		for i := range alternatives {
			n += alternatives[i].size()
		}
	}
	return n
}

const (
	maxExact   = 48  // exact texts of a subexpression that are followed up
	maxLiteral = 16  // bytes of a literal; more would not make it rarer
	maxClass   = 12  // runes of a class that are written out
	maxBytes   = 8   // byte sets kept of what must all be there
	maxEither  = 48  // alternatives that are told apart by their bytes
	maxSets    = 200 // byte sets of a condition
)

// needOf finds what every match of an expression contains. It claims less
// rather than too much: a wrong claim would hide attacks.
func needOf(re *syntax.Regexp) need {
	p := analyse(re.Simplify())
	n := need{bytes: p.bytes.reduced()}
	if best := p.best(); len(best) > 0 {
		n.anyOf = best
	}
	return n
}

// part is what is known of the texts that a subexpression matches.
type part struct {
	exact []string // all texts that it can match, in lower case; nil: not known
	anyOf []string // every match contains one of these; nil: not known
	bytes condition
}

// best is the better of what the exact texts and the literals say.
func (p part) best() []string { return better(usable(p.exact), p.anyOf) }

// usable are exact texts as a requirement: useless when one is empty.
func usable(exact []string) []string {
	if len(exact) == 0 || slices.Contains(exact, "") {
		return nil
	}
	return exact
}

// better prefers the set whose shortest literal is longer, then the smaller
// one.
func better(a, b []string) []string {
	switch x, y := weight(a), weight(b); {
	case x > y:
		return a
	case y > x:
		return b
	case len(a) < len(b):
		return a
	}
	return b
}

// weight is the length of the shortest literal; more than four bytes are not
// worth a larger set.
func weight(set []string) int {
	if len(set) == 0 {
		return 0
	}
	least := maxLiteral
	for _, s := range set {
		least = min(least, len(s))
	}
	w := min(least, 5) * 8
	for n := len(set); n > 8; n >>= 1 {
		w--
	}
	return max(w, 1)
}

// rarest keeps the byte sets that say most: those with the fewest bytes.
func rarest(sets []transform.Class) []transform.Class {
	slices.SortFunc(sets, func(a, b transform.Class) int { return rarity(a) - rarity(b) })
	sets = slices.Compact(sets)
	for len(sets) > 0 && rarity(sets[len(sets)-1]) > 600 {
		sets = sets[:len(sets)-1]
	}
	return slices.Clip(sets[:min(len(sets), maxBytes)])
}

// reduced is a condition without what says little.
func (c condition) reduced() condition {
	c.all = rarest(c.all)
	if c.size() > maxSets {
		c.either = nil
	}
	return c
}

// rarity is how likely a set is met in ordinary text: letters and digits
// weigh more.
func rarity(c transform.Class) int {
	w := 0
	for b := range 256 {
		if !c.Contains(byte(b)) {
			continue
		}
		switch {
		case 'a' <= b && b <= 'z' || '0' <= b && b <= '9':
			w += 40
		case 'A' <= b && b <= 'Z', b == ' ', b == '-', b == '.', b == '/':
			w += 20
		case b >= 0x80:
			w++
		default:
			w += 4
		}
	}
	return w
}

func analyse(re *syntax.Regexp) part {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return part{exact: []string{""}}
	case syntax.OpLiteral:
		return literal(re)
	case syntax.OpCharClass:
		return class(re)
	case syntax.OpCapture:
		return analyse(re.Sub[0])
	case syntax.OpPlus:
		return atLeastOnce(analyse(re.Sub[0]))
	case syntax.OpRepeat:
		if re.Min > 0 {
			return atLeastOnce(analyse(re.Sub[0]))
		}
	case syntax.OpQuest:
		if p := analyse(re.Sub[0]); p.exact != nil && len(p.exact) < maxExact {
			return part{exact: union(p.exact, []string{""})}
		}
	case syntax.OpConcat:
		return concat(re.Sub)
	case syntax.OpAlternate:
		return alternate(re.Sub)
	}
	return part{}
}

// atLeastOnce is what is known when a part may be repeated.
func atLeastOnce(p part) part {
	return part{anyOf: p.best(), bytes: p.bytes}
}

// literal is a run of runes. Where case is folded, a rune may be matched by
// another encoding: K and S have relatives outside ASCII, which scanning
// folds too (see fold).
func literal(re *syntax.Regexp) part {
	p := part{}
	var b strings.Builder
	for _, r := range re.Rune {
		r = unicode.ToLower(foldRune(r))
		if r >= utf8.RuneSelf && re.Flags&syntax.FoldCase != 0 {
			return part{} // folding beyond ASCII is not followed
		}
		if r >= utf8.RuneSelf {
			b.WriteRune(re.Rune[0])
			return part{} // rare in the rules, and matched in bytes by some of them
		}
		b.WriteRune(r)
		p.bytes.all = append(p.bytes.all, letter(byte(r)))
	}
	p.exact = []string{b.String()}
	return p.shorten()
}

// letter is the set of bytes that a rune in lower case may have been. K and S
// may have been the first byte of their relatives.
func letter(c byte) (s transform.Class) {
	s.Add(c)
	if 'a' <= c && c <= 'z' {
		s.Add(c - 'a' + 'A')
	}
	switch c {
	case 'k':
		s.Add(0xe2)
	case 's':
		s.Add(0xc5)
	}
	return s
}

// foldRune maps the two runes outside ASCII that fold to ASCII letters.
func foldRune(r rune) rune {
	switch r {
	case 'ſ':
		return 's'
	case 'K':
		return 'k'
	}
	return r
}

// class is one rune of several.
func class(re *syntax.Regexp) part {
	var set transform.Class
	var exact []string
	for i := 0; i < len(re.Rune); i += 2 {
		lo, hi := re.Rune[i], re.Rune[i+1]
		for r := lo; r <= hi && r < utf8.RuneSelf; r++ {
			set.Add(byte(r))
			if len(exact) <= maxClass {
				exact = union(exact, []string{string(unicode.ToLower(r))})
			}
		}
		if hi >= utf8.RuneSelf {
			if foldsToASCII(lo, hi) {
				// the two relatives of K and S: scanning makes them letters
				exact = union(exact, relatives(lo, hi))
			}
			if !onlyRelatives(lo, hi) {
				exact = append(exact, make([]string, maxClass+1)...) // too many to write out
			}
			for b := utf8.RuneSelf; b < 256; b++ {
				set.Add(byte(b))
			}
		}
	}
	p := part{bytes: condition{all: []transform.Class{set}}}
	if len(exact) <= maxClass {
		p.exact = exact
	}
	return p
}

func foldsToASCII(lo, hi rune) bool {
	return lo <= 'ſ' && 'ſ' <= hi || lo <= 'K' && 'K' <= hi
}

func onlyRelatives(lo, hi rune) bool { return lo == hi && foldsToASCII(lo, hi) }

func relatives(lo, hi rune) (letters []string) {
	if lo <= 'ſ' && 'ſ' <= hi {
		letters = append(letters, "s")
	}
	if lo <= 'K' && 'K' <= hi {
		letters = append(letters, "k")
	}
	return letters
}

// shorten cuts exact texts that are longer than a literal needs to be: they
// become a requirement.
func (p part) shorten() part {
	for _, s := range p.exact {
		if len(s) > maxLiteral {
			cut := make([]string, 0, len(p.exact))
			for _, s := range p.exact {
				cut = union(cut, []string{s[:min(len(s), maxLiteral)]})
			}
			return part{anyOf: better(usable(cut), p.anyOf), bytes: p.bytes}
		}
	}
	return p
}

// concat is one part after the other: exact texts are joined as long as they
// are few and short, and every requirement of a part is one of the whole.
func concat(subs []*syntax.Regexp) part {
	whole := part{exact: []string{""}}
	run := []string{""} // exact texts of the parts since the last that has none
	for _, sub := range subs {
		p := analyse(sub)
		whole.bytes.all = append(whole.bytes.all, p.bytes.all...)
		whole.bytes.either = append(whole.bytes.either, p.bytes.either...)
		whole.anyOf = better(whole.anyOf, p.anyOf)
		next := product(run, p.exact)
		if next == nil {
			whole.exact = nil
			whole.anyOf = better(whole.anyOf, usable(run))
			next = p.exact
			if next == nil || tooMuch(next) {
				whole.anyOf = better(whole.anyOf, usable(next))
				next = []string{""}
			}
		}
		run = next
	}
	whole.anyOf = better(whole.anyOf, usable(run))
	if whole.exact != nil {
		whole.exact = run
	}
	return whole
}

func tooMuch(set []string) bool {
	if len(set) > maxExact {
		return true
	}
	for _, s := range set {
		if len(s) > maxLiteral {
			return true
		}
	}
	return false
}

// product joins every text of a with every one of b; nil when it is unknown or
// too much.
func product(a, b []string) []string {
	if a == nil || b == nil || len(a)*len(b) > maxExact {
		return nil
	}
	var all []string
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxLiteral {
				return nil
			}
			all = append(all, x+y)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// alternate is one of several parts: a requirement must be one of each.
func alternate(subs []*syntax.Regexp) part {
	whole := part{exact: []string{}, anyOf: []string{}}
	alternatives := make([]condition, 0, len(subs))
	for _, sub := range subs {
		p := analyse(sub)
		if whole.exact != nil && p.exact != nil && len(whole.exact)+len(p.exact) <= maxExact {
			whole.exact = union(whole.exact, p.exact)
		} else {
			whole.exact = nil
		}
		if best := p.best(); whole.anyOf != nil && best != nil {
			whole.anyOf = union(whole.anyOf, best)
		} else {
			whole.anyOf = nil
		}
		alternatives = append(alternatives, p.bytes.reduced())
	}
	whole.bytes = oneOf(alternatives)
	if len(whole.anyOf) == 0 {
		whole.anyOf = nil
	}
	return whole
}

// oneOf is what is required when one of several conditions is: of many, the
// union of their rarest sets.
func oneOf(list []condition) (c condition) {
	var union transform.Class
	for i := range list {
		if list[i].size() == 0 {
			return condition{} // this one asks for nothing
		}
		if len(list[i].all) == 0 {
			union = everything
			continue
		}
		union = union.Union(list[i].all[0])
	}
	if union != everything {
		c.all = []transform.Class{union}
	}
	if len(list) <= maxEither {
		c.either = [][]condition{list}
	}
	return c
}

// everything is all bytes.
var everything = transform.Class{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	all = slices.Compact(all)
	if all == nil {
		all = []string{}
	}
	return all
}
