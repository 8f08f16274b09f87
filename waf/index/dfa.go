package index

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// automata of expressions: whether an expression matches a text somewhere,
// which package regexp answers in a time that grows with the size of the
// expression for every byte, a deterministic automaton answers in one step for
// each byte. It is made as texts ask for it: a state is a set of places in the
// expression, and is worked out the first time it is reached. When it grows
// too large, the text is left to package regexp.
type dfa struct {
	prog    *syntax.Prog
	ascii   [utf8.RuneSelf]uint16 // class of a byte
	bounds  []rune                // where each class beyond ASCII begins
	kinds   []charKind            // of each class
	samples []rune                // a rune of each class
	start   *dfaState
	budget  *atomic.Int64 // bytes left for states, of all expressions of an index

	mu     sync.Mutex // held while a state is made
	states map[string]*dfaState
	full   atomic.Bool
	work   []uint32 // memory for making states
	seen   []bool
}

// maxStates bounds the states of one expression.
const maxStates = 2000

// dfaState is a set of places that the expression can be at, before what comes
// next is known.
type dfaState struct {
	next   []atomic.Pointer[dfaState] // by class; nil: not worked out yet
	end    atomic.Int32               // at the end of the text: 0 not worked out yet, 1 no match, 2 a match
	places []uint32
	kind   charKind // of the rune before
}

// matched is the state after a match.
var matched = &dfaState{}

// charKind is what \b, ^ and $ have to know of a rune.
type charKind uint8

const (
	kindOther charKind = iota
	kindWord
	kindLineEnd
	kindNone // the beginning or end of the text
)

func kindOf(r rune) charKind {
	switch {
	case r == '\n':
		return kindLineEnd
	case syntax.IsWordChar(r):
		return kindWord
	}
	return kindOther
}

// rune that stands for a kind, for syntax.EmptyOpContext.
var kindRune = [...]rune{kindOther: ' ', kindWord: 'a', kindLineEnd: '\n', kindNone: -1}

// newDFA makes an automaton of an expression. It has no states yet.
func newDFA(re *syntax.Regexp, budget *atomic.Int64) (*dfa, error) {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	d := &dfa{prog: prog, budget: budget, states: map[string]*dfaState{}, seen: make([]bool, len(prog.Inst))}
	d.classify()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start = d.state([]uint32{uint32(prog.Start)}, kindNone)
	return d, nil
}

// classify divides all runes into those that no part of the expression tells
// apart.
func (d *dfa) classify() {
	edges := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, utf8.RuneSelf}
	for i := range d.prog.Inst {
		edges = appendEdges(edges, &d.prog.Inst[i])
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	for len(edges) > 0 && edges[len(edges)-1] > utf8.MaxRune {
		edges = edges[:len(edges)-1]
	}
	class := uint16(0)
	for i, lo := range edges {
		d.kinds = append(d.kinds, kindOf(lo))
		d.samples = append(d.samples, lo)
		if lo >= utf8.RuneSelf {
			d.bounds = append(d.bounds, lo)
			continue
		}
		hi := rune(utf8.RuneSelf)
		if i+1 < len(edges) {
			hi = min(edges[i+1], hi)
		}
		for r := lo; r < hi; r++ {
			d.ascii[r] = class
		}
		class++
	}
}

// appendEdges adds the runes at which an instruction begins or ceases to
// match.
func appendEdges(edges []rune, in *syntax.Inst) []rune {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1:
		if len(in.Rune) == 1 {
			r := in.Rune[0]
			edges = append(edges, r, r+1)
			if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
				edges = appendFolded(edges, r)
			}
			return edges
		}
		for i := 0; i+1 < len(in.Rune); i += 2 {
			edges = append(edges, in.Rune[i], in.Rune[i+1]+1)
		}
	case syntax.InstRuneAnyNotNL:
		edges = append(edges, '\n', '\n'+1)
	}
	return edges
}

// class is the class of the rune that a text begins with, and its length.
func (d *dfa) class(text string) (class, size int) {
	r, size := utf8.DecodeRuneInString(text)
	ascii := len(d.kinds) - len(d.bounds)
	return ascii + sort.Search(len(d.bounds), func(i int) bool { return d.bounds[i] > r }) - 1, size
}

// match reports whether the expression matches text somewhere. ok is false
// when the automaton has become too large to tell.
func (d *dfa) match(text string) (found, ok bool) {
	s := d.start
	for i := 0; i < len(text); {
		class, size := 0, 1
		if b := text[i]; b < utf8.RuneSelf {
			class = int(d.ascii[b])
		} else {
			class, size = d.class(text[i:])
		}
		next := s.next[class].Load()
		if next == nil {
			if next = d.grow(s, class); next == nil {
				return false, false
			}
		}
		if next == matched {
			return true, true
		}
		s = next
		i += size
	}
	return d.atEnd(s), true
}

// atEnd reports whether a state matches at the end of the text.
func (d *dfa) atEnd(s *dfaState) bool {
	if e := s.end.Load(); e != 0 {
		return e == 2
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.closure(s, kindNone)
	s.end.Store(map[bool]int32{false: 1, true: 2}[found])
	return found
}

// grow works out what follows a state; nil when there is no room.
func (d *dfa) grow(s *dfaState, class int) *dfaState {
	if d.full.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	places, found := d.closure(s, d.kinds[class])
	next := matched
	if !found {
		next = d.state(d.step(places, d.samples[class]), d.kinds[class])
	}
	if next == nil {
		d.full.Store(true)
		return nil
	}
	s.next[class].Store(next)
	return next
}

// closure is the places of a state from which a rune is read, when the rune
// that follows is of a kind; found says that the expression matches before it.
func (d *dfa) closure(s *dfaState, next charKind) (places []uint32, found bool) {
	flags := syntax.EmptyOpContext(kindRune[s.kind], kindRune[next])
	clear(d.seen)
	d.work = d.work[:0]
	for _, pc := range s.places {
		found = d.follow(pc, flags) || found
	}
	return d.work, found
}

// follow collects the places that are reached from one without reading.
func (d *dfa) follow(pc uint32, flags syntax.EmptyOp) (found bool) {
	if d.seen[pc] {
		return false
	}
	d.seen[pc] = true
	switch in := &d.prog.Inst[pc]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		found = d.follow(in.Out, flags)
		return d.follow(in.Arg, flags) || found
	case syntax.InstCapture, syntax.InstNop:
		return d.follow(in.Out, flags)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(in.Arg)&^flags == 0 {
			return d.follow(in.Out, flags)
		}
	case syntax.InstMatch:
		return true
	case syntax.InstFail:
	default:
		d.work = append(d.work, pc)
	}
	return false
}

// step is where a rune leads from places, and the beginning: the expression
// may match from anywhere.
func (d *dfa) step(places []uint32, r rune) []uint32 {
	next := []uint32{uint32(d.prog.Start)}
	for _, pc := range places {
		if in := &d.prog.Inst[pc]; in.MatchRune(r) {
			next = append(next, in.Out)
		}
	}
	slices.Sort(next)
	return slices.Compact(next)
}

// state is the state of a set of places; nil when there is no room for it.
func (d *dfa) state(places []uint32, kind charKind) *dfaState {
	key := make([]byte, 1, 1+4*len(places))
	key[0] = byte(kind)
	for _, pc := range places {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	if s := d.states[string(key)]; s != nil {
		return s
	}
	size := int64(2*len(key) + 8*len(d.kinds) + 150)
	if len(d.states) == maxStates || d.budget.Add(-size) < 0 {
		return nil
	}
	s := &dfaState{next: make([]atomic.Pointer[dfaState], len(d.kinds)), places: places, kind: kind}
	d.states[string(key)] = s
	return s
}

// appendFolded adds the edges of the other cases of a rune.
func appendFolded(edges []rune, r rune) []rune {
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		edges = append(edges, f, f+1)
	}
	return edges
}
