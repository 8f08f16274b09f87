package querylog

import (
	"net/netip"
	"time"
)

// Bounds of what a record keeps.
const (
	maxName      = 255 // bytes of a name on the wire (RFC 1035 section 2.3.4)
	maxEndpoints = 10  // the most that a multi-value answer has
)

// Record is a query and what was answered. The caller may reuse it, and all
// that its slices point to, as soon as [Lane.Put] returns.
type Record struct {
	Time time.Time     // when the query was read
	Took time.Duration // until the response was ready

	Client    netip.AddrPort
	Local     netip.AddrPort // the address that was asked
	Transport string         // "udp", "tcp", "dot" or "doh"; a constant, not copied

	// Name is the name asked for on the wire, without compression. What is
	// beyond 255 bytes is cut off; nil if the query had none.
	Name  []byte
	Type  uint16
	Class uint16

	Rcode uint16 // with the bits of EDNS
	Size  int    // bytes of the response; 0 if none was sent
	AA    bool   // the response was authoritative
	TC    bool   // it was truncated
	DO    bool   // the query asked for signatures

	// Subnet is the client's network that the query named (RFC 7871), invalid
	// if it named none, and Scope the length of the prefix in the response.
	Subnet netip.Prefix
	Scope  uint8

	// Profile and Endpoints are names of the configuration; empty if the
	// answer came from no profile. Of Endpoints ten are kept.
	Profile   string
	Endpoints []string

	// Query and Response are the messages, for dnstap alone: the caller may
	// leave them out when [Logger.Dnstap] is false. Without Response only the
	// query is reported.
	Query, Response []byte
}

// entry is a record in a ring: nothing of it belongs to anyone else, and its
// strings are constants or belong to a configuration.
type entry struct {
	Record      // Name, Endpoints, Query and Response are nil
	name        [maxName]byte
	nameLen     uint8
	endpointLen uint8
	endpoints   [maxEndpoints]string
	raw         span
}

// set copies all of r but its messages.
func (e *entry) set(r *Record) {
	e.Record = *r
	e.Record.Name, e.Record.Endpoints, e.Record.Query, e.Record.Response = nil, nil, nil, nil
	e.nameLen = uint8(copy(e.name[:], r.Name))
	clear(e.endpoints[copy(e.endpoints[:], r.Endpoints):])
	e.endpointLen = uint8(min(len(r.Endpoints), maxEndpoints))
	e.raw = span{}
}
