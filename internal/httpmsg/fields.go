// Package httpmsg is the HTTP message that the protocols, the gateway and the
// web application firewall share.
//
// A message is a set of spans over the buffer it was received in (the wire)
// and over an append-only arena for what the gateway adds. Fields keep their
// order, their case and, while untouched, their very bytes.
//
// Nothing returned by a message outlives it: who keeps text clones it.
package httpmsg

// Span is a piece of a message's text: of its wire, or of its arena when Off
// is negative (at ^Off). The zero Span is empty.
type Span struct {
	Off, Len int32
}

// Fields are the header fields of a message in the order of their lines.
type Fields struct {
	wire  []byte
	arena []byte
	list  []field
}

type field struct {
	name  Span
	value Span
	line  int32 // length of the whole line with its CRLF, as received, which begins with the name; 0: restate it
	id    ID
	dead  bool
}

// Reset forgets every field and points the message at a new wire. The arena's
// and the list's memory is kept for reuse.
func (f *Fields) Reset(wire []byte) {
	f.wire = wire
	f.arena = f.arena[:0]
	f.list = f.list[:0]
}

// SetWire points the message at its wire again after the buffer holding it
// was moved; the content must be the same.
func (f *Fields) SetWire(wire []byte) { f.wire = wire }

// Bytes is the text of a span. It is valid until the message is reset, and
// text in the arena only until something is added.
func (f *Fields) Bytes(s Span) []byte {
	if s.Off < 0 {
		return f.arena[^s.Off : ^s.Off+s.Len]
	}
	return f.wire[s.Off : s.Off+s.Len]
}

// Keep copies text into the arena.
func (f *Fields) Keep(text []byte) Span {
	off := len(f.arena)
	f.arena = append(f.arena, text...)
	return Span{^int32(off), int32(len(text))}
}

// KeepString copies text into the arena.
func (f *Fields) KeepString(text string) Span {
	off := len(f.arena)
	f.arena = append(f.arena, text...)
	return Span{^int32(off), int32(len(text))}
}

// Arena returns the arena for appending and Kept makes a span of what was
// appended to it:
//
//	a := f.Arena()
//	n := len(a)
//	a = strconv.AppendInt(a, v, 10)
//	s := f.Kept(a, n)
func (f *Fields) Arena() []byte { return f.arena }

// Kept takes the arena back after something was appended at from.
func (f *Fields) Kept(arena []byte, from int) Span {
	f.arena = arena
	return Span{^int32(from), int32(len(arena) - from)}
}

// Parsed adds a field that the parser found in the wire; line is the whole
// line with its CRLF, which begins with the name.
func (f *Fields) Parsed(name, value, line Span, id ID) {
	n := len(f.list)
	if n == cap(f.list) {
		f.list = append(f.list, field{})
	} else {
		f.list = f.list[:n+1]
	}
	p := &f.list[n] // filled in place: it is worth 20 ns per head
	p.name, p.value, p.line, p.id, p.dead = name, value, line.Len, id, false
}

// Len is the number of field slots, deleted ones included: the range of At.
func (f *Fields) Len() int { return len(f.list) }

// At returns the i-th field; ok is false where a field was deleted.
func (f *Fields) At(i int) (id ID, name, value []byte, ok bool) {
	p := &f.list[i]
	if p.dead {
		return 0, nil, nil, false
	}
	return p.id, f.Bytes(p.name), f.Bytes(p.value), true
}

// IDAt returns the identity of the i-th field, live or not, and whether it is
// live.
func (f *Fields) IDAt(i int) (ID, bool) { return f.list[i].id, !f.list[i].dead }

// ValueAt returns the i-th field's value.
func (f *Fields) ValueAt(i int) []byte { return f.Bytes(f.list[i].value) }

// ValueSpanAt returns where the i-th field's value is.
func (f *Fields) ValueSpanAt(i int) Span { return f.list[i].value }

// DeleteAt deletes the i-th field.
func (f *Fields) DeleteAt(i int) { f.list[i].dead = true }

// SetValueAt replaces the i-th field's value; name and place stay.
func (f *Fields) SetValueAt(i int, value Span) {
	f.list[i].value = value
	f.list[i].line = 0
}

// RestateAt makes the i-th field go out as "Name: value" even if other white
// space was around the value when it came: for fields that must not be read in
// two ways.
func (f *Fields) RestateAt(i int) {
	p := &f.list[i]
	if p.line != p.name.Len+p.value.Len+int32(len(": \r\n")) || f.wire[p.name.Off+p.name.Len+1] != ' ' {
		p.line = 0
	}
}

// Get returns the first value of a known field.
func (f *Fields) Get(id ID) (value []byte, ok bool) {
	for i := range f.list {
		if f.list[i].id == id && !f.list[i].dead {
			return f.Bytes(f.list[i].value), true
		}
	}
	return nil, false
}

// Lookup returns the first value of the field with this name, compared
// without regard to case.
func (f *Fields) Lookup(name string) (value []byte, ok bool) {
	for i := range f.list {
		if p := &f.list[i]; !p.dead && EqualFold(f.Bytes(p.name), name) {
			return f.Bytes(p.value), true
		}
	}
	return nil, false
}

// Count is the number of live fields of a known name.
func (f *Fields) Count(id ID) int {
	n := 0
	for i := range f.list {
		if f.list[i].id == id && !f.list[i].dead {
			n++
		}
	}
	return n
}

// Delete deletes every field of a known name.
func (f *Fields) Delete(id ID) {
	for i := range f.list {
		if f.list[i].id == id {
			f.list[i].dead = true
		}
	}
}

// DeleteName deletes every field with this name.
func (f *Fields) DeleteName(name []byte) {
	for i := range f.list {
		if p := &f.list[i]; !p.dead && EqualFoldBytes(f.Bytes(p.name), name) {
			p.dead = true
		}
	}
}

// Add appends a field with text that is already in the message.
func (f *Fields) Add(id ID, name, value Span) {
	f.list = append(f.list, field{name: name, value: value, id: id})
}

// AddString appends a field.
func (f *Fields) AddString(name, value string) {
	f.Add(IDOf(name), f.KeepString(name), f.KeepString(value))
}

// AppendLines appends every live field as "Name: value CRLF" to dst. Lines
// that nobody touched go out as they came, neighbours in one copy.
func (f *Fields) AppendLines(dst []byte) []byte {
	from, to := int32(0), int32(0) // a run of untouched lines in the wire
	for i := range f.list {
		p := &f.list[i]
		if p.dead {
			continue
		}
		if p.line > 0 {
			if p.name.Off != to {
				dst = append(dst, f.wire[from:to]...)
				from, to = p.name.Off, p.name.Off
			}
			to += p.line
			continue
		}
		dst = append(dst, f.wire[from:to]...)
		from, to = 0, 0
		dst = append(dst, f.Bytes(p.name)...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Bytes(p.value)...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, f.wire[from:to]...)
}

// EqualFold reports whether a is name without regard to the case of ASCII
// letters.
func EqualFold(a []byte, name string) bool {
	return len(a) == len(name) && equalFold(a, name)
}

// EqualFoldBytes is EqualFold for two byte slices.
func EqualFoldBytes(a, b []byte) bool {
	return len(a) == len(b) && equalFold(a, b)
}

// equalFold compares texts of the same length, eight bytes at a time; the last
// eight may overlap those before them.
func equalFold[T string | []byte](a []byte, b T) bool {
	n := len(a)
	if n < 8 {
		for i := range n {
			if lower[a[i]] != lower[b[i]] {
				return false
			}
		}
		return true
	}
	for i := 0; ; i += 8 {
		i = min(i, n-8)
		if x, y := load8(a, i), load8(b, i); x != y && lower8(x) != lower8(y) {
			return false
		}
		if i == n-8 {
			return true
		}
	}
}

// load8 reads eight bytes as one number. The compiler makes it one load.
func load8[T string | []byte](b T, i int) uint64 {
	_ = b[i+7]
	return uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
		uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56
}

// lower8 is lower for eight bytes: where a byte, without its highest bit, is
// from A to Z, one addition carries into that bit and the other does not.
func lower8(x uint64) uint64 {
	const ones = 0x0101010101010101
	low := x & (0x7f * ones)
	capitals := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) &^ x & (0x80 * ones)
	return x | capitals>>2
}

// lower maps ASCII upper case to lower case and leaves every other byte.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// AppendLower appends text in lower case (ASCII).
func AppendLower(dst, text []byte) []byte {
	for _, c := range text {
		dst = append(dst, lower[c])
	}
	return dst
}
