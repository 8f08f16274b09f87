package http2

// ring remembers the streams that were reset last. What a client has sent on
// them before it heard of it is not an error (RFC 9113 5.1).
type ring struct {
	ids [2 * MaxStreams]uint32
	at  int
}

func (r *ring) add(id uint32) {
	r.ids[r.at%len(r.ids)] = id
	r.at++
}

func (r *ring) has(id uint32) bool {
	for _, other := range r.ids {
		if other == id {
			return true
		}
	}
	return false
}
