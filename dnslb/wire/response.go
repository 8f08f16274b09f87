package wire

import "encoding/binary"

// Record is a resource record of class IN to be written.
type Record struct {
	// Name is the owner in wire format, in lower case; nil is the name that
	// was asked for, as it was written there.
	Name []byte
	Type uint16
	TTL  uint32
	Data []byte // without compression
}

// Header begins a response to a query: the header with the flags and code
// given, and the question. The counts are set by Counts.
func (q *Query) Header(out []byte, flags uint16, rcode int) []byte {
	out = binary.BigEndian.AppendUint16(out, q.ID)
	out = binary.BigEndian.AppendUint16(out, FlagQR|flags|uint16(rcode&0xf))
	out = append(out, 0, 1, 0, 0, 0, 0, 0, 0)
	return append(out, q.Question...)
}

// Counts sets the numbers of records of a response that begins at start.
func Counts(out []byte, start, answers, authority, additional int) {
	b := out[start+6:]
	binary.BigEndian.PutUint16(b, uint16(answers))
	binary.BigEndian.PutUint16(b[2:], uint16(authority))
	binary.BigEndian.PutUint16(b[4:], uint16(additional))
}

// pointer to the name of the question.
const pointer = 0xc000 | HeaderLen

// Append writes a record. An owner that the question's name ends in becomes a
// pointer into it.
func (q *Query) Append(out []byte, r *Record) []byte {
	if r.Name == nil {
		out = binary.BigEndian.AppendUint16(out, pointer)
	} else {
		out = q.appendOwner(out, r.Name)
	}
	out = binary.BigEndian.AppendUint16(out, r.Type)
	out = append(out, 0, 1)
	out = binary.BigEndian.AppendUint32(out, r.TTL)
	out = binary.BigEndian.AppendUint16(out, uint16(len(r.Data)))
	return append(out, r.Data...)
}

// appendOwner writes a name, compressed where it is a part of the question's.
func (q *Query) appendOwner(out, name []byte) []byte {
	if at := q.nameLen - len(name); at >= 0 && len(name) > 1 && q.isLabel(at) && string(q.lower[at:q.nameLen]) == string(name) {
		return binary.BigEndian.AppendUint16(out, pointer+uint16(at))
	}
	return append(out, name...)
}

// isLabel tells whether a label begins at an offset of the name.
func (q *Query) isLabel(at int) bool {
	for _, l := range q.Labels() {
		if int(l) == at {
			return true
		}
	}
	return false
}

// OPT is the OPT record of a response.
type OPT struct {
	UDPSize uint16
	Rcode   int    // its upper bits are here
	Flags   uint16 // DO and CO

	NSID   []byte // nil: none
	Cookie []byte // client's and server's part; nil: none
	// ECS is the option of the query that is answered, with the scope.
	ECS       ECS
	Scope     uint8
	EDE       int    // an extended error (RFC 8914), -1: none
	EDEText   string // for people
	Keepalive int    // in units of 100 ms (RFC 7828), 0: none
	PadTo     int    // a multiple of the response's length (RFC 8467), 0: none
}

// Append writes the record; start is where the response begins in out.
func (o *OPT) Append(out []byte, start int) []byte {
	out = append(out, 0, 0, typeOPT)
	out = binary.BigEndian.AppendUint16(out, o.UDPSize)
	out = append(out, byte(o.Rcode>>4), 0)
	out = binary.BigEndian.AppendUint16(out, o.Flags)
	length := len(out)
	out = append(out, 0, 0)
	if o.NSID != nil {
		out = append(option(out, optionNSID, len(o.NSID)), o.NSID...)
	}
	if o.Cookie != nil {
		out = append(option(out, optionCookie, len(o.Cookie)), o.Cookie...)
	}
	if o.ECS.Present {
		out = o.ECS.append(out, o.Scope)
	}
	if o.EDE >= 0 {
		out = binary.BigEndian.AppendUint16(option(out, optionEDE, 2+len(o.EDEText)), uint16(o.EDE))
		out = append(out, o.EDEText...)
	}
	if o.Keepalive > 0 {
		out = binary.BigEndian.AppendUint16(option(out, optionKeepalive, 2), uint16(o.Keepalive))
	}
	if o.PadTo > 0 {
		size := len(out) - start + 4
		n := (o.PadTo - size%o.PadTo) % o.PadTo
		out = option(out, optionPadding, n)
		for range n {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint16(out[length:], uint16(len(out)-length-2))
	return out
}

func option(out []byte, code uint16, n int) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, code), uint16(n))
}

// append writes the option of a response: family, source and address as in the
// query (RFC 7871 7.2.1).
func (s *ECS) append(out []byte, scope uint8) []byte {
	n := (int(s.Source) + 7) / 8
	out = option(out, optionECS, 4+n)
	out = binary.BigEndian.AppendUint16(out, s.Family)
	out = append(out, s.Source, scope)
	if n == 0 {
		return out
	}
	if s.Addr.Is4() {
		b := s.Addr.As4()
		return append(out, b[:n]...)
	}
	b := s.Addr.As16()
	return append(out, b[:n]...)
}

// Len is how long the record is at most, but for its padding.
func (o *OPT) Len() int {
	n := 11
	if o.NSID != nil {
		n += 4 + len(o.NSID)
	}
	if o.Cookie != nil {
		n += 4 + len(o.Cookie)
	}
	if o.ECS.Present {
		n += 8 + (int(o.ECS.Source)+7)/8
	}
	if o.EDE >= 0 {
		n += 6 + len(o.EDEText)
	}
	if o.Keepalive > 0 {
		n += 6
	}
	return n
}
