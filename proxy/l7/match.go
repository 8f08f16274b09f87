package l7

import (
	"bytes"
	"regexp"
	"slices"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/l7/rewrite"
)

// Match is what a path rule wants of a request beside its path.
type Match struct {
	methods []string
	fields  []valueMatch
	query   []valueMatch
}

// valueMatch wants a field or a parameter to have a value.
type valueMatch struct {
	name  string
	value string         // exactly that; Valid iff re is nil
	re    *regexp.Regexp // found in it
}

// NewMatch compiles what config has checked; nil if nothing is wanted.
func NewMatch(c *config.RouteMatch) (*Match, error) {
	if !c.Given() {
		return nil, nil
	}
	m := &Match{methods: c.Methods}
	var err error
	if m.fields, err = compileValues(c.Headers); err != nil {
		return nil, err
	}
	m.query, err = compileValues(c.Query)
	return m, err
}

func compileValues(list []config.ValueMatch) ([]valueMatch, error) {
	var out []valueMatch
	for i := range list {
		v := valueMatch{name: list[i].Name, value: list[i].Value}
		if list[i].Pattern != "" {
			re, err := regexp.Compile(list[i].Regexp())
			if err != nil {
				return nil, err
			}
			v.re = re
		}
		out = append(out, v)
	}
	return out, nil
}

// want is a kind of thing that a Match wants.
type want uint8

const (
	wantsMethod want = iota
	wantsFields
	wantsQuery
)

// wants is how many things of a kind are wanted; of methods, one is as good
// as several.
func (m *Match) wants(w want) int {
	switch {
	case m == nil:
		return 0
	case w == wantsFields:
		return len(m.fields)
	case w == wantsQuery:
		return len(m.query)
	}
	return min(len(m.methods), 1)
}

// holds reports whether a request is as wanted. What strangers vouch for is
// not looked at: trusted says that the peer is none.
func (m *Match) holds(q *httpmsg.Request, trusted bool) bool {
	if m == nil {
		return true
	}
	if len(m.methods) > 0 {
		method := q.Bytes(q.MethodText)
		if !slices.ContainsFunc(m.methods, func(s string) bool { return string(method) == s }) {
			return false
		}
	}
	for i := range m.fields {
		if !m.fields[i].inFields(&q.Fields, trusted) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].inQuery(q.Bytes(q.Query)) {
			return false
		}
	}
	return true
}

// inFields looks at a field: its lines as one, with commas between (RFC 9110
// 5.3), so that no line can be hidden behind another.
func (v *valueMatch) inFields(f *httpmsg.Fields, trusted bool) bool {
	var text []byte
	lines := 0
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		if !ok || !httpmsg.EqualFold(name, v.name) || rewrite.Hidden(id, name, trusted) {
			continue
		}
		if lines++; lines == 1 {
			text = value
			continue
		}
		text = append(append(slices.Clip(text), ", "...), value...)
	}
	return lines > 0 && v.matches(text)
}

func (v *valueMatch) matches(text []byte) bool {
	if v.re != nil {
		return v.re.Match(text)
	}
	return string(text) == v.value
}

// inQuery looks at the first parameter of that name, decoded as forms are.
func (v *valueMatch) inQuery(query []byte) bool {
	for more := len(query) > 0; more; {
		var pair []byte
		pair, query, more = bytes.Cut(query, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if !decodesTo(name, v.name) {
			continue
		}
		if v.re == nil {
			return decodesTo(value, v.value)
		}
		var decoded []byte
		for len(value) > 0 {
			c, n := formByte(value)
			decoded, value = append(decoded, c), value[n:]
		}
		return v.re.Match(decoded)
	}
	return false
}

// decodesTo reports whether a piece of a query means a text.
func decodesTo(b []byte, text string) bool {
	for i := range len(text) {
		if len(b) == 0 {
			return false
		}
		c, n := formByte(b)
		if c != text[i] {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// formByte decodes the first byte of a piece of a query, and says how much of
// it that was. An escape that is none stands for itself.
func formByte(b []byte) (c byte, n int) {
	switch {
	case b[0] == '+':
		return ' ', 1
	case b[0] == '%' && len(b) >= 3:
		if high, low := unhex(b[1]), unhex(b[2]); high < 16 && low < 16 {
			return high<<4 | low, 3
		}
	}
	return b[0], 1
}

// unhex is a hexadecimal digit's value, 16 if it is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 16
}
