package authority

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/miekg/dns"

	"gatehouse/dnslb"
	"gatehouse/dnslb/server"
	"gatehouse/dnslb/zone"
)

// transferSize is how many octets of records one message of a transfer has, if
// no record alone is longer.
const transferSize = 16 << 10

// Stream answers a zone transfer (RFC 5936): the records of a zone, and for
// each profile those that a client of no known place gets at the moment. An
// IXFR is answered with the whole zone (RFC 1995 4).
func (r *Responder) Stream(query []byte, from *server.Peer, write func(msg []byte) error) (handled bool, err error) {
	if len(query) < 12 || query[2]>>3&0xf != dns.OpcodeQuery || query[4] != 0 || query[5] != 1 || !asksTransfer(query) {
		return false, nil
	}
	r.begin()
	r.reply.reset()
	m := new(dns.Msg)
	if m.Unpack(query) != nil || !r.read(m) {
		return false, nil
	}
	t := m.IsTsig()
	z := r.transferable(m, t)
	if z == nil || r.checkTSIG(query, t) != nil {
		return false, nil // refused as an ordinary query
	}
	return true, r.transfer(z, m, t, write)
}

// asksTransfer tells whether a message of one question is about a transfer,
// without reading all of it.
func asksTransfer(query []byte) bool {
	at := 12
	for at < len(query) && query[at] != 0 {
		if query[at] > 63 {
			return false
		}
		at += 1 + int(query[at])
	}
	if at+3 > len(query) {
		return false
	}
	t := binary.BigEndian.Uint16(query[at+1:])
	return t == typeAXFR || t == typeIXFR
}

// transferable is the zone that is asked for, if its key may have it.
func (r *Responder) transferable(m *dns.Msg, t *dns.TSIG) *zone.Zone {
	if t == nil || r.query.Class != classIN {
		return nil
	}
	f := r.view.Zones.Find(&r.query)
	if f.Match != zone.Exact || f.Node != f.Zone.Apex {
		return nil
	}
	if !slices.Contains(r.view.Transfers[f.Zone], dns.CanonicalName(t.Hdr.Name)) {
		return nil
	}
	return f.Zone
}

// transfer writes the messages.
func (r *Responder) transfer(z *zone.Zone, m *dns.Msg, t *dns.TSIG, write func(msg []byte) error) error {
	list := append(r.records(z), z.SOA.RRs[0])
	mac, first := t.MAC, true
	for len(list) > 0 {
		a := new(dns.Msg)
		a.SetReply(m)
		a.Authoritative, a.Compress = true, true
		n := 0
		for size := 0; n < len(list); n++ {
			if size += dns.Len(list[n]); size > transferSize && n > 0 {
				break
			}
		}
		a.Answer, list = list[:n], list[n:]
		a.Extra = []dns.RR{&dns.TSIG{Hdr: dns.RR_Header{Name: t.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: t.Algorithm,
			TimeSigned: uint64(time.Now().Unix()), Fudge: 300, OrigId: m.Id}}
		packed, next, err := dns.TsigGenerate(a, r.view.Keys[dns.CanonicalName(t.Hdr.Name)].Secret, mac, !first)
		if err != nil {
			return err
		}
		if err := write(packed); err != nil {
			return err
		}
		mac, first = next, false
	}
	return nil
}

// records are those of a zone, its SOA first, the rest by name.
func (r *Responder) records(z *zone.Zone) []dns.RR {
	var nodes []*zone.Node
	r.view.Zones.Walk(z, func(n *zone.Node) { nodes = append(nodes, n) })
	slices.SortFunc(nodes, func(a, b *zone.Node) int { return slices.Compare(a.Name, b.Name) })
	list := []dns.RR{z.SOA.RRs[0]}
	for _, n := range nodes {
		for _, s := range n.Sets {
			if s.Type != typeSOA {
				list = append(list, s.RRs...)
			}
		}
		if n.Profile != nil && r.snapshot != nil {
			list = append(list, r.directed(n)...)
		}
	}
	return list
}

// directed are the records that a profile has for nobody in particular.
func (r *Responder) directed(n *zone.Node) (list []dns.RR) {
	for _, t := range [...]uint16{typeA, typeAAAA, typeHTTPS} {
		r.reply.reset()
		r.packed = r.packed[:0]
		r.client = dnslb.Client{}
		r.snapshot.Answer(n.Profile, dnslb.FamilyOf(t), &r.client, r.random, &r.answer)
		for _, e := range r.answer.Endpoints {
			if !r.endpoint(e, n.Name, t) {
				return rrs(r.reply.answers, "") // a CNAME is the same for every type
			}
		}
		list = append(list, rrs(r.reply.answers, "")...)
	}
	return list
}
