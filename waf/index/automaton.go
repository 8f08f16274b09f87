package index

import "slices"

// automaton finds every literal that occurs in a text, in any case, in one
// pass: Aho and Corasick's, with all transitions worked out.
type automaton struct {
	classes [256]uint8 // bytes that no literal tells apart share a class
	width   int        // number of classes
	next    []int32    // state*width + class -> state*width; negative: see hits
	hits    [][]int32  // by state: literals that end there, the longest first
}

// newAutomaton makes an automaton of literals in lower case; the index of a
// literal in the list is its number.
func newAutomaton(literals []string) *automaton {
	a := &automaton{}
	a.classify(literals)
	trie := newTrie(a.width)
	for i, lit := range literals {
		trie.add(a, lit, int32(i))
	}
	a.finish(trie)
	return a
}

// classify gives every byte that occurs in a literal a class; upper case goes
// with lower case.
func (a *automaton) classify(literals []string) {
	a.width = 1 // class 0: bytes that are in no literal
	for _, lit := range literals {
		for i := range len(lit) {
			if c := lit[i]; a.classes[c] == 0 {
				a.classes[c] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		a.classes[c-'a'+'A'] = a.classes[c]
	}
}

// trie is the automaton while it is made.
type trie struct {
	width int
	next  []int32 // state*width + class -> state; 0: none
	hits  [][]int32
}

func newTrie(width int) *trie {
	return &trie{width: width, next: make([]int32, width), hits: [][]int32{nil}}
}

func (t *trie) add(a *automaton, lit string, number int32) {
	state := 0
	for i := range len(lit) {
		at := state*t.width + int(a.classes[lit[i]])
		if t.next[at] == 0 {
			t.next[at] = int32(len(t.hits))
			t.next = append(t.next, make([]int32, t.width)...)
			t.hits = append(t.hits, nil)
		}
		state = int(t.next[at])
	}
	t.hits[state] = append(t.hits[state], number)
}

// finish fills in the transitions of failure, breadth first, and marks those
// into states where literals end.
func (a *automaton) finish(t *trie) {
	fail := make([]int32, len(t.hits))
	queue := make([]int32, 0, len(t.hits))
	for c := range t.width {
		if s := t.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		t.hits[s] = append(t.hits[s], t.hits[fail[s]]...)
		for c := range t.width {
			at := int(s)*t.width + c
			back := t.next[int(fail[s])*t.width+c]
			if t.next[at] == 0 {
				t.next[at] = back
				continue
			}
			fail[t.next[at]] = back
			queue = append(queue, t.next[at])
		}
	}
	for i, s := range t.next {
		t.next[i] = s * int32(t.width)
		if len(t.hits[s]) > 0 {
			t.next[i] = -t.next[i]
		}
	}
	a.next, a.hits = slices.Clone(t.next), t.hits // no room for more
	for i := range a.hits {
		a.hits[i] = slices.Clip(a.hits[i])
	}
}

// hits is the set of literals that a scan has found.
type hits struct {
	list []int32
	seen bits
}

// reset makes room for so many literals.
func (h *hits) reset(literals int) {
	if len(h.seen)*64 < literals {
		h.seen.reset(literals)
		h.list = h.list[:0]
	}
	h.clear()
}

// clear forgets what was found.
func (h *hits) clear() {
	for _, lit := range h.list {
		h.seen[lit/64] = 0
	}
	h.list = h.list[:0]
}

// scan adds the literals that occur in text.
func (a *automaton) scan(text string, found *hits) {
	state := int32(0)
	for i := 0; i < len(text); i++ {
		state = a.next[state+int32(a.classes[text[i]])]
		if state < 0 {
			state = -state
			a.note(state, found)
		}
	}
}

// note adds the literals that end in a state.
func (a *automaton) note(state int32, found *hits) {
	for _, lit := range a.hits[int(state)/a.width] {
		if !found.seen.has(int(lit)) {
			found.seen.add(int(lit))
			found.list = append(found.list, lit)
		}
	}
}
