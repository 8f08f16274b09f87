package geo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMarksFindTheNearest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for _, limit := range []int{1, 2, 63, 64, 65, 128, 4096, 4097, 20_000, 300_000} {
		for _, gap := range []int{1, 2, 70, 5000, limit + 1} {
			marked := make([]bool, limit)
			for i := range marked {
				marked[i] = random.IntN(gap) == 0 && gap <= limit
			}
			m := NewMarks(limit, func(i int) bool { return marked[i] })
			for _, i := range append(random.Perm(limit)[:min(limit, 200)], 0, limit-1) {
				before := i
				for before > 0 && !marked[before] {
					before--
				}
				after := limit
				if n := slices.Index(marked[i+1:], true); n >= 0 {
					after = i + 1 + n
				}
				if b, a := m.Before(i), m.After(i); b != before || a != after {
					t.Fatalf("%d of %d: %d and %d, want %d and %d", i, limit, b, a, before, after)
				}
			}
		}
	}
}
