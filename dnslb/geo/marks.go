package geo

import "math/bits"

// Marks are some of the numbers from 0 up to a limit. It takes as long to find
// the nearest, a few steps, however far that is. They need an eighth of a byte
// for each number, marked or not. The zero value has the limit 0.
type Marks struct {
	limit int
	// levels have a bit for each number, the first, and then one for each
	// word of the level before that has a bit, up to a single word.
	levels [][]uint64
}

// NewMarks marks those of the first limit numbers that the function tells. It
// asks for each once, in ascending order.
func NewMarks(limit int, marked func(i int) bool) *Marks {
	m := &Marks{limit: limit}
	if limit == 0 {
		return m
	}
	words := make([]uint64, (limit+63)/64)
	for i := range limit {
		bit := uint64(0) // without a jump: which numbers are marked cannot be foretold
		if marked(i) {
			bit = 1
		}
		words[i/64] |= bit << (i % 64)
	}
	m.levels = [][]uint64{words}
	for len(words) > 1 {
		above := make([]uint64, (len(words)+63)/64)
		for i, w := range words {
			if w != 0 {
				above[i/64] |= 1 << (i % 64)
			}
		}
		m.levels = append(m.levels, above)
		words = above
	}
	return m
}

// Before is the greatest marked number up to i, which is below the limit, and
// i itself if that is marked; 0 if there is none.
func (m *Marks) Before(i int) int {
	for level, words := range m.levels {
		if w := words[i/64] & (2<<(i%64) - 1); w != 0 {
			i = i/64*64 + bits.Len64(w) - 1
			for level--; level >= 0; level-- {
				i = i*64 + bits.Len64(m.levels[level][i]) - 1
			}
			return i
		}
		if i = i/64 - 1; i < 0 {
			break
		}
	}
	return 0
}

// After is the smallest marked number above i, the limit if there is none.
func (m *Marks) After(i int) int {
	i++
	for level, words := range m.levels {
		if i/64 >= len(words) {
			break
		}
		if w := words[i/64] &^ (1<<(i%64) - 1); w != 0 {
			i = i/64*64 + bits.TrailingZeros64(w)
			for level--; level >= 0; level-- {
				i = i*64 + bits.TrailingZeros64(m.levels[level][i])
			}
			return i
		}
		i = i/64 + 1
	}
	return m.limit
}
