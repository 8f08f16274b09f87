package secgroup

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func spans(ends ...uint64) (list []span) {
	for i := 0; i < len(ends); i += 2 {
		list = append(list, span{key{lo: ends[i]}, key{lo: ends[i+1]}})
	}
	return list
}

func TestMergedRangesHaveGaps(t *testing.T) {
	got := merged(spans(20, 30, 5, 9, 10, 12, 22, 25, 30, 31, 40, 40))
	if want := ranges(spans(5, 12, 20, 31, 40, 40)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := got.without(key{lo: 50}), ranges(spans(0, 4, 13, 19, 32, 39, 41, 50)); !slices.Equal(got, want) {
		t.Errorf("without: %v, want %v", got, want)
	}
}

// Whatever the budget, an interval's set has the rules that are interested in
// some number of the interval, and no other.
func TestIntervalsHaveTheRulesThatWantThem(t *testing.T) {
	joined := 0
	for round := range 300 {
		d := rand.New(rand.NewPCG(5, uint64(round)))
		var list []interest
		for i := range d.IntN(60) {
			var s []span
			for range d.IntN(5) {
				from := uint64(d.IntN(1000))
				s = append(s, span{key{lo: from}, key{lo: min(from+uint64(d.IntN(50)), uint64(topPort.lo))}})
			}
			list = append(list, interest{merged(s), []uint32{uint32(i), uint32(i + 5000)}})
		}
		blocks, budget := 2, []int{1, 30, 100, 300, 1000, tableBudget}[d.IntN(6)]
		x := tableOf(list, topPort, blocks, budget)
		if !x.exact {
			joined++
		}
		for i, from := range x.narrow {
			to := uint32(topPort.lo)
			if i+1 < len(x.narrow) {
				to = x.narrow[i+1] - 1
			}
			checkSet(t, &x, x.of[i], list, span{key{lo: uint64(from)}, key{lo: uint64(to)}})
		}
		if used := len(x.words) + len(x.summary) + len(x.at)/2; budget >= 300 && used > budget+20 {
			t.Fatalf("%d words, budget %d", used, budget)
		}
	}
	if joined < 50 || joined > 250 {
		t.Errorf("%d of 300 tables have joined intervals", joined)
	}
}

func checkSet(t *testing.T, x *table, set uint32, list []interest, in span) {
	t.Helper()
	var want, got []uint32
	for _, w := range list {
		if slices.ContainsFunc(w.in, func(s span) bool { return s.first.compare(in.last) <= 0 && in.first.compare(s.last) <= 0 }) {
			want = append(want, w.rules...)
		}
	}
	slices.Sort(want)
	row := x.row(set, 2)
	for rank := range uint32(2 * 4096) {
		if row.word(int(rank/4096), int(rank/64%64))>>(rank%64)&1 != 0 {
			got = append(got, rank)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v: rules %v, want %v", in, got, want)
	}
}

// A set of many rules in few words takes little room and much work.
func TestWorkOfSetsIsBounded(t *testing.T) {
	var list []interest
	rules := make([]uint32, 64)
	for i := range rules {
		rules[i] = uint32(i)
	}
	for i := range uint64(4000) {
		list = append(list, interest{spans(2*i, 2*i), rules})
	}
	if x := tableOf(list, top4, 1, 15_000); x.exact {
		t.Errorf("%d words, none of the 4 000 sets joined", len(x.words))
	}
	if x := tableOf(list, top4, 1, 150_000); !x.exact {
		t.Error("joined within the budget")
	}
}
