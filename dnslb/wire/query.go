// Package wire reads the usual DNS query from the bytes of a message, and
// writes the parts of a response, without allocation.
//
// The usual query has a header, one question and at most an OPT record, which
// is what nearly every resolver sends. [Query.Parse] refuses anything else,
// and leaves it to a complete implementation.
package wire

import (
	"encoding/binary"
	"net/netip"
)

// Flags of the second and third pair of octets of a header (RFC 1035 4.1.1,
// RFC 4035 3.1.6, 3.2.2).
const (
	FlagQR uint16 = 1 << 15
	FlagAA uint16 = 1 << 10
	FlagTC uint16 = 1 << 9
	FlagRD uint16 = 1 << 8
	FlagRA uint16 = 1 << 7
	FlagAD uint16 = 1 << 5
	FlagCD uint16 = 1 << 4

	opcodeMask uint16 = 0xf << 11
)

// Flags of the TTL of an OPT record (RFC 6891 6.1.3, RFC 9824 5.1).
const (
	FlagDO uint16 = 1 << 15
	FlagCO uint16 = 1 << 14
)

// HeaderLen is the length of a header.
const HeaderLen = 12

// MaxName is the most octets of a name (RFC 1035 2.3.4).
const MaxName = 255

// typeOPT is that of an OPT record.
const typeOPT = 41

// Codes of EDNS options.
const (
	optionNSID      = 3  // RFC 5001
	optionECS       = 8  // RFC 7871
	optionCookie    = 10 // RFC 7873
	optionKeepalive = 11 // RFC 7828
	optionPadding   = 12 // RFC 7830
	optionEDE       = 15 // RFC 8914
)

// Query is a query that was read. Its slices point into the message, and its
// fields are good until the next Parse.
type Query struct {
	ID    uint16
	Flags uint16
	Type  uint16
	Class uint16
	// Question is the whole question as it was sent, with the case of its
	// letters; Name is that of it, with the final zero.
	Question, Name []byte
	EDNS           EDNS

	lower    [MaxName]byte
	labels   [MaxName/2 + 1]uint8 // where each label begins, the root's too
	nameLen  int
	nlabels  int
	question int // where it ends
}

// EDNS is what the OPT record of a query says.
type EDNS struct {
	Present bool
	UDPSize uint16
	Version uint8
	Flags   uint16

	NSID, Keepalive, Padding bool
	// Cookie is the option's value, at least the client's 8 octets and at
	// most 40; nil: none (RFC 7873 4).
	Cookie []byte
	ECS    ECS
}

// ECS is an EDNS Client Subnet option (RFC 7871 6).
type ECS struct {
	Present bool
	Family  uint16
	Source  uint8
	// Addr is the address, its bits beyond Source zero. Invalid with a
	// family of 0, or a Source of 0.
	Addr netip.Addr
}

// Lower is the name in lower case, in wire format, with the final zero.
func (q *Query) Lower() []byte { return q.lower[:q.nameLen] }

// Labels are where each label of the name begins, the last being the root.
func (q *Query) Labels() []uint8 { return q.labels[:q.nlabels] }

// Verdict is what Parse makes of a message.
type Verdict uint8

// The verdicts.
const (
	Unusual   Verdict = iota // it may be a good query or none
	Usual                    // it was read
	Malformed                // it was read but for its EDNS options: FORMERR
)

// Parse reads a message and tells whether it is the usual query.
func (q *Query) Parse(msg []byte) Verdict {
	if len(msg) < HeaderLen+5 {
		return Unusual
	}
	q.ID = binary.BigEndian.Uint16(msg)
	q.Flags = binary.BigEndian.Uint16(msg[2:])
	// One question, no answer, no authority, at most one additional record.
	if q.Flags&(FlagQR|opcodeMask) != 0 || binary.BigEndian.Uint32(msg[4:]) != 1<<16 || binary.BigEndian.Uint32(msg[8:]) > 1 {
		return Unusual
	}
	at := q.parseName(msg[HeaderLen:])
	if at == 0 || len(msg) < HeaderLen+at+4 {
		return Unusual
	}
	q.Name = msg[HeaderLen : HeaderLen+at]
	at += HeaderLen
	q.Type = binary.BigEndian.Uint16(msg[at:])
	q.Class = binary.BigEndian.Uint16(msg[at+2:])
	q.question = at + 4
	q.Question = msg[HeaderLen:q.question]
	q.EDNS = EDNS{}
	switch {
	case msg[11] != 0:
		return q.EDNS.parse(msg[q.question:])
	case len(msg) == q.question:
		return Usual
	}
	return Unusual
}

// parseName copies a name without compression in lower case, and returns its
// length, 0 if it is none.
func (q *Query) parseName(b []byte) int {
	q.nlabels = 0
	for at := 0; at < len(b) && at < MaxName; {
		n := int(b[at])
		q.labels[q.nlabels] = uint8(at)
		q.nlabels++
		q.lower[at] = b[at]
		if n == 0 {
			q.nameLen = at + 1
			return at + 1
		}
		if n > 63 || at+1+n >= len(b) || at+1+n >= MaxName {
			return 0
		}
		lowerInto(q.lower[at+1:], b[at+1:at+1+n])
		at += 1 + n
	}
	return 0
}

// SetName makes a name in wire format the query's, for queries that were read
// otherwise. It returns false if it is none.
func (q *Query) SetName(name []byte) bool {
	q.Name = name
	return q.parseName(name) == len(name) && len(name) > 0
}

// lowerInto copies with ASCII letters in lower case (RFC 4343).
func lowerInto(to, from []byte) {
	for i, c := range from {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to[i] = c
	}
}

// parse reads an OPT record that is the rest of a message. An option that is
// there twice is malformed as well.
func (e *EDNS) parse(b []byte) Verdict {
	if len(b) < 11 || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != typeOPT || int(binary.BigEndian.Uint16(b[9:])) != len(b)-11 {
		return Unusual
	}
	e.Present = true
	e.UDPSize = binary.BigEndian.Uint16(b[3:])
	e.Version = b[6]
	e.Flags = binary.BigEndian.Uint16(b[7:])
	if e.Version != 0 {
		return Usual // its options are those of a version that is not known
	}
	for b = b[11:]; len(b) > 0; {
		if len(b) < 4 {
			return Malformed
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n || !e.option(binary.BigEndian.Uint16(b), b[4:4+n]) {
			return Malformed
		}
		b = b[4+n:]
	}
	return Usual
}

// Read reads an OPT record in wire format and tells whether it is well formed.
func (e *EDNS) Read(record []byte) bool {
	*e = EDNS{}
	return e.parse(record) == Usual
}

// option reads one option. Those that are not known are ignored.
func (e *EDNS) option(code uint16, value []byte) bool {
	switch code {
	case optionNSID:
		e.NSID = true
	case optionKeepalive:
		e.Keepalive = true
	case optionPadding:
		e.Padding = true
	case optionCookie:
		if e.Cookie != nil || !ValidCookie(value) {
			return false
		}
		e.Cookie = value
	case optionECS:
		return !e.ECS.Present && e.ECS.Parse(value)
	}
	return true
}

// ValidCookie tells whether an option's value has the length of a cookie: the
// client's 8 octets alone, or with 8 to 32 of a server (RFC 7873 4).
func ValidCookie(value []byte) bool {
	return len(value) == 8 || len(value) >= 16 && len(value) <= 40
}

// Parse reads the value of an option and tells whether it is well formed
// (RFC 7871 6, 7.1.1).
func (s *ECS) Parse(value []byte) bool {
	if len(value) < 4 || value[3] != 0 {
		return false
	}
	*s = ECS{Present: true, Family: binary.BigEndian.Uint16(value), Source: value[2]}
	addr := value[4:]
	most := 0
	switch s.Family {
	case 0: // seen in the wild with nothing: do not use my address
	case 1:
		most = 32
	case 2:
		most = 128
	default:
		return false
	}
	if int(s.Source) > most || len(addr) != (int(s.Source)+7)/8 {
		return false
	}
	if rest := s.Source % 8; rest != 0 && addr[len(addr)-1]<<rest != 0 {
		return false
	}
	if s.Source == 0 {
		return true
	}
	var whole [16]byte
	copy(whole[:], addr)
	if s.Family == 1 {
		s.Addr = netip.AddrFrom4([4]byte(whole[:4]))
	} else {
		s.Addr = netip.AddrFrom16(whole)
	}
	return true
}
