package maglev

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/proxy/balance"
)

func pool(n int, weight func(i int) int) []Entry {
	list := make([]Entry, n)
	for i := range list {
		list[i] = Entry{Key: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Weight: weight(i)}
	}
	return list
}

func equal(int) int { return 1 }

// shares counts the slots of each entry.
func shares(t Table, entries int) []int {
	n := make([]int, entries)
	for _, i := range t {
		n[i]++
	}
	return n
}

func TestEachEntryGetsItsShare(t *testing.T) {
	for _, tt := range []struct {
		n      int
		weight func(int) int
		off    float64 // of the share, at most
	}{
		{1, equal, 0}, {2, equal, 0.002}, {5, equal, 0.01}, {100, equal, 0.02}, {1000, equal, 0.01},
		{4, func(i int) int { return i + 1 }, 0.01}, {10, func(i int) int { return 1 + 99*(i%2) }, 0.02}, {3, func(i int) int { return 1 + 999*(i%2) }, 0.05},
	} {
		entries := pool(tt.n, tt.weight)
		total := 0
		for _, e := range entries {
			total += e.Weight
		}
		table := Build(entries, 7)
		for i, n := range shares(table, tt.n) {
			want := float64(len(table)) * float64(entries[i].Weight) / float64(total)
			if math.Abs(float64(n)-want) > want*tt.off+1 {
				t.Errorf("%d entries, entry %d of weight %d: %d slots, want %.0f", tt.n, i, entries[i].Weight, n, want)
			}
		}
	}
}

func TestTheOrderOfEntriesDoesNotMatter(t *testing.T) {
	entries := pool(50, func(i int) int { return 1 + i%3 })
	mixed := slices.Clone(entries)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	a, b := Build(entries, 3), Build(mixed, 3)
	for slot := range a {
		if entries[a[slot]].Key != mixed[b[slot]].Key {
			t.Fatalf("slot %d: %s and %s", slot, entries[a[slot]].Key, mixed[b[slot]].Key)
		}
	}
	if slices.Equal(a, Build(entries, 4)) {
		t.Error("the seed does not matter")
	}
}

// An entry that goes takes its own slots along and few others.
func TestRemovalDisruptsLittle(t *testing.T) {
	for _, n := range []int{3, 10, 100} {
		entries := pool(n, equal)
		before := Build(entries, 0)
		for gone := range min(n, 10) {
			rest := slices.Delete(slices.Clone(entries), gone, gone+1)
			after := Build(rest, 0)
			if len(after) != len(before) {
				continue // another size is another table
			}
			moved := 0
			for slot := range before {
				if int(before[slot]) != gone && entries[before[slot]].Key != rest[after[slot]].Key {
					moved++
				}
			}
			if share := float64(moved) / float64(len(before)); share > 0.04 {
				t.Errorf("of %d entries one went and %.1f %% of the others' slots moved", n, share*100)
			}
		}
	}
}

func TestALookupReachesEverySlotEvenly(t *testing.T) {
	table := Build(pool(10, equal), 0)
	counts := make([]int, 10)
	const draws = 100_000
	for i := range uint64(draws) {
		counts[table.Lookup(balance.Mix(i, 42))]++
	}
	chi := 0.0
	for _, n := range counts {
		d := float64(n) - draws/10
		chi += d * d / (draws / 10)
	}
	if chi > 40 { // 9 degrees of freedom: 27.9 at 0.1 %, and the table's own unevenness
		t.Errorf("chi-square %.1f: %v", chi, counts)
	}
}

func TestNothingIsATable(t *testing.T) {
	if table := Build(nil, 0); table != nil {
		t.Error(table)
	}
}

func FuzzBuild(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint16(5))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8, weight uint16) {
		entries := pool(int(n%40)+1, func(i int) int { return 1 + (int(weight)*i)%1000 })
		table := Build(entries, seed)
		for i, n := range shares(table, len(entries)) {
			if n == 0 {
				t.Errorf("entry %d of weight %d has no slot", i, entries[i].Weight)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	table := Build(pool(100, equal), 0)
	for i := range b.N {
		_ = table.Lookup(uint64(i) * 0x9e3779b97f4a7c15)
	}
}

func BenchmarkBuild(b *testing.B) {
	entries := pool(100, equal)
	for b.Loop() {
		Build(entries, 0)
	}
}
