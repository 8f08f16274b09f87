package querylog

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Fields and values of the schema dnstap.proto (dnstap.info), of which an
// authoritative server needs these. They are written by hand: a dozen fields
// in a fixed order, and nothing to allocate.
const (
	fieldIdentity = 1
	fieldVersion  = 2
	fieldMessage  = 14
	fieldType     = 15
	typeMessage   = 1

	fieldKind         = 1
	fieldFamily       = 2
	fieldProtocol     = 3
	fieldClient       = 4 // query_address: the initiator of the query
	fieldLocal        = 5 // response_address
	fieldClientPort   = 6
	fieldLocalPort    = 7
	fieldQueryTime    = 8
	fieldQueryNanos   = 9
	fieldQuery        = 10
	fieldResponseTime = 12
	fieldRespNanos    = 13
	fieldResponse     = 14

	kindAuthQuery    = 1
	kindAuthResponse = 2
)

// Wire types of protocol buffers.
const (
	wireVarint  = 0
	wireBytes   = 2
	wireFixed32 = 5
)

// frameHead is how each frame begins: identity, version and type.
type frameHead []byte

func newFrameHead(identity, version string) frameHead {
	var h frameHead
	if identity != "" {
		h = appendBytes(h, fieldIdentity, []byte(identity))
	}
	if version != "" {
		h = appendBytes(h, fieldVersion, []byte(version))
	}
	return appendVarint(h, fieldType, typeMessage)
}

// appendQuery appends the frame of a query.
func (h frameHead) appendQuery(dst []byte, r *Record, query []byte) []byte {
	dst, start := h.begin(dst, r, kindAuthQuery)
	dst = appendBytes(dst, fieldQuery, query)
	return end(dst, start)
}

// appendResponse appends the frame of a response, with the query if there is
// one.
func (h frameHead) appendResponse(dst []byte, r *Record, query, response []byte) []byte {
	dst, start := h.begin(dst, r, kindAuthResponse)
	if len(query) > 0 {
		dst = appendBytes(dst, fieldQuery, query)
	}
	dst = appendTime(dst, fieldResponseTime, fieldRespNanos, r.Time.Add(r.Took))
	dst = appendBytes(dst, fieldResponse, response)
	return end(dst, start)
}

// messageLen is the room for the length of a message: a varint of a fixed
// size, which may have trailing zero groups.
const messageLen = 4

// begin appends what both kinds have, up to the time of the query.
func (h frameHead) begin(dst []byte, r *Record, kind uint64) ([]byte, int) {
	dst = append(dst, h...)
	dst = append(dst, fieldMessage<<3|wireBytes)
	dst = append(dst, make([]byte, messageLen)...)
	start := len(dst)
	dst = appendVarint(dst, fieldKind, kind)
	if client := r.Client.Addr(); client.IsValid() {
		dst = appendVarint(dst, fieldFamily, family(client))
	}
	if p := protocol(r.Transport); p != 0 {
		dst = appendVarint(dst, fieldProtocol, p)
	}
	dst = appendEndpoint(dst, fieldClient, fieldClientPort, r.Client)
	dst = appendEndpoint(dst, fieldLocal, fieldLocalPort, r.Local)
	return appendTime(dst, fieldQueryTime, fieldQueryNanos, r.Time), start
}

// end fills in the length of the message that began at start.
func end(dst []byte, start int) []byte {
	n := len(dst) - start
	for i := range messageLen {
		dst[start-messageLen+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	dst[start-1] &= 0x7f
	return dst
}

func family(a netip.Addr) uint64 {
	if a.Unmap().Is4() {
		return 1
	}
	return 2
}

func protocol(transport string) uint64 {
	switch transport {
	case "udp":
		return 1
	case "tcp":
		return 2
	case "dot":
		return 3
	case "doh":
		return 4
	}
	return 0
}

func appendEndpoint(dst []byte, addrField, portField uint64, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	if addr := a.Addr().Unmap(); addr.Is4() {
		b := addr.As4()
		dst = appendBytes(dst, addrField, b[:])
	} else {
		b := addr.As16()
		dst = appendBytes(dst, addrField, b[:])
	}
	return appendVarint(dst, portField, uint64(a.Port()))
}

func appendTime(dst []byte, secField, nanoField uint64, t time.Time) []byte {
	dst = appendVarint(dst, secField, uint64(t.Unix()))
	dst = binary.AppendUvarint(dst, nanoField<<3|wireFixed32)
	return binary.LittleEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

func appendVarint(dst []byte, field, v uint64) []byte {
	dst = binary.AppendUvarint(dst, field<<3|wireVarint)
	return binary.AppendUvarint(dst, v)
}

func appendBytes(dst []byte, field uint64, b []byte) []byte {
	dst = binary.AppendUvarint(dst, field<<3|wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// frames is how many frames a record makes.
func frames(query, response []byte) (n uint64) {
	if len(query) > 0 {
		n++
	}
	if len(response) > 0 {
		n++
	}
	return n
}
