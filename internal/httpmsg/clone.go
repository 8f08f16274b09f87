package httpmsg

import "bytes"

// Clone makes r a copy of q with text of its own, which outlives q. Spans of q
// are good for r.
func (r *Request) Clone(q *Request) {
	*r = *q
	r.wire, r.arena = bytes.Clone(q.wire), bytes.Clone(q.arena)
	r.list = append([]field(nil), q.list...)
}
