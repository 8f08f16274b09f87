//go:build linux

package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEveryValueFallsIntoABucketThatHoldsIt(t *testing.T) {
	for shift := range 63 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift, 1<<shift + 1, 3 << shift / 2} {
			i := bucket(v)
			if upper := upperBound(i); upper < v || float64(upper-v) > float64(v)/128 {
				t.Errorf("%d is in bucket %d, which ends at %d", v, i, upper)
			}
			if i > 0 && upperBound(i-1) >= v {
				t.Errorf("%d is in bucket %d, but fits the one before", v, i)
			}
		}
	}
	if last := bucket(math.MaxInt64); last >= len(Histogram{}.counts) {
		t.Errorf("bucket %d of the longest duration is out of range", last)
	}
}

func TestQuantilesAgreeWithASortedList(t *testing.T) {
	var all []time.Duration
	var a, b Histogram
	for i := range 20_000 {
		d := time.Duration(math.Exp(rand.Float64()*15) * 100)
		all = append(all, d)
		if i%2 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Add(&b)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := a.Quantile(q)
		if got < want || float64(got-want) > float64(want)/128 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if a.Count() != 20_000 || a.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %v", a.Count(), a.Max())
	}
}

func TestAnEmptyHistogramIsZero(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("quantile: %v", got)
	}
}
