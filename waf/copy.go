package waf

import "gatehouse/waf/variables"

// Memory counts what transactions keep of bodies that are not held. One
// transaction uses it from one goroutine at a time.
type Memory interface {
	// Reserve asks for n more bytes, 0 or more; it is asked before every piece.
	// After a no, the transaction makes do with what it has.
	Reserve(n int) bool
	// Release gives n bytes back.
	Release(n int)
}

// smallestCopy is what the copy of a body begins with, in bytes.
const smallestCopy = 8 << 10

// collect gathers the beginning of a body that is not held, and judges it when
// there is enough, or no memory for more of it.
func (t *Transaction) collect(piece []byte, end bool) Decision {
	n := min(len(piece), t.inspected-len(t.seen))
	if !end && len(t.seen)+n < t.inspected {
		if t.keep(piece[:n]) {
			return Decision{Watch: true}
		}
		t.unseen("request body was inspected in part: there is no memory for more of it")
	}
	text := string(t.seen) + string(piece[:n])
	t.seen = nil
	return t.inspect(text, end && n == len(piece))
}

// keep adds a piece to the copy of the body; false when there is no memory for
// it. The copy's memory is twice as large each time, so that it follows what
// has arrived.
func (t *Transaction) keep(piece []byte) bool {
	size := t.reserved
	if need := len(t.seen) + len(piece); need > size {
		size = min(max(need, 2*size, smallestCopy), t.inspected)
	}
	if m := t.client.Memory; m != nil && !m.Reserve(size-t.reserved) {
		return false
	}
	if t.reserved = size; cap(t.seen) < size {
		t.seen = append(make([]byte, 0, size), t.seen...)
	}
	t.seen = append(t.seen, piece...)
	return true
}

// forget lets go of the request's body once nothing asks for it any more:
// neither the rules, nor those about a response.
func (t *Transaction) forget() {
	t.seen, t.req.Body = nil, variables.Body{}
	if t.client.Memory != nil && t.reserved > 0 {
		t.client.Memory.Release(t.reserved)
	}
	t.reserved = 0
}
