package authority

import (
	"encoding/binary"
	"net/netip"

	"gatehouse/dnslb"
	"gatehouse/dnslb/wire"
	"gatehouse/dnslb/zone"
)

// maxChain bounds how many CNAMEs of our own zones are followed.
const maxChain = 8

// outcome says which part of the zones answered, for rate limits.
type outcome uint8

const (
	failed outcome = iota // not asked: malformed, refused, not implemented
	answered
	empty
	noName
	referred
	refusedAll
)

// resolve finds the answer to a query for a client (RFC 1034 4.3.2).
func (r *Responder) resolve(q *wire.Query, client netip.Addr) {
	p := &r.reply
	at := q
	for {
		f := r.view.Zones.Find(at)
		first := at == q
		if f.Match == zone.NotMine {
			if first {
				p.code = refusedAll
				r.refuse("no zone of this server holds the name")
			}
			return
		}
		if first {
			p.zone = f.Zone
		}
		if f.Match == zone.Referral {
			if first {
				r.refer(f.Node)
			}
			return
		}
		p.aa = true
		if !first {
			r.chainZone[r.chains-1] = f.Zone
		}
		if f.Match == zone.NoName {
			p.denied = denied{name: owner(at, q), zone: f.Zone}
			r.negative(f.Zone, nxDomain, f.Zone.Negative.TTL)
			return
		}
		p.denied = denied{name: owner(at, q), zone: f.Zone, node: f.Node}
		if first {
			p.code, p.found = answered, f.Node.Name
		}
		cname := r.atNode(f, at, q, client)
		if cname == nil || r.chains == maxChain {
			return
		}
		next := &r.chain[r.chains]
		if !next.SetName(cname) || r.visited(q, next) {
			return
		}
		r.chainZone[r.chains] = nil
		r.chains++
		next.Type, next.Class = q.Type, q.Class
		at = next
	}
}

// visited tells whether a chain of CNAMEs leads back into itself.
func (r *Responder) visited(q, next *wire.Query) bool {
	if string(q.Lower()) == string(next.Lower()) {
		return true
	}
	for i := range r.chains {
		if string(r.chain[i].Lower()) == string(next.Lower()) {
			return true
		}
	}
	return false
}

// owner is how a record names the name that is looked at.
func owner(at, q *wire.Query) []byte {
	if at == q {
		return nil
	}
	return at.Lower()
}

// atNode answers from a name, and returns the target of a CNAME that is to be
// followed.
func (r *Responder) atNode(f zone.Found, at, q *wire.Query, client netip.Addr) (follow []byte) {
	n := f.Node
	set := n.Get(q.Type)
	switch {
	case q.Type == typeANY:
		r.minimalANY(f, at, q)
		return nil
	case set != nil:
		r.add(&r.reply.answers, owner(at, q), set)
		return nil
	case n.Profile != nil:
		r.direct(f, at, q, client)
		return nil
	}
	if alias := n.Get(typeCNAME); alias != nil {
		r.add(&r.reply.answers, owner(at, q), alias)
		return alias.Data[0]
	}
	r.negative(f.Zone, noError, f.Zone.Negative.TTL)
	return nil
}

// add adds the records of a set to a section.
func (r *Responder) add(section *[]wire.Record, name []byte, s *zone.RRset) {
	for _, data := range s.Data {
		*section = append(*section, wire.Record{Name: name, Type: s.Type, TTL: s.TTL, Data: data})
	}
}

// anyTTL is how long the answer to ANY holds: long, since it says nothing (RFC
// 8482 4.2).
const anyTTL = 3600

// hinfo is the record that answers ANY (RFC 8482 4.2).
var hinfo = []byte("\x07RFC8482\x00")

// minimalANY answers a query for any type of a name that there is.
func (r *Responder) minimalANY(f zone.Found, at, q *wire.Query) {
	if f.Node.Profile == nil && len(f.Node.Sets) == 0 {
		r.negative(f.Zone, noError, f.Zone.Negative.TTL)
		return
	}
	r.reply.answers = append(r.reply.answers, wire.Record{Name: owner(at, q), Type: typeHINFO, TTL: anyTTL, Data: hinfo})
}

// refer points to the servers below a cut. Their addresses come along where
// the zone has them (RFC 9471).
func (r *Responder) refer(cut *zone.Node) {
	p := &r.reply
	p.code, p.denied = referred, denied{name: cut.Name, zone: cut.Zone, node: cut}
	ns := cut.Get(typeNS)
	r.add(&p.authority, cut.Name, ns)
	for _, host := range ns.Data {
		n := r.view.Zones.Node(host)
		if n == nil || n.Zone != cut.Zone {
			continue
		}
		for _, t := range [...]uint16{typeA, typeAAAA} {
			if s := n.Get(t); s != nil {
				r.add(&p.additional, n.Name, s)
			}
		}
	}
}

// negative says that there is no such name or type, and for how long that
// holds (RFC 2308 2.1, 2.2).
func (r *Responder) negative(z *zone.Zone, rcode int, ttl uint32) {
	p := &r.reply
	p.rcode, p.code = rcode, empty
	if rcode == nxDomain {
		p.code = noName
	}
	p.authority = append(p.authority, wire.Record{Name: z.Origin, Type: typeSOA, TTL: ttl, Data: z.Negative.Data[0]})
}

// direct answers from a profile.
func (r *Responder) direct(f zone.Found, at, q *wire.Query, client netip.Addr) {
	n, p := f.Node, &r.reply
	if r.snapshot == nil || n.Profile.Director() != r.snapshot.Director() {
		p.rcode, p.ede, p.edeText = servFail, edeOther, "the configuration has just changed"
		return
	}
	p.profile = n.Profile
	if n.Profile.ByClient() {
		r.client = n.Profile.Locate(client)
		p.scope = r.client.Bits
		if client.Is4In6() { // located as IPv4, and named by the resolver as IPv6
			p.scope += 96
		}
	}
	r.snapshot.Answer(n.Profile, dnslb.FamilyOf(q.Type), &r.client, r.random, &r.answer)
	for _, e := range r.answer.Endpoints {
		if !r.endpoint(e, owner(at, q), q.Type) {
			break
		}
	}
	if len(p.answers) > r.chains {
		return
	}
	rcode := noError
	if r.answer.NXDomain && len(n.Sets) == 0 && !n.Below {
		rcode = nxDomain
	}
	r.negative(f.Zone, rcode, min(f.Zone.Negative.TTL, max(r.answer.TTL, 1)))
}

// endpoint adds the records of an endpoint; false: no other may stand beside
// them.
func (r *Responder) endpoint(e *dnslb.Endpoint, name []byte, qtype uint16) bool {
	c := e.Config()
	switch {
	case c.Host != "" && !e.Flattened():
		r.reply.answers = append(r.reply.answers, wire.Record{Name: name, Type: typeCNAME, TTL: r.answer.TTL, Data: e.HostWire()})
		return false
	case qtype == typeSVCB || qtype == typeHTTPS:
		r.serviceBinding(e, name, qtype)
	case c.Address.IsValid():
		r.address(c.Address, name, qtype)
	default:
		for _, a := range r.snapshot.Known(e).Addresses {
			r.address(a, name, qtype)
		}
	}
	return true
}

// maxAddresses bounds one answer; host names of endpoints can have any number.
const maxAddresses = 32

// address adds an address of the type that was asked for, once.
func (r *Responder) address(a netip.Addr, name []byte, qtype uint16) {
	if a.Is4() != (qtype == typeA) || a.Is6() != (qtype == typeAAAA) || len(r.reply.answers) >= maxAddresses {
		return
	}
	data := r.pack(a)
	for i := range r.reply.answers {
		if string(r.reply.answers[i].Data) == string(data) && r.reply.answers[i].Type == qtype {
			return
		}
	}
	r.reply.answers = append(r.reply.answers, wire.Record{Name: name, Type: qtype, TTL: r.answer.TTL, Data: data})
}

// pack keeps the octets of an address until the next query.
func (r *Responder) pack(a netip.Addr) []byte {
	start := len(r.packed)
	if a.Is4() {
		b := a.As4()
		r.packed = append(r.packed, b[:]...)
	} else {
		b := a.As16()
		r.packed = append(r.packed, b[:]...)
	}
	return r.packed[start:len(r.packed):len(r.packed)]
}

// Keys of service parameters (RFC 9460 14.3.2).
const (
	svcPort     = 3
	svcIPv4Hint = 4
	svcIPv6Hint = 6
)

// serviceBinding adds the port of an endpoint, with its address as a hint, for
// the name itself (RFC 9460 2.2).
func (r *Responder) serviceBinding(e *dnslb.Endpoint, name []byte, qtype uint16) {
	c := e.Config()
	if c.Port == 0 {
		return
	}
	start := len(r.packed)
	r.packed = append(r.packed, 0, 1, 0)          // priority 1, and the target "."
	r.packed = append(r.packed, 0, svcPort, 0, 2) // of two octets
	r.packed = binary.BigEndian.AppendUint16(r.packed, uint16(c.Port))
	r.hint(e)
	r.reply.answers = append(r.reply.answers, wire.Record{Name: name, Type: qtype, TTL: r.answer.TTL, Data: r.packed[start:len(r.packed):len(r.packed)]})
}

// hint adds the addresses of an endpoint as parameters.
func (r *Responder) hint(e *dnslb.Endpoint) {
	list := r.snapshot.Known(e).Addresses
	if a := e.Config().Address; a.IsValid() {
		r.packed = append(r.packed, 0, svcIPv4Hint, 0, 4)
		if a.Is6() {
			r.packed[len(r.packed)-3], r.packed[len(r.packed)-1] = svcIPv6Hint, 16
		}
		r.packed = append(r.packed, a.AsSlice()...)
		return
	}
	for _, v := range [...]struct {
		key  byte
		size int
	}{{svcIPv4Hint, 4}, {svcIPv6Hint, 16}} {
		n := 0
		for _, a := range list {
			if a.BitLen() == v.size*8 {
				n++
			}
		}
		if n = min(n, 8); n == 0 {
			continue
		}
		r.packed = append(r.packed, 0, v.key, 0, byte(n*v.size))
		for _, a := range list {
			if a.BitLen() == v.size*8 && n > 0 {
				r.packed = append(r.packed, a.AsSlice()...)
				n--
			}
		}
	}
}
