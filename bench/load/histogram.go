//go:build linux

package load

import (
	"math"
	"math/bits"
	"time"
)

// subBits is the precision of a Histogram: each power of two is split into
// 1<<subBits buckets, so that a value is known to within 1/128.
const subBits = 7

// Histogram counts durations in buckets of constant relative width, as
// HdrHistogram does. The zero value is ready to use.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
	total  uint64
	max    time.Duration
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Add counts everything that other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is the number of durations recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest duration recorded.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the smallest duration that at least the fraction q (0..1) of
// all recorded ones do not exceed, rounded up by less than 1/128; 0 if none
// has been recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(h.total))))
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen >= rank {
			return min(time.Duration(upperBound(i)), h.max)
		}
	}
	return h.max
}

// bucket maps a value to its bucket: values below 1<<subBits exactly, the
// rest by their highest subBits+1 bits.
func bucket(v uint64) int {
	exponent := bits.Len64(v>>subBits) - 1
	if exponent < 0 {
		return int(v)
	}
	return exponent<<subBits + int(v>>exponent)
}

// upperBound is the largest value of a bucket.
func upperBound(i int) uint64 {
	if i < 2<<subBits {
		return uint64(i)
	}
	exponent := i>>subBits - 1
	mantissa := uint64(i - exponent<<subBits)
	return (mantissa+1)<<exponent - 1
}
