package authority

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"gatehouse/dnslb"
	"gatehouse/dnslb/wire"
	"gatehouse/dnslb/zone"
)

// Denier makes the records that say that there is nothing (RFC 9824).
type Denier interface {
	NSEC(qname string, types []uint16, ttl uint32) *dns.NSEC
	Nonexistent(qname string, ttl uint32) *dns.NSEC
}

// sign adds signatures to the reply, and proofs to a negative one.
func (r *Responder) sign(q *wire.Query) {
	p := &r.reply
	if p.zone == nil || p.rcode == servFail || p.rcode == refused {
		return
	}
	if p.code == referred {
		r.signReferral()
		return
	}
	if (p.code == empty || p.code == noName) && !r.deny(q) {
		r.busy()
		return
	}
	if !r.signSection(q, &p.answers) || !r.signSection(q, &p.authority) {
		r.busy()
	}
}

// busy says that no signature can be made now.
func (r *Responder) busy() {
	p := &r.reply
	p.answers, p.authority, p.additional = p.answers[:0], p.authority[:0], p.additional[:0]
	p.rcode, p.aa, p.ede, p.edeText = servFail, false, edeOther, "too many new signatures are asked for"
}

// signSection adds a signature for each set of a section whose zone is signed.
func (r *Responder) signSection(q *wire.Query, section *[]wire.Record) bool {
	list := *section
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Type == list[i].Type && bytes.Equal(list[j].Name, list[i].Name) {
			j++
		}
		signer := r.view.Signers[r.zoneOf(list[i].Name)]
		if signer == nil || list[i].Type == typeRRSIG {
			i = j
			continue
		}
		rrsig := r.signature(signer, q, list[i:j])
		if rrsig == nil {
			return false
		}
		*section = append(*section, wire.Record{Name: list[i].Name, Type: typeRRSIG, TTL: list[i].TTL, Data: rrsig})
		i = j
	}
	return true
}

// zoneOf is the zone of a name of the reply.
func (r *Responder) zoneOf(name []byte) *zone.Zone {
	if name == nil {
		return r.reply.zone
	}
	for i := range r.chains {
		if z := r.chainZone[i]; z != nil && (bytes.Equal(name, r.chain[i].Lower()) || bytes.Equal(name, z.Origin)) {
			return z
		}
	}
	return r.reply.zone
}

// signature is what the RRSIG record of a set holds; nil: there is none now.
func (r *Responder) signature(s Signer, q *wire.Query, set []wire.Record) []byte {
	name := set[0].Name
	if name == nil {
		name = q.Lower()
	}
	r.canon = canonical(r.canon[:0], name, set)
	packed, ok := s.Cached(r.canon)
	if !ok {
		var err error
		if packed, err = s.SignCanonical(r.canon); err != nil {
			return nil
		}
	}
	return packed[len(name)+10:]
}

// canonical appends the canonical form of a set (RFC 4034 6): its data is in
// that form already, but for the order.
func canonical(b, name []byte, set []wire.Record) []byte {
	if len(set) > 1 {
		set = slices.Clone(set)
		slices.SortFunc(set, func(x, y wire.Record) int { return bytes.Compare(x.Data, y.Data) })
	}
	for i := range set {
		b = append(b, name...)
		b = binary.BigEndian.AppendUint16(b, set[i].Type)
		b = append(b, 0, classIN)
		b = binary.BigEndian.AppendUint32(b, set[i].TTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(set[i].Data)))
		b = append(b, set[i].Data...)
	}
	return b
}

// deny proves that there is nothing: that the name has not the type, or that
// there is no such name (RFC 9824 3). It returns false if it cannot.
func (r *Responder) deny(q *wire.Query) bool {
	p := &r.reply
	signer := r.view.Signers[p.denied.zone]
	if signer == nil {
		return true
	}
	name, qname := p.denied.name, q.Lower()
	if name != nil {
		qname = name
	}
	ttl := p.authority[0].TTL
	var nsec *dns.NSEC
	if p.rcode == nxDomain {
		nsec = signer.Nonexistent(zone.Text(qname), ttl)
		if q.EDNS.Flags&wire.FlagCO == 0 {
			p.rcode = noError
		}
	} else {
		nsec = signer.NSEC(zone.Text(qname), p.denied.types(q.Type), ttl)
	}
	data, err := zone.Data(nsec)
	if err != nil {
		return false
	}
	record := wire.Record{Name: name, Type: typeNSEC, TTL: ttl, Data: data}
	if q.Type == typeNSEC && p.code == empty {
		// The record is there as soon as it is asked for (RFC 9824 3.5).
		p.answers, p.authority = append(p.answers, record), p.authority[:0]
		return true
	}
	p.authority = append(p.authority, record)
	return true
}

// denied is the name of which a reply says that it has nothing.
type denied struct {
	name []byte // nil: the name that was asked for
	zone *zone.Zone
	node *zone.Node // nil: there is no such name
}

// types are those that the name has, but not the one that was asked for: a
// profile has all that its endpoints may have in another moment.
func (d denied) types(qtype uint16) []uint16 {
	if d.node == nil {
		return nil
	}
	types := d.node.Types()
	if d.node.Profile != nil {
		types = append(types, possible(d.node.Profile)...)
	}
	return slices.DeleteFunc(types, func(t uint16) bool { return t == qtype })
}

// possible are the types that a profile can answer.
func possible(p *dnslb.Profile) (types []uint16) {
	for _, e := range p.Leaves() {
		c := e.Config()
		switch {
		case c.Address.Is4():
			types = append(types, typeA)
		case c.Address.Is6():
			types = append(types, typeAAAA)
		case e.Flattened():
			types = append(types, typeA, typeAAAA)
		}
		if c.Port > 0 {
			types = append(types, typeSVCB, typeHTTPS)
		}
	}
	return types
}

// signReferral adds what the zone says of the security of the one below: its
// DS records, or that there are none (RFC 4035 3.1.4).
func (r *Responder) signReferral() {
	p := &r.reply
	signer := r.view.Signers[p.zone]
	if signer == nil {
		return
	}
	cut := p.denied.node
	from := len(p.authority)
	if ds := cut.Get(typeDS); ds != nil {
		r.add(&p.authority, cut.Name, ds)
	} else {
		data, err := zone.Data(signer.NSEC(zone.Text(cut.Name), cut.Types(), p.zone.Negative.TTL))
		if err != nil {
			r.busy()
			return
		}
		p.authority = append(p.authority, wire.Record{Name: cut.Name, Type: typeNSEC, TTL: p.zone.Negative.TTL, Data: data})
	}
	rrsig := r.signature(signer, &r.query, p.authority[from:])
	if rrsig == nil {
		r.busy()
		return
	}
	p.authority = append(p.authority, wire.Record{Name: cut.Name, Type: typeRRSIG, TTL: p.authority[from].TTL, Data: rrsig})
}
