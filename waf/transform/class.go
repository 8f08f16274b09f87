package transform

// Class is a set of bytes. The zero value is the empty set; two classes are
// equal by == when they have the same bytes.
type Class [4]uint64

// ClassOf is the set of the bytes of a text.
func ClassOf(text string) Class {
	var c Class
	for i := range len(text) {
		c.Add(text[i])
	}
	return c
}

// Add puts a byte into the set.
func (c *Class) Add(b byte) { c[b>>6] |= 1 << (b & 63) }

// Contains tells whether a byte is in the set.
func (c Class) Contains(b byte) bool { return c[b>>6]&(1<<(b&63)) != 0 }

// Union is the set of the bytes that are in one of the two.
func (c Class) Union(d Class) Class {
	return Class{c[0] | d[0], c[1] | d[1], c[2] | d[2], c[3] | d[3]}
}

// Intersects tells whether some byte is in both.
func (c Class) Intersects(d Class) bool {
	return c[0]&d[0]|c[1]&d[1]|c[2]&d[2]|c[3]&d[3] != 0
}
