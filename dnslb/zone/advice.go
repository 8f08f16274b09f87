package zone

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gatehouse/dnslb"
	"gatehouse/dnslb/wire"
)

// maxAdvice bounds the warnings about one zone: nobody reads more.
const maxAdvice = 50

// adviser warns of what a zone can be served with and those who check zones
// complain about all the same. The tests named are Zonemaster's. Not among
// them are a MINIMUM below 300 seconds, which is wanted here, a zone without
// MX, and whatever only other servers know.
type adviser struct {
	*builder
	d     *draft
	given int
	seen  map[string]bool // hosts that were warned of
}

// advise warns about a zone of a set that is finished.
func (b *builder) advise(d *draft) {
	v := &adviser{builder: b, d: d, seen: map[string]bool{}}
	v.name()
	v.servers()
	for _, rr := range d.records {
		v.record(rr)
	}
	v.start()
	v.senders()
	v.trust()
}

func (v *adviser) warn(format string, args ...any) {
	switch v.given++; {
	case v.given < maxAdvice:
		v.Warnings = append(v.Warnings, fmt.Sprintf("zone %q: %s", v.d.Name, fmt.Sprintf(format, args...)))
	case v.given == maxAdvice:
		v.Warnings = append(v.Warnings, fmt.Sprintf("zone %q: there is more like that", v.d.Name))
	}
}

// name looks at the zone's name (SYNTAX03, RFC 5891 4.2.3.1).
func (v *adviser) name() {
	for _, label := range dns.SplitDomainName(v.d.origin) {
		if len(label) > 3 && label[2:4] == "--" && !strings.HasPrefix(label, "xn--") {
			v.warn("%q has hyphens as its third and fourth letter, which only xn-- may", label)
		}
	}
}

// start looks at the SOA record (ZONE01 to ZONE07, SYNTAX05 to SYNTAX07; RFC
// 1912 2.2).
func (v *adviser) start() {
	soa := v.d.SOA.RRs[0].(*dns.SOA)
	v.mailbox(soa.Mbox)
	v.host("the first server (MNAME of its SOA record)", soa.Ns, nil)
	const day = 86400
	if soa.Refresh < 4*3600 {
		v.warn("refresh of its SOA record is %d seconds; secondaries need not look more often than every 14400", soa.Refresh)
	}
	if soa.Retry < 3600 {
		v.warn("retry of its SOA record is %d seconds; less than 3600 helps nobody", soa.Retry)
	}
	if soa.Retry >= soa.Refresh {
		v.warn("retry of its SOA record, %d seconds, is not less than refresh, %d", soa.Retry, soa.Refresh)
	}
	if soa.Expire < 7*day {
		v.warn("expire of its SOA record is %d seconds; a fault of less than 604800, a week, should not end it", soa.Expire)
	}
	if soa.Expire < soa.Refresh {
		v.warn("expire of its SOA record, %d seconds, is less than refresh, %d", soa.Expire, soa.Refresh)
	}
	if soa.Minttl > day {
		v.warn("minimum of its SOA record is %d seconds: more than a day that others keep that there is no such name", soa.Minttl)
	}
}

// mailbox looks at the address of who is responsible.
func (v *adviser) mailbox(name string) {
	labels := dns.SplitDomainName(name)
	switch {
	case strings.Contains(name, "@"):
		v.warn("%s is who is responsible (RNAME of its SOA record), which has a dot for the @", bare(name))
	case len(labels) < 2 || hostFault(strings.Join(labels[1:], ".")) != "":
		v.warn("%s, who is responsible (RNAME of its SOA record), is no mail address", name)
	}
}

// servers looks at the servers as a whole (DELEGATION01 to DELEGATION03).
func (v *adviser) servers() {
	names := nsNames(v.d.Apex.Get(dns.TypeNS))
	if len(names) == 1 {
		v.warn("it has one name server; a second one, in another network, would answer when that does not (RFC 2182 5)")
	}
	by := map[string]string{}
	referral := new(dns.Msg)
	referral.Compress = true
	referral.SetQuestion(longest(v.d.origin), dns.TypeNS)
	for _, ns := range names {
		referral.Ns = append(referral.Ns, &dns.NS{Hdr: dns.RR_Header{Name: v.d.origin, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: ns})
		for _, address := range v.addresses(ns) {
			text := address.String()[len(address.Header().String()):]
			if other := by[text]; other != "" && other != ns {
				v.warn("its name servers %s and %s have the same address, %s", bare(other), bare(ns), text)
			}
			by[text] = ns
			if dns.IsSubDomain(v.d.origin, ns) {
				referral.Extra = append(referral.Extra, address)
			}
		}
	}
	if n := referral.Len(); n > 512 {
		v.warn("the referral to its name servers has up to %d bytes, and is cut for who takes only 512; shorter names that end alike take less", n)
	}
}

// longest is a name of 255 octets in a zone, or nearly that.
func longest(origin string) string {
	room := 254 - len(origin)
	for room > 1 {
		n := min(63, room-1)
		origin = strings.Repeat("x", n) + "." + strings.TrimPrefix(origin, ".")
		room -= n + 1
	}
	return origin
}

// addresses are those that our zones have for a host.
func (v *adviser) addresses(host string) (list []dns.RR) {
	name, err := Wire(host)
	if err != nil || v.nodes[string(name)] == nil {
		return nil
	}
	for _, t := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
		if s := v.nodes[string(name)].Get(t); s != nil {
			list = append(list, s.RRs...)
		}
	}
	return list
}

// record looks at the host that a record leads to (DELEGATION05, SYNTAX04,
// SYNTAX08, ZONE08).
func (v *adviser) record(rr dns.RR) {
	owner := bare(rr.Header().Name)
	switch rr := rr.(type) {
	case *dns.NS:
		v.host("a name server of "+owner, rr.Ns, rr)
	case *dns.MX:
		if rr.Mx != "." { // no mail (RFC 7505)
			v.host("the mail server of "+owner, rr.Mx, nil)
		}
	case *dns.SRV:
		if rr.Target != "." {
			v.host("a server of "+owner, rr.Target, nil)
		}
	}
}

// host looks at a host: its name must be one, no alias (RFC 2181 10.3), and
// have an address if it is ours to say. The record that delegates to it, if
// that is how it came up, needs the address from this side of the cut. One
// warning about a host is enough.
func (v *adviser) host(what, host string, ns *dns.NS) {
	fault := hostFault(host)
	if fault != "" {
		fault = "is no host name: " + fault
	} else {
		fault = v.addressFault(host, ns)
	}
	if fault != "" && !v.seen[host] {
		v.seen[host] = true
		v.warn("%s, %s, %s", bare(host), what, fault)
	}
}

// addressFault says what is wrong with the address of a host, as far as our
// zones know.
func (v *adviser) addressFault(host string, ns *dns.NS) string {
	name, err := Wire(host)
	var q wire.Query
	if err != nil || !q.SetName(name) {
		return ""
	}
	f := v.Find(&q)
	switch {
	case f.Match == NotMine:
	case f.Match == Referral:
		if ns != nil && ns.Hdr.Name == Text(f.Node.Name) && v.addresses(host) == nil {
			return "is below that itself and has no address here: nobody finds it without (RFC 9471)"
		}
	case f.Match != NoName && f.Node.alias():
		return "is an alias (CNAME), which it must not be (RFC 2181 10.3)"
	case f.Match == NoName || f.Node.Profile == nil && f.Node.Get(dns.TypeA) == nil && f.Node.Get(dns.TypeAAAA) == nil:
		return fmt.Sprintf("has no address in zone %q; add A or AAAA records in a zone file", f.Zone.Name)
	}
	return ""
}

// alias tells whether a name answers with another.
func (n *Node) alias() bool {
	return n.Get(dns.TypeCNAME) != nil || n.Profile != nil && n != n.Zone.Apex && named(n.Profile)
}

// named tells whether a profile answers with names.
func named(p *dnslb.Profile) bool {
	return slices.ContainsFunc(p.Leaves(), func(e *dnslb.Endpoint) bool { return e.Config().Host != "" && !e.Flattened() })
}

// senders looks at who may send mail (ZONE11; RFC 7208 3.2, 4.6.1).
func (v *adviser) senders() {
	texts := v.d.Apex.Get(dns.TypeTXT)
	if texts == nil {
		return
	}
	policies := 0
	for _, rr := range texts.RRs {
		text := strings.ToLower(strings.Join(rr.(*dns.TXT).Txt, ""))
		if text != "v=spf1" && !strings.HasPrefix(text, "v=spf1 ") {
			continue
		}
		policies++
		for _, term := range strings.Fields(text)[1:] {
			if !spfTerm.MatchString(term) {
				v.warn("its SPF record has %q, which is nothing that SPF knows (RFC 7208 4.6.1)", term)
			}
		}
	}
	if policies > 1 {
		v.warn("it has %d SPF records, and counts as having none that is valid (RFC 7208 4.5)", policies)
	}
}

var spfTerm = regexp.MustCompile(`^(?:[+?~-]?(?:all|(?:include|exists|ptr):[^ /]+|ptr|(?:a|mx)(?::[^ /]+)?(?:/[0-9]+)?(?://[0-9]+)?|ip4:[0-9./]+|ip6:[0-9a-f:./]+)|[a-z][a-z0-9._-]*=[^ ]*)$`)

// trust looks at what the zone above, if it is here and signed, says of this
// one's signatures (DNSSEC07).
func (v *adviser) trust() {
	above := v.d.Apex.Above
	if above == nil || !slices.ContainsFunc(v.zones, func(d *draft) bool { return d.Zone == above.Zone && d.conf.DNSSEC.Enabled }) {
		return
	}
	switch ds := above.Get(dns.TypeDS) != nil; {
	case v.d.conf.DNSSEC.Enabled && !ds:
		v.warn("it is signed, and zone %q, which is above it, has no DS record for it: nobody checks the signatures; add what trafficmgr ds prints to the file of that zone", above.Zone.Name)
	case ds && !v.d.conf.DNSSEC.Enabled:
		v.warn("it is not signed, and zone %q, which is above it, has a DS record for it: who checks signatures takes no answer; remove that, or sign it", above.Zone.Name)
	}
}

// hostFault says what is wrong with a host name; empty: nothing (RFC 1123
// 2.1).
func hostFault(host string) string {
	labels := dns.SplitDomainName(host)
	if len(labels) == 0 {
		return "it is empty"
	}
	for _, label := range labels {
		if bad := strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-"); bad != "" {
			return fmt.Sprintf("a label has letters, digits and -, not %q", label)
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Sprintf("a label does not begin or end with -, as %q does", label)
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "its last label is a number"
	}
	return ""
}

// bare is a name as configurations have it.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}
