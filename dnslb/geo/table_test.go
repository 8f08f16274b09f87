package geo

import (
	"math"
	"math/rand/v2"
	"testing"
)

// scan is what a table must answer: the place of the range that holds at.
func scan(ranges []span, at address) uint16 {
	for _, s := range ranges {
		if !at.less(s.first) && !s.last.less(at) {
			return s.place
		}
	}
	return 0
}

type span struct {
	first, last address
	place       uint16
}

// randomRanges ascend, with and without gaps. Their starts are crowded: few
// high halves, many low ones, or none.
func randomRanges(random *rand.Rand, n int) []span {
	var list []span
	var at address
	lows := random.IntN(2) == 0
	step := func() (b address) {
		b = address{high: at.high + random.Uint64N(1<<(4+random.UintN(56)))}
		if lows {
			if b.low = random.Uint64(); random.IntN(2) == 0 {
				b = address{at.high, at.low + random.Uint64N(1<<20)}
			}
		}
		return b
	}
	for range n {
		first := at
		if random.IntN(3) == 0 {
			first = step()
		}
		if first.less(at) {
			break // around the end
		}
		at = first
		last := step()
		if last.less(first) {
			break
		}
		list = append(list, span{first, last, uint16(random.IntN(4))})
		next, ok := last.after()
		if !ok {
			break
		}
		at = next
	}
	return list
}

func build(t *testing.T, list []span) table {
	t.Helper()
	var r ranges
	for _, s := range list {
		if err := r.add(s.first, s.last, s.place); err != nil {
			t.Fatal(err)
		}
	}
	return r.finish()
}

func TestATableAnswersLikeALinearScan(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		list := randomRanges(random, 1+random.IntN(200))
		table := build(t, list)
		at := []address{{}, {math.MaxUint64, math.MaxUint64}}
		for _, s := range list {
			at = append(at, s.first, s.last, address{s.first.high, random.Uint64()}, address{random.Uint64(), random.Uint64()})
			if next, ok := s.last.after(); ok {
				at = append(at, next)
			}
			if s.first.low > 0 {
				at = append(at, address{s.first.high, s.first.low - 1})
			} else if s.first.high > 0 {
				at = append(at, address{s.first.high - 1, math.MaxUint64})
			}
		}
		for _, a := range at {
			if got, want := table.find(a.high, a.low), scan(list, a); got != want {
				t.Fatalf("%x: place %d, want %d, of %x", a, got, want, list)
			}
		}
	}
}

func TestATableWithManyEntriesInOneBucketAnswersLikeALinearScan(t *testing.T) {
	var list []span
	list = append(list, span{address{high: 1}, address{1, math.MaxUint64}, 3})
	for i := range uint64(500) { // half have a low half of their own
		first := address{1<<60 + i, 0}
		list = append(list, span{first, address{first.high, 99}, uint16(i % 3)}, span{address{first.high, 100}, address{first.high, math.MaxUint64}, uint16(i%3) + 1})
	}
	table := build(t, list)
	if len(table.grids) < 2 {
		t.Fatal("no fine grid: the test misses what it is for")
	}
	for i := range uint64(500) {
		for _, low := range []uint64{0, 99, 100, math.MaxUint64} {
			a := address{1<<60 + i, low}
			if got, want := table.find(a.high, a.low), scan(list, a); got != want {
				t.Errorf("%x: place %d, want %d", a, got, want)
			}
		}
	}
}

func TestAnEmptyTableKnowsNothing(t *testing.T) {
	var r ranges
	table := r.finish()
	if got := table.find(7, 7); got != 0 {
		t.Errorf("place %d", got)
	}
}

func TestARangeThatIsAllKnowsOnePlace(t *testing.T) {
	table := build(t, []span{{address{}, address{math.MaxUint64, math.MaxUint64}, 2}})
	for _, a := range []address{{}, {5, 5}, {math.MaxUint64, math.MaxUint64}} {
		if got := table.find(a.high, a.low); got != 2 {
			t.Errorf("%x: place %d", a, got)
		}
	}
}

func TestRangesOutOfOrderAreRefused(t *testing.T) {
	end := address{math.MaxUint64, math.MaxUint64}
	tests := []struct {
		name string
		list []span
	}{
		{"overlap", []span{{address{1, 0}, address{2, 5}, 1}, {address{2, 5}, address{3, 0}, 1}}},
		{"descending", []span{{address{4, 0}, address{5, 0}, 1}, {address{1, 0}, address{1, 0}, 1}}},
		{"backwards", []span{{address{4, 0}, address{3, 0}, 1}}},
		{"after the end", []span{{address{4, 0}, end, 1}, {address{}, address{}, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r ranges
			var err error
			for _, s := range tt.list {
				err = r.add(s.first, s.last, s.place)
			}
			if err != errOrder {
				t.Errorf("error %v", err)
			}
		})
	}
}
