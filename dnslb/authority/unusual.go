package authority

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/miekg/dns"

	"gatehouse/dnslb/server"
	"gatehouse/dnslb/wire"
)

// Key is a TSIG key (RFC 8945).
type Key struct {
	Algorithm string // with the final dot, as in the record
	Secret    string // base64
}

// unusual answers a message that is not the usual query, by way of miekg/dns.
func (r *Responder) unusual(out, query []byte, from *server.Peer) []byte {
	r.counts.unusual.Add(1)
	r.reply.reset()
	r.query.Type, r.query.Name, r.query.EDNS = 0, nil, wire.EDNS{}
	msg := r.unusualMsg(query, from)
	if msg == nil {
		return out
	}
	packed, err := r.packMsg(msg, query, from)
	if err != nil {
		return out
	}
	r.reply.rcode = msg.Rcode
	return append(out, packed...)
}

// unusualMsg is the response to a message; nil: none.
func (r *Responder) unusualMsg(query []byte, from *server.Peer) *dns.Msg {
	opcode := int(query[2]>>3) & 0xf
	if opcode != dns.OpcodeQuery {
		return bare(query, dns.RcodeNotImplemented)
	}
	m := new(dns.Msg)
	if m.Unpack(query) != nil || len(m.Question) > 1 || !r.read(m) {
		return bare(query, dns.RcodeFormatError)
	}
	if len(m.Question) == 0 {
		// A client may ask for nothing but a cookie (RFC 7873 5.4).
		if r.query.EDNS.Cookie == nil || r.view.Cookies == nil {
			return bare(query, dns.RcodeFormatError)
		}
	} else if t := m.IsTsig(); t != nil && r.checkTSIG(query, t) != nil {
		r.reply.rcode = notAuth
	} else {
		r.decide(&r.query, from)
	}
	switch r.judge(&r.query, from) {
	case dropped:
		return nil
	case slipped:
		a := r.msg(m, from)
		truncate(a)
		return a
	}
	r.signIfAsked(&r.query)
	return r.msg(m, from)
}

// bare is a response of a header alone. Of the flags only the opcode comes
// back.
func bare(query []byte, rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.Id = binary.BigEndian.Uint16(query)
	m.Response = true
	m.Opcode = int(query[2]>>3) & 0xf
	m.Rcode = rcode
	return m
}

// read reads a message into the query; false: it is malformed.
func (r *Responder) read(m *dns.Msg) bool {
	q := &r.query
	q.ID = m.Id
	q.Flags = 0
	if m.RecursionDesired {
		q.Flags |= wire.FlagRD
	}
	if m.CheckingDisabled {
		q.Flags |= wire.FlagCD
	}
	seen := false
	for _, rr := range m.Extra {
		opt, ok := rr.(*dns.OPT)
		if !ok {
			continue
		}
		if seen || opt.Hdr.Name != "." {
			return false
		}
		seen = true
		b := make([]byte, dns.Len(opt)+16)
		n, err := dns.PackRR(opt, b, 0, nil, false)
		if err != nil || !q.EDNS.Read(b[:n]) {
			return false
		}
	}
	if len(m.Question) == 0 {
		return true
	}
	b := make([]byte, 256)
	n, err := dns.PackDomainName(m.Question[0].Name, b, 0, nil, false)
	if err != nil || !q.SetName(b[:n]) {
		return false
	}
	q.Type, q.Class = m.Question[0].Qtype, m.Question[0].Qclass
	return true
}

// msg is the reply as a message of miekg/dns.
func (r *Responder) msg(m *dns.Msg, from *server.Peer) *dns.Msg {
	p, q := &r.reply, &r.query
	a := new(dns.Msg)
	a.Id, a.Response, a.Opcode = m.Id, true, m.Opcode
	a.RecursionDesired, a.CheckingDisabled, a.Authoritative = m.RecursionDesired, m.CheckingDisabled, p.aa
	a.Rcode, a.Question, a.Compress = p.rcode, m.Question, true
	name := ""
	if len(m.Question) > 0 {
		name = m.Question[0].Name
	}
	a.Answer, a.Ns, a.Extra = rrs(p.answers, name), rrs(p.authority, name), rrs(p.additional, name)
	if q.EDNS.Present {
		opt := r.opt(q, from)
		if rr, _, err := dns.UnpackRR(opt.Append(nil, 0), 0); err == nil {
			a.Extra = append(a.Extra, rr)
		}
	}
	return a
}

// rrs are records as miekg/dns has them.
func rrs(records []wire.Record, question string) (list []dns.RR) {
	for i := range records {
		rec := &records[i]
		var q wire.Query
		b := q.Append(nil, &wire.Record{Name: []byte{0}, Type: rec.Type, TTL: rec.TTL, Data: rec.Data})
		rr, _, err := dns.UnpackRR(b, 0)
		if err != nil {
			continue
		}
		rr.Header().Name = question
		if rec.Name != nil {
			rr.Header().Name, _, _ = dns.UnpackDomainName(rec.Name, 0)
		}
		list = append(list, rr)
	}
	return list
}

// packMsg packs a response, signed if the query was, and truncated to what the
// client takes.
func (r *Responder) packMsg(m *dns.Msg, query []byte, from *server.Peer) ([]byte, error) {
	limit := r.limit(&r.query, from)
	t := tsigOf(query)
	room := limit
	if t != nil {
		room -= dns.Len(t) + 64
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if len(packed) > room {
		truncate(m)
		if packed, err = m.Pack(); err != nil {
			return nil, err
		}
	}
	if t == nil || m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented {
		return packed, nil
	}
	return r.signTSIG(m, query, t)
}

// truncate leaves a response its question and OPT record.
func truncate(m *dns.Msg) {
	opt := m.IsEdns0()
	m.Truncated, m.Answer, m.Ns, m.Extra = true, nil, nil, nil
	if opt != nil {
		m.Extra = []dns.RR{opt}
	}
}

// tsigOf is the TSIG record of a message; nil: it has none.
func tsigOf(query []byte) *dns.TSIG {
	m := new(dns.Msg)
	if query[10] == 0 && query[11] == 0 || m.Unpack(query) != nil {
		return nil
	}
	return m.IsTsig()
}

var errNoKey = errors.New("no such key")

// checkTSIG verifies the signature of a query.
func (r *Responder) checkTSIG(query []byte, t *dns.TSIG) error {
	key, ok := r.view.Keys[dns.CanonicalName(t.Hdr.Name)]
	if !ok || key.Algorithm != dns.CanonicalName(t.Algorithm) {
		return errNoKey
	}
	return dns.TsigVerify(append([]byte(nil), query...), key.Secret, "", false)
}

// signTSIG signs a response, or says what is wrong with the signature of the
// query (RFC 8945 5.2, 5.3).
func (r *Responder) signTSIG(m *dns.Msg, query []byte, t *dns.TSIG) ([]byte, error) {
	key, known := r.view.Keys[dns.CanonicalName(t.Hdr.Name)]
	err := r.checkTSIG(query, t)
	a := &dns.TSIG{Hdr: dns.RR_Header{Name: t.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: t.Algorithm,
		TimeSigned: uint64(time.Now().Unix()), Fudge: 300, OrigId: t.OrigId}
	switch {
	case err == nil:
		m.Extra = append(m.Extra, a)
		packed, _, err := dns.TsigGenerate(m, key.Secret, t.MAC, false)
		return packed, err
	case !known || errors.Is(err, errNoKey):
		a.Error = dns.RcodeBadKey
	case errors.Is(err, dns.ErrTime):
		a.Error = dns.RcodeBadTime
		a.TimeSigned = t.TimeSigned
		a.OtherData, a.OtherLen = timeNow(), 6
		m.Extra = append(m.Extra, a)
		packed, _, err := dns.TsigGenerate(m, key.Secret, t.MAC, false)
		return packed, err
	default:
		a.Error = dns.RcodeBadSig
	}
	m.Extra = append(m.Extra, a)
	return m.Pack()
}

// timeNow is the server's time as a BADTIME error tells it, in hexadecimal.
func timeNow() string {
	const digits = "0123456789abcdef"
	now := uint64(time.Now().Unix())
	b := make([]byte, 12)
	for i := range b {
		b[i] = digits[now>>(4*(11-i))&0xf]
	}
	return string(b)
}
