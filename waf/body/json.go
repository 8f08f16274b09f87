package body

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/waf/variables"
)

// What Coraza allows the names and values of one document's leaves: names
// repeat the path to each leaf, so they could be far larger than the body.
const (
	flatFactor = 8
	flatFloor  = 4096
)

// parseJSON reads a document into b.ArgsPost: its leaves under names like
// json.a.0.b, and the lengths of its arrays under the arrays' names.
func parseJSON(b *variables.Body, text string, lines bool, lim Limits) (truncated bool, refused *Refusal) {
	r := newJSONReader(text, lim)
	if lines {
		r.lines()
	} else {
		r.document()
	}
	switch {
	case lim.Strict && r.failed == reasonJSONSize:
		return false, refuse(413, r.failed)
	case lim.Strict && r.failed != "":
		return false, refuse(400, r.failed)
	case lim.Strict && r.ambiguous != "":
		return false, refuse(400, r.ambiguous)
	case r.failed == reasonJSONSyntax && !lines:
		b.ArgsPost, truncated, b.Error = looseJSON(text, lim)
		return truncated, nil
	}
	b.ArgsPost, b.Error = r.pairs, r.failed
	return r.truncated, nil
}

// jsonReader walks a JSON text once (RFC 8259, to the letter) and keeps its
// leaves. Methods that read return false when the text is at fault; failed
// then says why. pos is the next byte to read.
type jsonReader struct {
	text string
	pos  int
	lim  Limits

	path    []byte // the name of what is being read
	flat    arena  // names, and strings that had escapes
	pairs   []variables.Pair
	used    int // bytes of names and values so far
	budget  int
	lengths int      // pairs that are array lengths
	keys    []string // of the objects that are open, where duplicates matter

	pathRoom [96]byte // what path and keys use before they need more
	keyRoom  [12]string

	full      bool // no more leaves are kept; the rest is read for its faults
	truncated bool // leaves or lengths are missing
	failed    string
	ambiguous string // the first thing that parsers read differently
}

func newJSONReader(text string, lim Limits) *jsonReader {
	r := &jsonReader{text: text, lim: lim, budget: max(flatFloor, flatFactor*len(text))}
	r.flat.chunk = min(len(text), 32<<10)
	// Most leaves take more than 16 bytes; what is wrong here costs a copy.
	r.pairs = make([]variables.Pair, 0, min(8+len(text)/16, lim.Args))
	r.path = append(r.pathRoom[:0], "json"...)
	r.keys = r.keyRoom[:0]
	return r
}

// document reads a text that is one value.
func (r *jsonReader) document() {
	r.blanks()
	ok := false
	if r.peek() == '{' || r.peek() == '[' {
		ok = r.container(1)
	} else {
		ok = r.scalarDocument()
	}
	if ok {
		if r.blanks(); r.pos < len(r.text) {
			r.syntax()
		}
	}
}

// scalarDocument reads a value without members. Coraza has it as the only
// element of an array.
func (r *jsonReader) scalarDocument() bool {
	value, ok := r.scalar()
	return ok && r.index(0) && r.leaf(value) && r.up(len("json")) && r.length(1)
}

// lines reads one value after another, each on a line of its own, like the
// elements of an array. Coraza has no such reader.
func (r *jsonReader) lines() {
	n := 0
	for {
		separated := r.separator()
		if r.pos == len(r.text) {
			break
		}
		if n > 0 && !separated {
			r.syntax()
			return
		}
		if !r.element(n, 0) {
			return
		}
		n++
	}
	if n > 0 {
		r.length(n)
	}
}

// separator passes over white space, and the record separators of RFC 7464.
// It tells if there was a line's end or a record's.
func (r *jsonReader) separator() (separated bool) {
	for {
		r.blanks()
		separated = separated || r.pos > 0 && strings.IndexByte("\n\r\x1e", r.text[r.pos-1]) >= 0
		if r.pos == len(r.text) || r.text[r.pos] != 0x1e {
			return separated
		}
		r.pos++
	}
}

// container reads the object or array that begins at pos.
func (r *jsonReader) container(depth int) bool {
	if depth > r.lim.Depth {
		return r.fail(reasonJSONDepth)
	}
	if r.text[r.pos] == '{' {
		return r.object(depth)
	}
	return r.array(depth)
}

func (r *jsonReader) object(depth int) bool {
	keys := len(r.keys)
	r.pos++
	if r.blanks(); r.peek() == '}' {
		r.pos++
		return true
	}
	for more := true; more; {
		if !r.member(depth) {
			return false
		}
		var ok bool
		if more, ok = r.next('}'); !ok {
			return false
		}
	}
	r.duplicates(keys)
	return true
}

// member reads a key and its value.
func (r *jsonReader) member(depth int) bool {
	r.blanks()
	if r.peek() != '"' {
		return r.syntax()
	}
	key, ok := r.str()
	if !ok {
		return false
	}
	if r.lim.Strict {
		r.keys = append(r.keys, key)
	}
	if r.blanks(); r.peek() != ':' {
		return r.syntax()
	}
	r.pos++
	above := len(r.path)
	r.path = append(append(r.path, '.'), key...)
	return r.value(depth) && r.up(above)
}

func (r *jsonReader) array(depth int) bool {
	r.pos++
	if r.blanks(); r.peek() == ']' {
		r.pos++
		return true
	}
	n := 0
	for more := true; more; n++ {
		if !r.element(n, depth) {
			return false
		}
		var ok bool
		if more, ok = r.next(']'); !ok {
			return false
		}
	}
	return r.length(n)
}

// element reads the array element that is number n.
func (r *jsonReader) element(n, depth int) bool {
	above := len(r.path)
	return r.index(n) && r.value(depth) && r.up(above)
}

// value reads a value in a container that is depth levels deep.
func (r *jsonReader) value(depth int) bool {
	if len(r.pairs)-r.lengths >= r.lim.Args {
		r.full, r.truncated = true, true
	}
	r.blanks()
	if c := r.peek(); c == '{' || c == '[' {
		return r.container(depth + 1)
	}
	text, ok := r.scalar()
	return ok && (r.full || r.leaf(text))
}

// next passes over the comma before another member, or over end.
func (r *jsonReader) next(end byte) (more, ok bool) {
	r.blanks()
	switch r.peek() {
	case ',':
		r.pos++
		return true, true
	case end:
		r.pos++
		return false, true
	}
	return false, r.syntax()
}

// leaf keeps a value under the current name.
func (r *jsonReader) leaf(value string) bool {
	r.used += len(r.path) + len(value)
	if r.used > r.budget {
		return r.fail(reasonJSONSize)
	}
	r.pairs = append(r.pairs, variables.Pair{Name: r.flat.keep(r.path), Value: value})
	return true
}

// length keeps the length of an array under the array's name. Lengths have a
// limit of their own: they do not use up that of leaves. Once leaves are
// missing a length would mislead, and is not kept.
func (r *jsonReader) length(n int) bool {
	if r.full || r.lengths >= r.lim.Args {
		r.truncated = true
		return true
	}
	r.lengths++
	return r.leaf(strconv.Itoa(n))
}

// index makes the current name that of an element.
func (r *jsonReader) index(n int) bool {
	r.path = strconv.AppendInt(append(r.path, '.'), int64(n), 10)
	return true
}

// up makes the current name again what it was when it was n bytes long.
func (r *jsonReader) up(n int) bool {
	r.path = r.path[:n]
	return true
}

// duplicates looks for a key that occurs twice in the object whose keys begin
// at from, and forgets them.
func (r *jsonReader) duplicates(from int) {
	keys := r.keys[from:]
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			r.odd(reasonJSONDuplicate)
		}
	}
	r.keys = r.keys[:from]
}

// scalar reads a string, number or literal: as Coraza has it in ARGS_POST.
func (r *jsonReader) scalar() (value string, ok bool) {
	switch c := r.peek(); {
	case c == '"':
		return r.str()
	case c == '-' || isDigit(c):
		return r.number()
	case c == 't':
		return r.literal("true")
	case c == 'f':
		return r.literal("false")
	case c == 'n':
		_, ok = r.literal("null")
		return "", ok
	}
	return "", r.syntax()
}

func (r *jsonReader) literal(word string) (string, bool) {
	if !strings.HasPrefix(r.text[r.pos:], word) {
		return "", r.syntax()
	}
	r.pos += len(word)
	return word, true
}

func (r *jsonReader) number() (string, bool) {
	start := r.pos
	if r.peek() == '-' {
		r.pos++
	}
	if r.peek() == '0' {
		r.pos++
	} else if !r.digits() {
		return "", false
	}
	if r.peek() == '.' {
		r.pos++
		if !r.digits() {
			return "", false
		}
	}
	if r.peek()|0x20 == 'e' {
		r.pos++
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		if !r.digits() {
			return "", false
		}
	}
	return r.text[start:r.pos], true
}

// digits passes over digits, of which there must be one.
func (r *jsonReader) digits() bool {
	if !isDigit(r.peek()) {
		return r.syntax()
	}
	for isDigit(r.peek()) {
		r.pos++
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (r *jsonReader) blanks() {
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek is the next byte, or 0, which begins nothing, at the end.
func (r *jsonReader) peek() byte {
	if r.pos < len(r.text) {
		return r.text[r.pos]
	}
	return 0
}

func (r *jsonReader) fail(reason string) bool {
	r.failed = reason
	return false
}

func (r *jsonReader) syntax() bool { return r.fail(reasonJSONSyntax) }

func (r *jsonReader) odd(reason string) {
	if r.ambiguous == "" {
		r.ambiguous = reason
	}
}

// str reads the string that begins at pos. Without escapes it is a piece of
// the text.
func (r *jsonReader) str() (string, bool) {
	start := r.pos + 1
	text := r.text[start:]
	wide := byte(0)
	for i := range len(text) {
		c := text[i]
		wide |= c
		if c > '\\' || c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		if c == '\\' {
			return r.escaped(start)
		}
		if c != '"' {
			return "", r.syntax()
		}
		r.pos = start + i + 1
		s := text[:i]
		if wide >= utf8.RuneSelf && !utf8.ValidString(s) {
			r.odd(reasonJSONUnicode)
		}
		return s, true
	}
	return "", r.syntax()
}
