package doh

import (
	"encoding/binary"

	"gatehouse/dnslb/wire"
)

const (
	rcodeNoError  = 0
	rcodeNXDomain = 3

	typeSOA      = 6
	soaSmallest  = 22 // two names of one byte, and five numbers
	recordHeader = 10 // type, class, TTL and length, after the owner
	questionTail = 4  // type and class, after the name
)

// freshness is how many seconds a response may be kept by an HTTP cache: the
// smallest TTL of its answers and, where something does not exist, no more
// than its SOA record says (RFC 8484 5.1, RFC 2308 5). What says neither, is
// an error, is cut or cannot be read is not to be kept: 0.
func freshness(msg []byte) uint32 {
	if len(msg) < wire.HeaderLen {
		return 0
	}
	count := func(at int) int { return int(binary.BigEndian.Uint16(msg[at:])) }
	flags := binary.BigEndian.Uint16(msg[2:])
	if rcode := flags & 0xf; flags&wire.FlagTC != 0 || rcode != rcodeNoError && rcode != rcodeNXDomain {
		return 0
	}
	at := wire.HeaderLen
	for range count(4) {
		if at = skipName(msg, at); at == 0 || at+questionTail > len(msg) {
			return 0
		}
		at += questionTail
	}
	answers, authority := count(6), count(8)
	age, found := ^uint32(0), false
	for i := range answers + authority {
		r, next := readRecord(msg, at)
		if next == 0 {
			return 0
		}
		at = next
		if i < answers || r.kind == typeSOA {
			age, found = min(age, r.ttl), true
		}
	}
	if !found {
		return 0
	}
	return age
}

// record is what freshness wants to know of one.
type record struct {
	kind uint16
	ttl  uint32 // of an SOA record that of what it denies
}

// readRecord reads the record at an offset, and returns that of the next; 0:
// there is none to be read.
func readRecord(msg []byte, at int) (r record, next int) {
	at = skipName(msg, at)
	if at == 0 || at+recordHeader > len(msg) {
		return r, 0
	}
	r.kind = binary.BigEndian.Uint16(msg[at:])
	r.ttl = ttl(msg[at+4:])
	next = at + recordHeader + int(binary.BigEndian.Uint16(msg[at+8:]))
	if next > len(msg) {
		return r, 0
	}
	if r.kind == typeSOA {
		if next-at-recordHeader < soaSmallest {
			return r, 0
		}
		r.ttl = min(r.ttl, ttl(msg[next-4:]))
	}
	return r, next
}

// ttl reads one, of which those with the highest bit set are zero (RFC 2181 8).
func ttl(p []byte) uint32 {
	t := binary.BigEndian.Uint32(p)
	if t > 1<<31-1 {
		return 0
	}
	return t
}

// skipName returns the offset behind a name; 0: it has no end.
func skipName(msg []byte, at int) int {
	for at < len(msg) {
		n := int(msg[at])
		switch {
		case n == 0:
			return at + 1
		case n >= 0xc0: // a pointer ends it (RFC 1035 4.1.4)
			return at + 2
		case n > 63:
			return 0
		}
		at += 1 + n
	}
	return 0
}
