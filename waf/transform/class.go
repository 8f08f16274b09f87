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

// everything is the class of all bytes, notASCII that of the bytes that ASCII
// has not.
var (
	everything = between(0, 255)
	notASCII   = between(128, 255)
)

// between is the set of the bytes from first to last.
func between(first, last byte) Class {
	var c Class
	for b := int(first); b <= int(last); b++ {
		c.Add(byte(b))
	}
	return c
}

// without is the set of the bytes of c that d has not.
func (c Class) without(d Class) Class {
	return Class{c[0] &^ d[0], c[1] &^ d[1], c[2] &^ d[2], c[3] &^ d[3]}
}

// table is a class as an array, which is quicker to look bytes up in.
func (c Class) table() (t [256]bool) {
	for b := range t {
		t[b] = c.Contains(byte(b))
	}
	return t
}
