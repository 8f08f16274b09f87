package cache

import (
	"bytes"
	"strings"

	"gatehouse/internal/httpmsg"
)

// NotModified reports whether a request is to be answered 304 from a stored
// response, by the lines of its If-None-Match or, if there are none, by its
// If-Modified-Since (RFC 9111 4.3.2, RFC 9110 13.1).
func (e *Entry) NotModified(noneMatch [][]byte, since []byte) bool {
	if e.status != 200 {
		return false
	}
	if len(noneMatch) > 0 {
		for _, line := range noneMatch {
			if lists(line, e.etag) {
				return true
			}
		}
		return false
	}
	at, ok := ParseDate(since)
	if !ok {
		return false
	}
	modified := e.modified
	if modified == nil {
		modified = e.date()
	}
	changed, ok := ParseDate(modified)
	return ok && !changed.After(at)
}

// date is the Date of the response.
func (e *Entry) date() []byte {
	for i := range e.fields {
		if e.fields[i].id == httpmsg.Date {
			return e.text(e.fields[i].value)
		}
	}
	return nil
}

// lists reports whether a list of entity tags has a tag, or is *.
func lists(line, tag []byte) bool {
	if line = httpmsg.TrimSpace(line); len(line) == 1 && line[0] == '*' {
		return true
	}
	for len(line) > 0 {
		if line[0] == ',' || line[0] == ' ' || line[0] == '\t' {
			line = line[1:]
			continue
		}
		n := tagLength(line)
		if n == 0 {
			return false // what follows is not understood
		}
		if tag != nil && weaklyEqual(line[:n], tag) {
			return true
		}
		line = line[n:]
	}
	return false
}

// tagLength is the length of the entity tag that a text begins with; 0: none.
func tagLength(b []byte) int {
	from := 0
	if bytes.HasPrefix(b, []byte("W/")) {
		from = 2
	}
	if len(b) <= from || b[from] != '"' {
		return 0
	}
	end := bytes.IndexByte(b[from+1:], '"')
	if end < 0 {
		return 0
	}
	return from + 1 + end + 1
}

// weaklyEqual is the weak comparison of RFC 9110 8.8.3.2.
func weaklyEqual(a, b []byte) bool {
	return bytes.Equal(bytes.TrimPrefix(a, []byte("W/")), bytes.TrimPrefix(b, []byte("W/")))
}

// MayRange reports whether If-Range lets a range of the response be sent
// (RFC 9110 13.1.5): by a strong tag, or a date that is a strong validator. Nil
// is no condition.
func (e *Entry) MayRange(ifRange []byte) bool {
	switch {
	case ifRange == nil:
		return true
	case isETag(ifRange):
		return bytes.Equal(ifRange, e.etag) && !strings.HasPrefix(string(ifRange), "W/")
	case e.modified == nil || !bytes.Equal(ifRange, e.modified):
		return false
	}
	modified, _ := ParseDate(e.modified)
	date, ok := ParseDate(e.date())
	return ok && date.Sub(modified) >= 1e9 // RFC 9110 8.8.2.2
}
