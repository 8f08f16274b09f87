package balance

import (
	"math"
	"testing"
)

// chiSquare is how far counts are from the shares that the weights give them.
func chiSquare(counts, weights []int) float64 {
	total, weight := 0, 0
	for i := range counts {
		total += counts[i]
		weight += weights[i]
	}
	chi := 0.0
	for i, n := range counts {
		want := float64(total) * float64(weights[i]) / float64(weight)
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	return chi
}

// unlikely is a chi-square that chance exceeds once in a hundred million runs,
// by the approximation of Wilson and Hilferty.
func unlikely(freedom int) float64 {
	n := float64(freedom)
	return n * math.Pow(1-2/(9*n)+5.6*math.Sqrt(2/(9*n)), 3)
}

func idle(int) int64 { return 0 }

func TestTwoChoicesKeepToTheWeightsWhileAllAreIdle(t *testing.T) {
	same := func(int) float64 { return 0.01 }
	unknown := func(int) float64 { return 0 }
	for _, weights := range [][]int{{1, 1}, {1, 2, 3}, {100, 1, 1}, {7, 11, 13, 1, 1, 40}, {5, 5, 5, 5, 5, 5, 5, 5, 5, 5}} {
		for name, took := range map[string]Took{"p2c": nil, "ewma": same, "ewma, nobody has answered": unknown} {
			p := NewTwoChoices(weights, idle, took)
			counts := count(picks(p, 100_000), len(weights))
			if chi := chiSquare(counts, weights); chi > unlikely(len(weights)-1) {
				t.Errorf("%s: weights %v: %v, chi-square %.1f", name, weights, counts, chi)
			}
		}
	}
}

func TestTheBusierOfTwoIsNotPicked(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		loads   []int64
		took    []float64 // nil: p2c
		want    int
	}{
		{"fewest", []int{1, 1}, []int64{3, 2}, nil, 1},
		{"per weight", []int{10, 1}, []int64{9, 1}, nil, 0},
		{"per weight, the other way", []int{2, 1}, []int64{5, 2}, nil, 1},
		{"faster", []int{1, 1}, []int64{0, 0}, []float64{0.1, 0.01}, 1},
		{"faster and busier", []int{1, 1}, []int64{0, 8}, []float64{0.1, 0.01}, 1},
		{"faster and too busy", []int{1, 1}, []int64{0, 10}, []float64{0.1, 0.01}, 0},
		{"faster and full", []int{1, 1}, []int64{0, -1}, []float64{0.1, 0.01}, 0},
		{"one that has not answered is as fast", []int{1, 1}, []int64{1, 0}, []float64{0.01, 0}, 1},
		{"and draws no more than its part", []int{1, 1}, []int64{1, 2}, []float64{9, 0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var took Took
			if tt.took != nil {
				took = func(i int) float64 { return tt.took[i] }
			}
			p := NewTwoChoices(tt.weights, func(i int) int64 { return tt.loads[i] }, took)
			wrong := 0
			for range 2000 {
				if p.Pick(0, -1) != tt.want {
					wrong++
				}
			}
			// The heavier may be drawn five times in a row, with no other.
			if limit := 2000 * tt.weights[0] / 11; wrong > 0 && tt.weights[0] == tt.weights[1] || wrong > limit {
				t.Errorf("%d of 2000 went to the other", wrong)
			}
		})
	}
}

// What two choices are for: requests that never end pile up evenly, where
// random ones would differ by a hundred.
func TestTwoChoicesPileUpEvenly(t *testing.T) {
	const members, requests = 100, 100_000
	loads := make([]int64, members)
	weights := make([]int, members)
	for i := range weights {
		weights[i] = 1
	}
	p := NewTwoChoices(weights, func(i int) int64 { return loads[i] }, nil)
	for range requests {
		loads[p.Pick(0, -1)]++
	}
	for i, n := range loads {
		if n < requests/members-10 || n > requests/members+10 {
			t.Errorf("member %d has %d, the average is %d", i, n, requests/members)
		}
	}
}

// A member that hangs, or has come back and answers nothing, must not draw
// the requests of all others.
func TestAMemberThatHangsGetsABoundedPart(t *testing.T) {
	for name, took := range map[string]float64{"has never answered": 0, "was fast": 0.01} {
		loads := make([]int64, 4)
		p := NewTwoChoices([]int{1, 1, 1, 1}, func(i int) int64 { return loads[i] }, func(i int) float64 {
			if i == 0 {
				return took
			}
			return 0.01
		})
		const busy = 5 // requests that each of the others has in flight
		loads[1], loads[2], loads[3] = busy, busy, busy
		for range 10_000 {
			if p.Pick(0, -1) == 0 {
				loads[0]++ // and never ends
			}
		}
		if loads[0] > busy+1 {
			t.Errorf("%s: %d requests hang, the others have %d", name, loads[0], busy)
		}
	}
}
