package l7

import (
	"bytes"
	"sort"
	"strings"
)

// Sites are the listeners that share an address, found by host name. The cost
// of a lookup does not grow with their number: exact names and *.suffix names
// are found by hashing, once for each label of the host.
//
// A rule with a priority wins over every rule with a larger one and over
// rules without; among rules without a priority the exact name wins, then the
// longest wildcard, then the listener without host names.
type Sites struct {
	exact    map[string]*site
	suffix   map[string]*site // "*.example.org" under "example.org"
	patterns []pattern        // other wildcards, best first
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

type pattern struct {
	text string
	site *site
}

// NewSites makes an empty table; Add fills it while it is built.
func NewSites() *Sites {
	return &Sites{exact: map[string]*site{}, suffix: map[string]*site{}}
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
	s.patterns = append(s.patterns, pattern{h, st})
	sort.SliceStable(s.patterns, func(i, j int) bool {
		return s.patterns[i].site.rank.less(s.patterns[j].site.rank)
	})
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
	if len(s.suffix) > 0 {
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			best = better(best, s.suffix[string(rest)])
		}
	}
	for i := range s.patterns {
		p := &s.patterns[i]
		if best != nil && !p.site.rank.less(best.rank) {
			break
		}
		if matchHost(p.text, host) {
			best = p.site
			break
		}
	}
	return best
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
