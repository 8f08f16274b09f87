package body

import "strings"

// arena holds many short texts in few allocations. What it hands out stays
// valid: a full chunk is left to the texts in it, and never moved.
type arena struct {
	chunk int // bytes to get at a time, unless more is needed
	b     strings.Builder
}

// room makes sure that n bytes can be written to b without moving it, and
// returns where they will start.
func (a *arena) room(n int) int {
	if a.b.Cap()-a.b.Len() < n {
		a.b = strings.Builder{}
		a.b.Grow(max(n, a.chunk))
	}
	return a.b.Len()
}

// since returns what was written from start on.
func (a *arena) since(start int) string { return a.b.String()[start:] }

// keep copies p.
func (a *arena) keep(p []byte) string {
	start := a.room(len(p))
	a.b.Write(p)
	return a.since(start)
}
