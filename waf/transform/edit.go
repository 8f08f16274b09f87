package transform

import "unsafe"

// edit makes a changed copy of a text from front to back. It costs nothing
// until the first cut.
type edit struct {
	text string
	done int    // what precedes this offset of text is in out, or was cut
	out  []byte // nil: nothing was cut yet
}

// cut leaves text[from:to] out. from is not less than the to of the cut before.
func (e *edit) cut(from, to int) {
	if e.out == nil {
		e.out = make([]byte, 0, len(e.text))
	}
	e.out = append(e.out, e.text[e.done:from]...)
	e.done = to
}

// put adds a byte in the place of what was cut last.
func (e *edit) put(b byte) { e.out = append(e.out, b) }

// String is the changed text: text itself when nothing was cut.
func (e *edit) String() string {
	if e.out == nil {
		return e.text
	}
	return asString(append(e.out, e.text[e.done:]...))
}

// asString is a text of bytes that nobody writes to any more.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
