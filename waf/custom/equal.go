package custom

// equal is Equal.
type equal map[string]struct{}

func newEqual(values []string) equal {
	m := make(equal, len(values))
	for _, v := range values {
		m[v] = struct{}{}
	}
	return m
}

func (m equal) holds(value string) bool {
	_, ok := m[value]
	return ok
}
