package cache

import (
	"bytes"
	"slices"
	"strconv"

	"gatehouse/internal/httpmsg"
)

// Query is what is looked for. Its memory may be used again for the next.
type Query struct {
	// Key is the URI that the client asked for, made by AppendURI and
	// Key.AppendQuery: what is invalidated and purged.
	Key []byte
	// Extra is whatever else tells responses apart that the URI does not:
	// where the request was routed to, and how.
	Extra []byte
	// Fields are those that the backend gets, for Vary.
	Fields *httpmsg.Fields
}

// KeyRule says what of a request beside host, scheme and path is in the key.
type KeyRule struct {
	// NoQuery leaves the query out; Query, if not empty, leaves only these
	// parameters in.
	NoQuery bool
	Query   []string
	Headers []string // fields whose values tell responses apart, whether they vary or not
}

// Equal reports whether two rules make the same keys.
func (k *KeyRule) Equal(o *KeyRule) bool {
	return k.NoQuery == o.NoQuery && slices.Equal(k.Query, o.Query) && slices.Equal(k.Headers, o.Headers)
}

// AppendURI appends scheme, host, port and path. Port 0 is none.
func AppendURI(dst []byte, secure bool, host []byte, port uint16, path []byte) []byte {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	dst = append(append(dst, scheme...), host...)
	if port != 0 {
		dst = strconv.AppendUint(append(dst, ':'), uint64(port), 10)
	}
	return append(dst, path...)
}

// AppendQuery appends as much of a query as is in the key.
func (k *KeyRule) AppendQuery(dst, query []byte, has bool) []byte {
	switch {
	case !has || k.NoQuery:
		return dst
	case len(k.Query) == 0:
		return append(append(dst, '?'), query...)
	}
	sep := byte('?')
	for more := len(query) > 0; more; {
		var pair []byte
		if pair, query, more = bytes.Cut(query, []byte{'&'}); k.keeps(pair) {
			dst = append(append(dst, sep), pair...)
			sep = '&'
		}
	}
	return dst
}

// keeps reports whether a parameter is in the key. So is what servers may read
// as one of those that are: id[] as id (PHP), a;id as id.
func (k *KeyRule) keeps(pair []byte) bool {
	if bytes.IndexByte(pair, ';') >= 0 {
		return true
	}
	name, _, _ := bytes.Cut(pair, []byte{'='})
	var mem [64]byte
	plain := appendDecoded(mem[:0], name)
	if i := bytes.IndexByte(plain, '['); i >= 0 {
		plain = plain[:i]
	}
	plain = bytes.TrimLeft(plain, " ")
	for _, want := range k.Query {
		if string(plain) == want {
			return true
		}
	}
	return false
}

// appendDecoded decodes a name as forms are.
func appendDecoded(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(b):
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendHeaders appends the values of the fields that are in the key.
func (k *KeyRule) AppendHeaders(dst []byte, f *httpmsg.Fields) []byte {
	for _, name := range k.Headers {
		dst = append(dst, 0)
		var given bool
		if dst, given = appendValues(dst, f, name); given {
			dst = append(dst, 1) // an empty one is not the same as none
		}
	}
	return dst
}
