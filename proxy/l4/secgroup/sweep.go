package secgroup

import (
	"math/rand/v2"
	"slices"
)

// tableBudget is how many words of eight bytes the sets of a table may take:
// 16 MiB.
const tableBudget = 2 << 20

// workPerWord is how many rules may be put into sets for each word of the
// budget.
const workPerWord = 8

// interest is numbers, and the ranks of the rules that want them.
type interest struct {
	in    ranges
	rules []uint32
}

// edge is where an interest begins or has ended.
type edge struct {
	at       key
	interest uint32
	ends     bool
}

// boundary is where intervals meet: edges that are at the same key.
type boundary struct {
	at    key
	edges []edge
}

// sweep makes a table, going once over all numbers in their order.
type sweep struct {
	interests []interest
	blocks    int // words of a summary
	budget    int // words

	count  []int    // how often an interest is open
	active []uint32 // the interests that are open
	place  []int    // of an interest in active

	// The open interests as a sum of random numbers, by which a set that was
	// made before is found again.
	sum   [2]uint64
	marks [][2]uint64
	made  map[[2]uint64]uint32

	set  []uint64 // the set that is being made, all words
	work int
	out  table
}

// tableOf makes the table of some interests. top is the largest number.
func tableOf(interests []interest, top key, blocks, budget int) table {
	bounds := boundaries(interests, top)
	s := newSweep(interests, blocks, budget)
	for step := 1; ; {
		done := s.run(bounds, step)
		if done >= len(bounds) || step >= len(bounds) {
			s.out.exact = step == 1
			s.out.pack(top)
			return s.out
		}
		// As many times too much as there was left to do, and some more:
		// sets get larger too.
		step = min(step*(len(bounds)/done+1), len(bounds))
	}
}

func newSweep(interests []interest, blocks, budget int) *sweep {
	s := &sweep{
		interests: interests, blocks: blocks, budget: budget,
		count: make([]int, len(interests)), place: make([]int, len(interests)),
		marks: make([][2]uint64, len(interests)), made: map[[2]uint64]uint32{},
		set: make([]uint64, 64*blocks),
	}
	for i := range s.marks {
		s.marks[i] = [2]uint64{rand.Uint64(), rand.Uint64()}
	}
	return s
}

// restart forgets what was made, but not the room it took.
func (s *sweep) restart() {
	clear(s.count)
	clear(s.made)
	s.active, s.sum, s.work = s.active[:0], [2]uint64{}, 0
	o := &s.out
	o.wide, o.of, o.summary, o.at, o.words = o.wide[:0], o.of[:0], o.summary[:0], o.at[:0], o.words[:0]
	s.current() // the empty set is number 0
}

// boundaries lists the boundaries in order, the first at 0.
func boundaries(interests []interest, top key) []boundary {
	spans := 0
	for i := range interests {
		spans += len(interests[i].in)
	}
	edges := make([]edge, 0, 2*spans)
	for i := range interests {
		for _, r := range interests[i].in {
			edges = append(edges, edge{r.first, uint32(i), false})
			if r.last != top {
				edges = append(edges, edge{r.last.next(), uint32(i), true})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.compare(b.at) })
	bounds := []boundary{{}}
	for from := 0; from < len(edges); {
		to := from + 1
		for to < len(edges) && edges[to].at == edges[from].at {
			to++
		}
		b := boundary{edges[from].at, edges[from:to]}
		if b.at == (key{}) {
			bounds[0] = b
		} else {
			bounds = append(bounds, b)
		}
		from = to
	}
	return bounds
}

// run makes the table with step intervals taken together, and returns how
// many it got to within the budget. One interval it always makes.
func (s *sweep) run(bounds []boundary, step int) int {
	s.restart()
	for i := 0; i < len(bounds); i += step {
		together := bounds[i:min(i+step, len(bounds))]
		s.ends(together[0])
		for _, b := range together {
			s.begins(b)
		}
		set := s.current()
		if n := len(s.out.of); n == 0 || s.out.of[n-1] != set {
			s.out.wide = append(s.out.wide, together[0].at)
			s.out.of = append(s.out.of, set)
		}
		for _, b := range together[1:] {
			s.ends(b)
		}
		if s.spent() > s.budget || s.work > workPerWord*s.budget {
			return i + len(together)
		}
	}
	return len(bounds)
}

// spent is the memory of the sets in words.
func (s *sweep) spent() int {
	return len(s.out.words) + len(s.out.summary) + len(s.out.at)/2
}

func (s *sweep) begins(b boundary) {
	for _, e := range b.edges {
		if e.ends {
			continue
		}
		if s.count[e.interest]++; s.count[e.interest] == 1 {
			s.place[e.interest] = len(s.active)
			s.active = append(s.active, e.interest)
			s.turn(e.interest)
		}
	}
}

func (s *sweep) ends(b boundary) {
	for _, e := range b.edges {
		if !e.ends {
			continue
		}
		if s.count[e.interest]--; s.count[e.interest] == 0 {
			last := len(s.active) - 1
			at := s.place[e.interest]
			s.active[at] = s.active[last]
			s.place[s.active[at]] = at
			s.active = s.active[:last]
			s.turn(e.interest)
		}
	}
}

// turn takes an interest into the sum, or out of it.
func (s *sweep) turn(i uint32) {
	s.sum[0] ^= s.marks[i][0]
	s.sum[1] ^= s.marks[i][1]
}

// current is the number of the set of the open interests.
func (s *sweep) current() uint32 {
	if set, ok := s.made[s.sum]; ok {
		return set
	}
	set := uint32(len(s.made))
	s.made[s.sum] = set
	from := len(s.out.summary)
	s.out.summary = append(s.out.summary, make([]uint64, s.blocks)...)
	summary := s.out.summary[from:]
	for _, i := range s.active {
		s.work += len(s.interests[i].rules)
		for _, r := range s.interests[i].rules {
			s.set[r/64] |= 1 << (r % 64)
			summary[r/4096] |= 1 << (r / 64 % 64)
		}
	}
	s.flush(summary)
	return set
}

// flush moves the words of the set that are not empty into the table.
func (s *sweep) flush(summary []uint64) {
	for block, left := range summary {
		s.out.at = append(s.out.at, uint32(len(s.out.words)))
		for ; left != 0; left &= left - 1 {
			w := 64*block + trailing(left)
			s.out.words = append(s.out.words, s.set[w])
			s.set[w] = 0
		}
	}
}

// pack gives the table its final form: small keys if top is small, and no
// room to grow.
func (t *table) pack(top key) {
	if top != top6 {
		t.narrow = make([]uint32, len(t.wide))
		for i, k := range t.wide {
			t.narrow[i] = uint32(k.lo)
		}
		t.wide = nil
	}
	t.wide, t.of = slices.Clone(t.wide), slices.Clone(t.of)
	t.summary, t.at, t.words = slices.Clone(t.summary), slices.Clone(t.at), slices.Clone(t.words)
}
