package sni

import "encoding/binary"

// State is how far a server name is known.
type State uint8

// The states.
const (
	// NeedMore: what is there may be the beginning of a ClientHello.
	NeedMore State = iota
	// Found: a ClientHello with a server name.
	Found
	// None: a ClientHello without one, or with an IP address in its place,
	// which is not allowed there (RFC 6066 section 3) and which servers pass
	// over.
	None
	// NotTLS: the connection does not begin with a TLS handshake.
	NotTLS
	// Malformed: it begins as one, and what follows is no ClientHello, or
	// one that is too large, or its server name cannot be one.
	Malformed
)

// String is the state in words.
func (s State) String() string {
	switch s {
	case NeedMore:
		return "need more"
	case Found:
		return "found"
	case None:
		return "none"
	case NotTLS:
		return "not TLS"
	}
	return "malformed"
}

// Bounds of a ClientHello.
const (
	maxHello   = 16 << 10 // of the message; key shares of today take 2 KiB
	maxRecords = 64       // that it may be in
	maxRecord  = 16 << 10 // RFC 8446 section 5.1
	recordHead = 5
	helloHead  = 4
)

// MaxBytes is how much Parse has to be given at most: it never needs more.
const MaxBytes = maxHello + maxRecords*recordHead

// Parse reads the first bytes of a connection. It returns the server name in
// lower case with Found, and an empty one otherwise. Once it has not answered
// NeedMore, more bytes do not change the answer.
func Parse(b []byte) (name string, state State) {
	hello, state := message(b)
	if state != Found {
		return "", state
	}
	raw, ok := serverName(hello[helloHead:])
	switch {
	case !ok:
		return "", Malformed
	case len(raw) == 0:
		return "", None
	}
	return canonical(raw)
}

// message is the ClientHello, with its head, out of the records that it is
// in: a part of b if it is in one. The state is Found if it is complete.
// While it is not, no more than the heads of records are looked at, since
// this is called for every piece that arrives.
func message(b []byte) ([]byte, State) {
	var head [helloHead]byte
	have, left := 0, b
	for records := 1; records <= maxRecords; records++ {
		part, rest, state := record(left)
		switch {
		case state == NotTLS && records > 1:
			return nil, Malformed // another kind of record in between
		case state != Found:
			return nil, state
		}
		if have < len(head) {
			copy(head[have:], part)
		}
		have += len(part)
		size, state := helloSize(head[:min(have, len(head))])
		switch {
		case state == Malformed:
			return nil, state
		case state == Found && have >= size:
			return collect(b, size), Found
		case rest == nil:
			return nil, NeedMore
		}
		left = rest
	}
	return nil, Malformed
}

// collect takes size bytes out of the records that b begins with, which are
// known to have them.
func collect(b []byte, size int) []byte {
	part, b, _ := record(b)
	if len(part) >= size {
		return part[:size]
	}
	hello := append(make([]byte, 0, size), part...)
	for len(hello) < size {
		part, b, _ = record(b)
		hello = append(hello, part[:min(len(part), size-len(hello))]...)
	}
	return hello
}

// record takes a handshake record from the front of b, or what is there of
// it; rest is nil then.
func record(b []byte) (part, rest []byte, state State) {
	const handshake, major = 22, 3
	switch {
	case len(b) == 0:
		return nil, nil, NeedMore
	case b[0] != handshake || len(b) > 1 && b[1] != major:
		return nil, nil, NotTLS
	case len(b) < recordHead:
		return nil, nil, NeedMore
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	if size == 0 || size > maxRecord {
		return nil, nil, Malformed
	}
	if b = b[recordHead:]; len(b) < size {
		return b, nil, Found
	}
	return b[:size], b[size:], Found
}

// helloSize is the size of the message with its head: Found, or NeedMore while
// the head is not there.
func helloSize(hello []byte) (int, State) {
	const clientHello = 1
	if len(hello) > 0 && hello[0] != clientHello {
		return 0, Malformed
	}
	if len(hello) < helloHead {
		return 0, NeedMore
	}
	size := helloHead + int(binary.BigEndian.Uint32(hello)&(1<<24-1))
	if size > maxHello {
		return 0, Malformed
	}
	return size, Found
}

// serverName finds the name in the body of a ClientHello (RFC 8446 section
// 4.1.2); it is empty if there is none.
func serverName(hello []byte) (name []byte, ok bool) {
	const versionAndRandom = 2 + 32
	c := cursor{rest: hello}
	c.take(versionAndRandom)
	if legacyID := c.vector8(); len(legacyID) > 32 {
		return nil, false
	}
	if suites := c.vector16(); len(suites) == 0 || len(suites)%2 != 0 {
		return nil, false
	}
	if compressions := c.vector8(); len(compressions) == 0 { // also if c has failed
		return nil, false
	}
	if len(c.rest) == 0 {
		return nil, true // TLS 1.2 and older may have no extensions
	}
	extensions := cursor{rest: c.vector16()}
	if c.failed || len(c.rest) > 0 {
		return nil, false
	}
	return extensions.serverName()
}

// serverName finds the extension server_name, of which there must not be two.
func (c *cursor) serverName() (name []byte, ok bool) {
	const serverName = 0
	seen := false
	for len(c.rest) > 0 {
		kind, data := c.uint16(), c.vector16()
		if c.failed {
			return nil, false
		}
		if kind != serverName {
			continue // also GREASE (RFC 8701), and the encrypted hello
		}
		if name, ok = hostName(data); seen || !ok {
			return nil, false
		}
		seen = true
	}
	return name, true
}

// hostName finds the host_name in the list of an extension (RFC 6066 section
// 3), of which there must not be two. There are no other types of names, but
// there might have been.
func hostName(extension []byte) (name []byte, ok bool) {
	const hostName = 0
	c := cursor{rest: extension}
	list := cursor{rest: c.vector16()}
	if c.failed || len(c.rest) > 0 || len(list.rest) == 0 {
		return nil, false
	}
	for len(list.rest) > 0 {
		kind, data := list.uint8(), list.vector16()
		if list.failed || len(data) == 0 || kind == hostName && name != nil {
			return nil, false
		}
		if kind == hostName {
			name = data
		}
	}
	return name, true
}
