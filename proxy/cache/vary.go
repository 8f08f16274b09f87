package cache

import (
	"bytes"

	"gatehouse/internal/httpmsg"
)

// selecting is a field that the response varies by, and the value that the
// request had (RFC 9111 4.1).
type selecting struct {
	name  string // in lower case
	value string // lines as one, with commas between
	given bool
}

// selected takes down the fields of a request that a response varies by.
func selected(response, request *httpmsg.Fields) (list []selecting) {
	for i := range response.Len() {
		id, name, value, ok := response.At(i)
		if !ok || id != httpmsg.Other || !httpmsg.EqualFold(name, "vary") {
			continue
		}
		for elem, rest, ok := httpmsg.NextElement(value); ok; elem, rest, ok = httpmsg.NextElement(rest) {
			s := selecting{name: string(httpmsg.AppendLower(nil, elem))}
			if !contains(list, s.name) {
				var text []byte
				text, s.given = appendValues(nil, request, s.name)
				s.value = string(text)
				list = append(list, s)
			}
		}
	}
	return list
}

func contains(list []selecting, name string) bool {
	for i := range list {
		if list[i].name == name {
			return true
		}
	}
	return false
}

// appendValues appends the lines of a field as one.
func appendValues(dst []byte, f *httpmsg.Fields, name string) (text []byte, given bool) {
	for i := range f.Len() {
		_, is, value, ok := f.At(i)
		if !ok || !httpmsg.EqualFold(is, name) {
			continue
		}
		if given {
			dst = append(dst, ',')
		}
		dst, given = append(dst, value...), true
	}
	return dst, given
}

// matches reports whether a request has what was selected.
func matches(list []selecting, f *httpmsg.Fields) bool {
	for i := range list {
		if !list[i].in(f) {
			return false
		}
	}
	return true
}

// in compares without putting the lines together.
func (s *selecting) in(f *httpmsg.Fields) bool {
	left, given := s.value, false
	for i := range f.Len() {
		_, name, value, ok := f.At(i)
		if !ok || !httpmsg.EqualFold(name, s.name) {
			continue
		}
		if given {
			if len(left) == 0 || left[0] != ',' {
				return false
			}
			left = left[1:]
		}
		if len(value) > len(left) || string(value) != left[:len(value)] {
			return false
		}
		left, given = left[len(value):], true
	}
	return given == s.given && len(left) == 0
}

// same reports whether two responses vary by the same values.
func same(a, b []selecting) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// isETag reports whether a value is one entity tag (RFC 9110 8.8.3).
func isETag(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("W/"))
	return len(b) >= 2 && b[0] == '"' && bytes.IndexByte(b[1:], '"') == len(b)-2
}
