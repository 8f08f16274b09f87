package bot

import "strings"

// matcher finds the first of a list of patterns that occurs in a text, in one
// pass (Aho and Corasick). Letters match in either case. A pattern occurs at
// the beginning of a word only, or, with a * before it, anywhere; with a $
// after it, at the end of a word only.
type matcher struct {
	classes  [256]uint8 // bytes that no pattern tells apart share a class
	width    int32
	next     []int32   // state + class -> state, both multiples of width; negative: patterns end there
	ends     [][]int32 // by state/width: the patterns that end there, the first in the list first
	patterns []pattern
}

type pattern struct {
	text         string // lower case
	inside, ends bool   // may begin inside a word; must end with one
}

func newMatcher(list []string) *matcher {
	m := &matcher{width: 1}
	for _, text := range list {
		p := pattern{text: strings.ToLower(text)}
		p.text, p.inside = strings.CutPrefix(p.text, "*")
		p.text, p.ends = strings.CutSuffix(p.text, "$")
		m.patterns = append(m.patterns, p)
		for i := range len(p.text) {
			m.classify(p.text[i])
		}
	}
	m.next, m.ends = make([]int32, m.width), [][]int32{nil}
	for i := range m.patterns {
		m.add(int32(i))
	}
	m.link()
	return m
}

func (m *matcher) classify(c byte) {
	if m.classes[c] != 0 {
		return
	}
	m.classes[c] = uint8(m.width)
	if 'a' <= c && c <= 'z' {
		m.classes[c-'a'+'A'] = uint8(m.width)
	}
	m.width++
}

// add puts a pattern into the trie.
func (m *matcher) add(number int32) {
	state := int32(0)
	text := m.patterns[number].text
	for i := range len(text) {
		at := state + int32(m.classes[text[i]])
		if m.next[at] == 0 {
			m.next[at] = int32(len(m.next))
			m.next = append(m.next, make([]int32, m.width)...)
			m.ends = append(m.ends, nil)
		}
		state = m.next[at]
	}
	m.ends[state/m.width] = append(m.ends[state/m.width], number)
}

// link makes an automaton of the trie: where it has no transition, that of
// the longest suffix which has one.
func (m *matcher) link() {
	suffix := make([]int32, len(m.ends))
	queue := make([]int32, 0, len(m.ends))
	for _, s := range m.next[:m.width] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for at := 0; at < len(queue); at++ {
		s := queue[at]
		back := suffix[s/m.width]
		m.ends[s/m.width] = append(m.ends[s/m.width], m.ends[back/m.width]...)
		for c := range m.width {
			to := m.next[s+c]
			if to == 0 {
				m.next[s+c] = m.next[back+c]
				continue
			}
			suffix[to/m.width] = m.next[back+c]
			queue = append(queue, to)
		}
	}
	for i, s := range m.next {
		if len(m.ends[s/m.width]) > 0 {
			m.next[i] = -s
		}
	}
}

// find gives the number of the first pattern in the list that occurs in text.
func (m *matcher) find(text string) (first int, ok bool) {
	best := int32(len(m.patterns))
	state := int32(0)
	for i := range len(text) {
		state = m.next[state+int32(m.classes[text[i]])]
		if state >= 0 {
			continue
		}
		state = -state
		for _, number := range m.ends[state/m.width] {
			if number < best && m.patterns[number].fits(text, i+1) {
				best = number
			}
		}
	}
	return int(best), best < int32(len(m.patterns))
}

// fits reports whether the pattern, which ends at a place of text, has the
// boundaries it needs.
func (p *pattern) fits(text string, end int) bool {
	start := end - len(p.text)
	if !p.inside && start > 0 && inWord(text[start-1]) {
		return false
	}
	return !p.ends || end == len(text) || !inWord(text[end])
}

func inWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}
