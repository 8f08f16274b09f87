package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func identities(n int) []uint64 {
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = Sum(fmt.Sprintf("10.0.%d.%d:80", i/256, i%256), 0)
	}
	return ids
}

// clients are keys as they come: like each other.
func clients(n int) []uint64 {
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = Sum(fmt.Appendf(nil, "192.0.2.%d-%d", i%256, i/256), 0)
	}
	return keys
}

func TestHashGivesEachMemberItsShareOfTheKeys(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {1, 1, 1}, {1, 2, 3}, {100, 1}, {7, 11, 13, 1, 1, 40}, slices.Repeat([]int{3}, 30), slices.Repeat([]int{1, 5}, 20)} {
		h := NewHash(identities(len(weights)), weights, idle, 0)
		counts := make([]int, len(weights))
		for _, key := range clients(100_000) {
			counts[h.Pick(key, -1)]++
		}
		if chi := chiSquare(counts, weights); chi > unlikely(len(weights)-1) {
			t.Errorf("weights %v: %v, chi-square %.1f", weights, counts, chi)
		}
	}
}

// The whole point: whoever goes takes nobody's keys along, and whoever comes
// takes from each its part, and no other key moves.
func TestNoKeyMovesThatNeedNot(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	keys := clients(3000)
	for range 60 {
		n := 2 + random.IntN(30)
		ids, weights := identities(n), make([]int, n)
		sum := 0
		for i := range weights {
			weights[i] = 1 + random.IntN(9)
			sum += weights[i]
		}
		changed := random.IntN(n)
		without := NewHash(slices.Delete(slices.Clone(ids), changed, changed+1), slices.Delete(slices.Clone(weights), changed, changed+1), idle, 0)
		heavier := slices.Clone(weights)
		heavier[changed] *= 2
		all, more := NewHash(ids, weights, idle, 0), NewHash(ids, heavier, idle, 0)
		moved := 0
		for _, key := range keys {
			was := all.Pick(key, -1)
			now := without.Pick(key, -1)
			if now >= changed {
				now++
			}
			switch {
			case was == changed:
				moved++
				if second := all.Pick(key, changed); second != now {
					t.Fatalf("key %x: a retry goes to %d, and to %d once %d is gone", key, second, now, changed)
				}
			case was != now:
				t.Fatalf("key %x moved from %d to %d though %d went", key, was, now, changed)
			}
			if got := more.Pick(key, -1); got != was && got != changed {
				t.Fatalf("key %x moved from %d to %d though %d became heavier", key, was, got, changed)
			}
		}
		want := float64(len(keys)) * float64(weights[changed]) / float64(sum)
		if math.Abs(float64(moved)-want) > 6*math.Sqrt(want)+1 {
			t.Errorf("of %d keys %d moved, the share is %.0f", len(keys), moved, want)
		}
	}
}

func TestHashDoesNotDependOnTheOrderOfMembers(t *testing.T) {
	ids := identities(9)
	mixed, weights := slices.Clone(ids), slices.Repeat([]int{1}, 9)
	slices.Reverse(mixed)
	a, b := NewHash(ids, weights, idle, 0), NewHash(mixed, weights, idle, 0)
	for _, key := range clients(1000) {
		if a.Pick(key, -1) != 8-b.Pick(key, -1) {
			t.Fatal("another order, another member")
		}
	}
}

// Instances of all versions agree: these must never change.
func TestKeysAreTheSameForEver(t *testing.T) {
	if got := Sum("192.0.2.1", 0); got != Sum([]byte("192.0.2.1"), 0) || got != 0x7260036f341d9bb2 {
		t.Errorf("%#x", got)
	}
	h := NewHash(identities(5), []int{1, 1, 1, 1, 1}, idle, 0)
	weighted := NewHash(identities(5), []int{1, 2, 3, 4, 5}, idle, 0)
	var got []int
	for _, key := range clients(8) {
		got = append(got, h.Pick(key, -1), weighted.Pick(key, -1))
	}
	if want := []int{3, 3, 2, 2, 1, 4, 2, 2, 2, 2, 1, 4, 0, 3, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// Everybody asks for one thing: without a bound one member gets it all, with
// one nobody has more than the factor allows.
func TestAHotKeyOverflowsToItsNextMembers(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}, {10, 1, 1}} {
		for _, factor := range []int{0, 101, 125, 200} {
			loads := make([]int64, len(weights))
			h := NewHash(identities(len(weights)), weights, func(i int) int64 { return loads[i] }, factor)
			total, sum := 0, 0
			for _, w := range weights {
				sum += w
			}
			const hot = 42
			owner := h.Pick(hot, -1)
			for range 1000 {
				i := h.Pick(hot, -1)
				loads[i]++
				total++
				bound := min(int64(total), int64(math.Ceil(float64(factor)/100*float64(total)*float64(weights[owner])/float64(sum))))
				switch {
				case factor == 0 && i != owner:
					t.Fatalf("weights %v, no bound: %d got a request, %d has the key", weights, i, owner)
				case factor != 0 && loads[owner] != bound:
					t.Fatalf("weights %v, factor %d: of %d requests the owner has %d, want just the bound, %d", weights, factor, total, loads[owner], bound)
				}
				for i, n := range loads {
					if factor != 0 && float64(n) >= float64(factor*total*weights[i])/float64(100*sum)+1 {
						t.Fatalf("weights %v, factor %d: of %d requests %d has %d", weights, factor, total, i, n)
					}
				}
			}
			if loads[owner] < int64(1000*weights[owner]/sum) {
				t.Errorf("weights %v, factor %d: the owner has %d of 1000", weights, factor, loads[owner])
			}
		}
	}
}

func TestABoundWithoutLoadMovesNoKey(t *testing.T) {
	ids, weights := identities(7), []int{1, 2, 1, 2, 1, 2, 1}
	bounded, free := NewHash(ids, weights, idle, 125), NewHash(ids, weights, idle, 0)
	for _, key := range clients(2000) {
		if bounded.Pick(key, -1) != free.Pick(key, -1) {
			t.Fatal("a key moved though nobody has anything to do")
		}
	}
}
