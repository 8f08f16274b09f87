package cache

import (
	"bytes"
	"strconv"

	"gatehouse/internal/httpmsg"
)

// RangeKind is what a Range field asks for.
type RangeKind uint8

const (
	// RangeNone is not understood: the whole is sent (RFC 9110 14.2).
	RangeNone RangeKind = iota
	// RangeOne is one range of bytes that there is.
	RangeOne
	// RangeSeveral is not answered by a cache: parts that overlap would make a
	// small request a large response.
	RangeSeveral
	// RangeOutside is beyond the end: 416.
	RangeOutside
)

// RangeOf reads a Range field for a body of some size; from and to are the
// first byte and the one behind the last.
func RangeOf(field []byte, size int) (kind RangeKind, from, to int) {
	unit, set, ok := bytes.Cut(field, []byte{'='})
	switch {
	case !ok || !httpmsg.EqualFold(httpmsg.TrimSpace(unit), "bytes"):
		return RangeNone, 0, 0
	case bytes.IndexByte(set, ',') >= 0:
		return RangeSeveral, 0, 0
	}
	first, last, ok := bytes.Cut(httpmsg.TrimSpace(set), []byte{'-'})
	a, hasA := position(first)
	b, hasB := position(last)
	switch {
	case !ok, len(first) > 0 && !hasA, len(last) > 0 && !hasB, !hasA && !hasB, hasA && hasB && b < a:
		return RangeNone, 0, 0
	case !hasA && b > 0 && size > 0:
		return RangeOne, max(size-b, 0), size
	case !hasA || a >= size:
		return RangeOutside, 0, 0
	case !hasB:
		return RangeOne, a, size
	}
	return RangeOne, a, min(b, size-1) + 1
}

// position is a number of digits only; one that is too large is beyond every
// end.
func position(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), 1<<50)
	}
	return n, len(b) > 0
}

// AppendContentRange appends the value of Content-Range; of no range when to is
// 0 (RFC 9110 14.4).
func AppendContentRange(dst []byte, from, to, size int) []byte {
	dst = append(dst, "bytes "...)
	if to == 0 {
		dst = append(dst, '*')
	} else {
		dst = strconv.AppendInt(dst, int64(from), 10)
		dst = strconv.AppendInt(append(dst, '-'), int64(to-1), 10)
	}
	return strconv.AppendInt(append(dst, '/'), int64(size), 10)
}
