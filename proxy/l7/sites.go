package l7

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// Sites are the listeners that share an address, found by host name. The cost
// of a lookup does not grow with their number: exact names and *.suffix names
// are found by hashing, once for each label of the host; other wildcards by
// hashing what stands before their first and after their last wildcard.
//
// A rule with a priority wins over every rule with a larger one and over
// rules without; among rules without a priority the exact name wins, then the
// longest wildcard, then the listener without host names.
type Sites struct {
	exact    map[string]*site
	suffix   map[string]*site     // "*.example.org" under "example.org"
	patterns map[string]*patterns // other wildcards, by the labels after the last one
	any      *site
	first    *Listener // for what happens before a host is known
}

// site is one host name of a listener.
type site struct {
	listener *Listener
	rank     rank
}

// rank orders the sites that match a host; the smaller wins.
type rank struct {
	priority int // large for none
	kind     int // exact, wildcard, any
	length   int // negative length of a wildcard: the longest first
}

const noPriority = 1 << 30

func (r rank) less(o rank) bool {
	if r.priority != o.priority {
		return r.priority < o.priority
	}
	if r.kind != o.kind {
		return r.kind < o.kind
	}
	return r.length < o.length
}

// patterns are wildcards that end in the same labels, by the text before the
// first wildcard.
type patterns struct {
	heads   map[string][]pattern // best first
	lengths []int                // of the heads, each once
}

type pattern struct {
	text string
	site *site
}

// NewSites makes an empty table; Add fills it while it is built.
func NewSites() *Sites {
	return &Sites{exact: map[string]*site{}, suffix: map[string]*site{}, patterns: map[string]*patterns{}}
}

// Add adds a listener under its host names, in lower case; none means any.
func (s *Sites) Add(l *Listener, hostNames []string) {
	if s.first == nil || rankOf(l, 0, 0).less(rankOf(s.first, 0, 0)) {
		s.first = l
	}
	if len(hostNames) == 0 {
		s.any = better(s.any, &site{l, rankOf(l, 2, 0)})
	}
	for _, h := range hostNames {
		s.addHost(l, h)
	}
}

func rankOf(l *Listener, kind, length int) rank {
	p := l.Priority
	if p == 0 {
		p = noPriority
	}
	return rank{p, kind, -length}
}

func (s *Sites) addHost(l *Listener, h string) {
	if !strings.ContainsAny(h, "*?") {
		s.exact[h] = better(s.exact[h], &site{l, rankOf(l, 0, 0)})
		return
	}
	st := &site{l, rankOf(l, 1, len(h))}
	if rest, ok := strings.CutPrefix(h, "*."); ok && !strings.ContainsAny(rest, "*?") {
		s.suffix[rest] = better(s.suffix[rest], st)
		return
	}
	s.addPattern(pattern{h, st})
}

func (s *Sites) addPattern(p pattern) {
	head := p.text[:strings.IndexAny(p.text, "*?")]
	tail := p.text[strings.LastIndexAny(p.text, "*?")+1:]
	_, tail, _ = strings.Cut(tail, ".") // whole labels only
	group := s.patterns[tail]
	if group == nil {
		group = &patterns{heads: map[string][]pattern{}}
		s.patterns[tail] = group
	}
	same := append(group.heads[head], p)
	sort.SliceStable(same, func(i, j int) bool { return same[i].site.rank.less(same[j].site.rank) })
	group.heads[head] = same
	if !slices.Contains(group.lengths, len(head)) {
		group.lengths = append(group.lengths, len(head))
	}
}

// best is the best site of a host among the patterns, or so far.
func (g *patterns) best(host []byte, so *site) *site {
	for _, n := range g.lengths {
		if n > len(host) {
			continue
		}
		for _, p := range g.heads[string(host[:n])] {
			if so != nil && !p.site.rank.less(so.rank) {
				break
			}
			if matchHost(p.text, host) {
				so = p.site
				break
			}
		}
	}
	return so
}

func better(a, b *site) *site {
	if a == nil || b != nil && b.rank.less(a.rank) {
		return b
	}
	return a
}

// Find returns the listener for a host in lower case, nil if there is none.
func (s *Sites) Find(host []byte) *Listener {
	if st := s.lookup(host); st != nil {
		return st.listener
	}
	return nil
}

func (s *Sites) lookup(host []byte) *site {
	best := better(s.exact[string(host)], s.any)
	if len(s.suffix) == 0 && len(s.patterns) == 0 {
		return best
	}
	for rest := host; ; {
		if len(s.patterns) > 0 {
			if g := s.patterns[string(rest)]; g != nil {
				best = g.best(host, best)
			}
		}
		if len(rest) == 0 {
			return best
		}
		// What is after the last dot of all is the empty end, where patterns
		// without a whole label are.
		_, rest, _ = bytes.Cut(rest, []byte{'.'})
		if len(rest) > 0 {
			best = better(best, s.suffix[string(rest)])
		}
	}
}

// First is the listener that stands for the address before a host is known:
// that of the best rule (Azure: no SNI).
func (s *Sites) First() *Listener { return s.first }

// matchHost matches * (any run of characters, dots included) and ? (one).
func matchHost(pattern string, host []byte) bool {
	p, h, star, mark := 0, 0, -1, 0
	for h < len(host) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, h
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == host[h]):
			p++
			h++
		case star >= 0:
			mark++
			p, h = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
