package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func picks(p Picker, n int) []int {
	var all []int
	for range n {
		all = append(all, p.Pick(0, -1))
	}
	return all
}

func count(picked []int, members int) []int {
	counts := make([]int, members)
	for _, i := range picked {
		counts[i]++
	}
	return counts
}

func TestRoundRobinGivesEachMemberItsShareOverOneCycle(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		cycle   int
		want    []int
	}{
		{"one member", []int{7}, 1, []int{1}},
		{"equal", []int{1, 1, 1}, 3, []int{1, 1, 1}},
		{"equal and heavy", []int{1000, 1000}, 2, []int{1, 1}},
		{"common divisor", []int{10, 20, 30}, 6, []int{1, 2, 3}},
		{"one heavy", []int{5, 1, 1}, 7, []int{5, 1, 1}},
		{"coprime", []int{7, 11, 13}, 31, []int{7, 11, 13}},
		{"zero and negative count as one", []int{0, -5, 2}, 4, []int{1, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cursor atomic.Uint64
			cursor.Store(12345) // any whole cycle is exact, wherever it starts
			p := NewRoundRobin(tt.weights, nil, &cursor)
			if len(p.sequence) != tt.cycle {
				t.Errorf("cycle of %d, want %d", len(p.sequence), tt.cycle)
			}
			for round := range 3 {
				if got := count(picks(p, tt.cycle), len(tt.weights)); !slices.Equal(got, tt.want) {
					t.Errorf("round %d: %v, want %v", round, got, tt.want)
				}
			}
		})
	}
}

func TestRoundRobinIsNeverAWholePickAwayFromTheShare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		weights := make([]int, 1+random.IntN(12))
		sum := 0
		for i := range weights {
			weights[i] = 1 + random.IntN(40)
			sum += weights[i]
		}
		had := make([]int, len(weights))
		for k, i := range spread(shares(weights)) {
			had[i]++
			for j, w := range weights {
				want := float64(w) * float64(k+1) / float64(sum)
				if math.Abs(float64(had[j])-want) >= 1 {
					t.Fatalf("weights %v: after %d picks member %d had %d, its share is %.2f", weights, k+1, j, had[j], want)
				}
			}
		}
	}
}

func TestRoundRobinBoundsTheSequence(t *testing.T) {
	tests := []struct {
		name    string
		members int
		weight  func(i int) int
	}{
		{"large coprime weights", 3, func(i int) int { return 999_983 + i }},
		{"overflowing weights", 2, func(i int) int { return math.MaxInt - i }},
		{"many members", 3000, func(i int) int { return 1 + i%1000 }},
		{"a giant among dwarfs", 100, func(i int) int { return 1 + (i/99)*1000 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			weights := make([]int, tt.members)
			total := 0.0
			for i := range weights {
				weights[i] = tt.weight(i)
				total += float64(positive(weights[i]))
			}
			s := spread(shares(weights))
			if limit := longest(tt.members); int64(len(s)) > limit+int64(tt.members) {
				t.Errorf("sequence of %d, want at most %d", len(s), limit)
			}
			got := make([]int, tt.members)
			for _, i := range s {
				got[i]++
			}
			for i, n := range got {
				share := float64(n) / float64(len(s))
				want := float64(positive(weights[i])) / total
				if n == 0 || math.Abs(share-want) > 0.02 {
					t.Fatalf("member %d has a share of %.4f, want %.4f", i, share, want)
				}
			}
		})
	}
}

func TestPickersLeaveOutWhoIsAvoidedOrFull(t *testing.T) {
	full := map[int]bool{}
	load := func(i int) int64 {
		if full[i] {
			return -1
		}
		return 0
	}
	weights := []int{100, 1, 1}
	for name, make := range map[string]func() Picker{
		"round robin":    func() Picker { return NewRoundRobin(weights, load, new(atomic.Uint64)) },
		"least requests": func() Picker { return NewLeastRequests(weights, load, new(atomic.Uint64)) },
		"two choices":    func() Picker { return NewTwoChoices(weights, load, nil) },
		"peak EWMA":      func() Picker { return NewTwoChoices(weights, load, func(i int) float64 { return float64(3 - i) }) },
		"hash":           func() Picker { return NewHash(identities(3), weights, load, 0) },
		"bounded hash":   func() Picker { return NewHash(identities(3), weights, load, 101) },
	} {
		t.Run(name, func(t *testing.T) {
			clear(full)
			p := make()
			for range 300 {
				if i := p.Pick(0, 0); i != 1 && i != 2 {
					t.Fatalf("picked %d, avoiding 0", i)
				}
			}
			full[1] = true
			for range 300 {
				if i := p.Pick(0, 0); i != 2 {
					t.Fatalf("picked %d, want 2: 0 is avoided and 1 is full", i)
				}
			}
			if i := p.Pick(0, 2); i != 0 {
				t.Errorf("picked %d, want 0", i)
			}
			full[0], full[2] = true, true
			if i := p.Pick(0, -1); i != -1 {
				t.Errorf("picked %d though all are full", i)
			}
		})
	}
}

func TestPickersOfNobodyPickNobody(t *testing.T) {
	load := func(int) int64 { return 0 }
	for _, p := range []Picker{NewRoundRobin(nil, nil, new(atomic.Uint64)), NewLeastRequests(nil, load, new(atomic.Uint64)),
		NewTwoChoices(nil, load, nil), NewHash(nil, nil, load, 125)} {
		if i := p.Pick(0, -1); i != -1 {
			t.Errorf("%T picked %d", p, i)
		}
	}
}

func TestLeastRequestsPicksFewestForTheWeight(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		loads   []int64
		want    int
	}{
		{"fewest", []int{1, 1, 1}, []int64{3, 1, 2}, 1},
		{"idle", []int{1, 1, 1}, []int64{1, 1, 0}, 2},
		{"per weight", []int{10, 1}, []int64{9, 1}, 0},
		{"per weight, the other way", []int{10, 1}, []int64{21, 2}, 1},
		{"full", []int{1, 1}, []int64{-1, 900}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewLeastRequests(tt.weights, func(i int) int64 { return tt.loads[i] }, new(atomic.Uint64))
			for range 20 { // wherever looking starts
				if got := p.Pick(0, -1); got != tt.want {
					t.Fatalf("picked %d, want %d", got, tt.want)
				}
			}
		})
	}
}

func TestLeastRequestsTakesTurnsByWeightAmongTheIdle(t *testing.T) {
	p := NewLeastRequests([]int{3, 1, 2}, func(int) int64 { return 0 }, new(atomic.Uint64))
	if got := count(picks(p, 60), 3); !slices.Equal(got, []int{30, 10, 20}) {
		t.Errorf("%v, want 30, 10, 20", got)
	}
}

func TestRoundRobinIsExactUnderConcurrency(t *testing.T) {
	p := NewRoundRobin([]int{1, 2, 3}, nil, new(atomic.Uint64))
	var counts [3]atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 600 {
				counts[p.Pick(0, -1)].Add(1)
			}
		})
	}
	wg.Wait()
	for i := range counts {
		if got := counts[i].Load(); got != int64(400*(i+1)) {
			t.Errorf("member %d was picked %d times, want %d", i, got, 400*(i+1))
		}
	}
}

func TestASuccessorGoesOnWhereThePickerStopped(t *testing.T) {
	var cursor atomic.Uint64
	weights := []int{1, 1, 1, 1}
	got := append(picks(NewRoundRobin(weights, nil, &cursor), 3), picks(NewRoundRobin(weights, nil, &cursor), 3)...)
	if want := []int{0, 1, 2, 3, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPickingAllocatesNothing(t *testing.T) {
	load := func(i int) int64 { return int64(i) }
	weights := []int{3, 1, 2}
	var latency Latency
	took := func(int) float64 { return latency.Seconds(2e9) }
	for _, p := range []Picker{NewRoundRobin(weights, load, new(atomic.Uint64)), NewLeastRequests(weights, load, new(atomic.Uint64)),
		NewTwoChoices(weights, load, nil), NewTwoChoices(weights, load, took), NewHash(identities(3), weights, load, 125)} {
		latency.Observe(1e9, 1e6)
		if n := testing.AllocsPerRun(100, func() { p.Pick(0, 1) }); n != 0 {
			t.Errorf("%T: %v allocations per pick", p, n)
		}
	}
}

// A request that comes again after a failure has had its turn: if the second
// pick took another, first picks of two members would all go to the dead one.
func TestAPickThatAvoidsTakesNoTurn(t *testing.T) {
	var cursor atomic.Uint64
	load := func(int) int64 { return 0 }
	for name, p := range map[string]Picker{"round robin": NewRoundRobin([]int{1, 1}, nil, &cursor), "least requests": NewLeastRequests([]int{1, 1}, load, &cursor)} {
		first := [2]int{}
		for range 100 {
			i := p.Pick(0, -1)
			first[i]++
			if i == 0 && p.Pick(0, 0) != 1 {
				t.Errorf("%s: the second pick is not 1", name)
			}
		}
		if first != [2]int{50, 50} {
			t.Errorf("%s: first picks are %v", name, first)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	load := func(i int) int64 { return int64(i) }
	var latencies [3]Latency
	for i := range latencies {
		latencies[i].Observe(1e9, int64(1+i)*1e6)
	}
	for _, n := range []int{3, 30, 300} {
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1 + i%3
		}
		for name, p := range map[string]Picker{
			"roundRobin":    NewRoundRobin(weights, nil, new(atomic.Uint64)),
			"leastRequests": NewLeastRequests(weights, load, new(atomic.Uint64)),
			"p2c":           NewTwoChoices(weights, load, nil),
			"ewma":          NewTwoChoices(weights, load, func(i int) float64 { return latencies[i%3].Seconds(2e9) }),
			"hash":          NewHash(identities(n), weights, load, 0),
			"boundedHash":   NewHash(identities(n), weights, load, 125),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for key := uint64(0); b.Loop(); key++ {
					p.Pick(key, -1)
				}
			})
		}
	}
}

func BenchmarkNewRoundRobin(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1 + i
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				NewRoundRobin(weights, nil, new(atomic.Uint64))
			}
		})
	}
}
