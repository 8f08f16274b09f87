package zone

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/dnslb"
)

// The timers of an SOA record made from the configuration; secondaries and
// those who check zones go by them (RIPE-203, RFC 1912 2.2).
const (
	refresh = 4 * time.Hour
	retry   = time.Hour
	expire  = 14 * 24 * time.Hour
)

// Built is what Build made.
type Built struct {
	*Set
	Files    []string // that were read
	Warnings []string
}

// Build reads the zone files of a configuration and puts the profiles beside
// their records. The error has everything that is wrong.
func Build(conf *config.TrafficManager, director *dnslb.Director) (*Built, error) {
	b := &builder{Built: Built{Set: &Set{nodes: map[string]*Node{}}}, director: director, byOrigin: map[string]*Zone{}}
	for i := range conf.Zones {
		b.zone(&conf.Zones[i])
	}
	// The deepest first: the names of a zone above are then known to be theirs.
	slices.SortStableFunc(b.zones, func(x, y *draft) int { return dns.CountLabel(y.origin) - dns.CountLabel(x.origin) })
	for _, d := range b.zones {
		b.place(d)
	}
	for _, d := range b.zones {
		b.delegate(d)
	}
	for _, p := range director.Profiles {
		b.profile(p, conf)
	}
	for _, d := range b.zones {
		b.check(d)
	}
	b.link()
	for _, d := range b.zones {
		b.reach(d)
		b.advise(d)
	}
	return &b.Built, errors.Join(b.errs...)
}

type builder struct {
	Built
	director *dnslb.Director
	zones    []*draft
	byOrigin map[string]*Zone
	errs     []error
}

// draft is a zone in the making.
type draft struct {
	*Zone
	conf    *config.DNSZone
	origin  string // with the final dot
	records []dns.RR

	computed bool // the serial
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

// zone reads the records of a zone.
func (b *builder) zone(conf *config.DNSZone) {
	d := &draft{Zone: &Zone{Name: conf.Name}, conf: conf, origin: dns.Fqdn(conf.Name)}
	var err error
	if d.Origin, err = Wire(conf.Name); err != nil {
		b.fail("zone %q: %w", conf.Name, err)
		return
	}
	if conf.File != "" {
		b.Files = append(b.Files, conf.File)
		if d.records, err = readFile(conf.File, d.origin); err != nil {
			b.fail("zone %q: %w", conf.Name, err)
			return
		}
	}
	if err = d.addDefaults(); err != nil {
		b.fail("zone %q: %w", conf.Name, err)
		return
	}
	b.zones = append(b.zones, d)
	b.byOrigin[string(d.Origin)] = d.Zone
	b.Zones = append(b.Zones, d.Zone)
}

// has tells whether the apex has a record of a type.
func (d *draft) has(t uint16) bool {
	for _, rr := range d.records {
		if h := rr.Header(); h.Rrtype == t && h.Name == d.origin {
			return true
		}
	}
	return false
}

// addDefaults adds the NS and SOA records that the file does not have.
func (d *draft) addDefaults() error {
	ttl := uint32(d.conf.TTL.Seconds())
	if !d.has(dns.TypeNS) {
		for _, ns := range d.conf.NameServers {
			d.records = append(d.records, &dns.NS{Hdr: dns.RR_Header{Name: d.origin, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: ttl}, Ns: dns.Fqdn(ns)})
		}
	}
	if d.has(dns.TypeSOA) {
		return nil
	}
	if _, err := Wire(d.conf.Hostmaster); err != nil {
		return fmt.Errorf("hostmaster: %w", err) // the zone's name may be too long for the usual one
	}
	master := d.origin
	for _, rr := range d.records {
		if ns, ok := rr.(*dns.NS); ok && ns.Hdr.Name == d.origin {
			master = ns.Ns
			break
		}
	}
	d.records = append(d.records, &dns.SOA{
		Hdr: dns.RR_Header{Name: d.origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  master, Mbox: dns.Fqdn(d.conf.Hostmaster), Serial: d.serial(),
		Refresh: uint32(refresh.Seconds()), Retry: uint32(retry.Seconds()), Expire: uint32(expire.Seconds()),
		Minttl: uint32(d.conf.NegativeTTL.Seconds()),
	})
	return nil
}

// serial is that of the configuration, or a number made from the records: the
// same wherever they are the same.
func (d *draft) serial() uint32 {
	if d.conf.Serial != 0 {
		return d.conf.Serial
	}
	d.computed = true
	lines := make([]string, len(d.records))
	for i, rr := range d.records {
		lines[i] = rr.String()
	}
	slices.Sort(lines)
	h := fnv.New32a()
	fmt.Fprintln(h, d.conf.Name, d.conf.Hostmaster, d.conf.TTL, d.conf.NegativeTTL)
	fmt.Fprintln(h, strings.Join(lines, "\n"))
	return max(h.Sum32(), 1)
}

// place puts the records of a zone at their names.
func (b *builder) place(d *draft) {
	d.Apex = b.node(d.Zone, d.Origin)
	sets := map[string][]dns.RR{}
	var order []string
	for _, rr := range d.records {
		key := fmt.Sprint(strings.ToLower(rr.Header().Name), " ", rr.Header().Rrtype)
		if sets[key] == nil {
			order = append(order, key)
		}
		if !slices.ContainsFunc(sets[key], func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }) {
			sets[key] = append(sets[key], rr)
		}
	}
	for _, key := range order {
		set, err := NewRRset(sets[key]...)
		if err != nil {
			b.fail("zone %q: %w", d.Name, err)
			continue
		}
		name, err := Wire(set.RRs[0].Header().Name)
		if err != nil {
			b.fail("zone %q: %w", d.Name, err)
			continue
		}
		n := b.node(d.Zone, name)
		n.Sets = append(n.Sets, set)
	}
	d.SOA = d.Apex.Get(dns.TypeSOA)
	negative := *d.SOA
	negative.TTL = min(negative.TTL, d.SOA.RRs[0].(*dns.SOA).Minttl)
	rr := dns.Copy(d.SOA.RRs[0])
	rr.Header().Ttl = negative.TTL
	negative.RRs = []dns.RR{rr}
	d.Negative = &negative
}

// delegate makes a zone known to the one above that we have too: the names
// between the two are there, and DS records are denied where NS ones are.
func (b *builder) delegate(d *draft) {
	for at := parent(d.Origin); at[0] != 0; at = parent(at) {
		above := b.byOrigin[string(at)]
		if above == nil {
			continue
		}
		n := b.node(above, d.Origin)
		if ns := d.Apex.Get(dns.TypeNS); n.Get(dns.TypeNS) == nil && ns != nil {
			n.Sets = append(n.Sets, ns)
		}
		return
	}
}

// node is the node of a name in a zone, made with those between it and the
// apex if it is not there yet.
func (b *builder) node(z *Zone, name []byte) *Node {
	below := b.below(z, name)
	switch n := b.nodes[string(name)]; {
	case below != nil && len(below.Origin) == len(name):
		if n.Above == nil {
			n.Above = &Node{Name: name, Zone: z}
			b.node(z, parent(name))
		}
		return n.Above
	case below != nil:
		// What a zone says of names in a zone below is glue that nobody
		// asks for, or a mistake: nothing leads there.
		return &Node{Name: name, Zone: z}
	case n != nil:
		return n
	}
	n := &Node{Name: name, Zone: z}
	b.nodes[string(name)] = n
	b.maxLabels = max(b.maxLabels, labelsOf(name))
	if len(name) > len(z.Origin) {
		b.node(z, parent(name))
	}
	return n
}

// below is the zone that has a name of a zone, because its apex is between
// the two; nil: none has.
func (b *builder) below(z *Zone, name []byte) (found *Zone) {
	for at := 0; len(name)-at > len(z.Origin); at += 1 + int(name[at]) {
		if y := b.byOrigin[string(name[at:])]; y != nil {
			found = y
		}
	}
	return found
}

func parent(name []byte) []byte { return name[1+int(name[0]):] }

// labelsOf counts the labels of a name, the root's included.
func labelsOf(name []byte) int {
	n := 1
	for at := 0; name[at] != 0; at += 1 + int(name[at]) {
		n++
	}
	return n
}

// profile puts a profile at its name.
func (b *builder) profile(p *dnslb.Profile, conf *config.TrafficManager) {
	if p.Config().Zone == "" {
		return
	}
	i := slices.IndexFunc(b.zones, func(d *draft) bool { return d.Name == p.Config().Zone })
	if i < 0 {
		if slices.ContainsFunc(conf.Zones, func(z config.DNSZone) bool { return z.Name == p.Config().Zone }) {
			return // it could not be read, which has been said
		}
		b.fail("profile %q: there is no zone %q", p.Name, p.Config().Zone)
		return
	}
	z := b.zones[i]
	name, err := Wire(NameOf(p))
	if err != nil {
		b.fail("profile %q: %w", p.Name, err)
		return
	}
	n := b.node(z.Zone, name)
	switch {
	case b.below(z.Zone, name) != nil:
		b.fail("profile %q: the zone %q has its name; put the profile there", p.Name, b.below(z.Zone, name).Name)
	case n.Profile != nil:
		b.fail("profile %q: profile %q has the name %s", p.Name, n.Profile.Name, Text(name))
	}
	n.Profile = p
	b.beside(p, n)
}

// NameOf is the name that a profile answers, with the final dot; empty if it
// has none.
func NameOf(p *dnslb.Profile) string {
	c := p.Config()
	switch {
	case c.Zone == "":
		return ""
	case c.Label == "@":
		return dns.Fqdn(c.Zone)
	}
	return dns.Fqdn(c.Label + "." + c.Zone)
}

// beside refuses records that cannot stand beside a profile.
func (b *builder) beside(p *dnslb.Profile, n *Node) {
	named := named(p)
	for _, s := range n.Sets {
		switch s.Type {
		case dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeHTTPS, dns.TypeSVCB:
			b.fail("profile %q: the zone file has %s records at %s, which the profile answers; remove one", p.Name, dns.TypeToString[s.Type], Text(n.Name))
		case dns.TypeNS:
			if n != n.Zone.Apex {
				b.fail("profile %q: the zone file delegates %s", p.Name, Text(n.Name))
			}
		default:
			if named && n != n.Zone.Apex {
				b.fail("profile %q: the zone file has %s records at %s, where endpoints that are host names make a CNAME, which stands alone (RFC 1034 3.6.2); write flatten: true, or move them",
					p.Name, dns.TypeToString[s.Type], Text(n.Name))
			}
		}
	}
}

// check looks at a zone as a whole.
func (b *builder) check(d *draft) {
	if d.Apex.Get(dns.TypeNS) == nil {
		b.fail("zone %q: it has no NS record; name its servers in nameServers or in its file", d.Name)
	}
	if len(d.conf.TransferKeys) > 0 && d.computed {
		b.Warnings = append(b.Warnings, fmt.Sprintf("zone %q: it can be transferred, and its serial is computed, which does not rise: a secondary may keep what is old; set serial, or an SOA record in its file", d.Name))
	}
	if len(d.conf.TransferKeys) > 0 && d.conf.DNSSEC.Enabled {
		b.Warnings = append(b.Warnings, fmt.Sprintf("zone %q: it is signed, and a transfer has no signatures: what a secondary answers is not valid", d.Name))
	}
	if len(d.SOA.RRs) > 1 {
		b.fail("zone %q: it has %d SOA records; keep one", d.Name, len(d.SOA.RRs))
	}
	b.Walk(d.Zone, func(n *Node) {
		if n.Get(dns.TypeCNAME) == nil {
			return
		}
		if len(n.Sets) > 1 || len(n.Get(dns.TypeCNAME).RRs) > 1 || n.Profile != nil {
			b.fail("zone %q: %s has a CNAME, which stands alone (RFC 1034 3.6.2)", d.Name, Text(n.Name))
		}
	})
}

func nsNames(s *RRset) (names []string) {
	if s == nil {
		return nil
	}
	for _, rr := range s.RRs {
		names = append(names, rr.(*dns.NS).Ns)
	}
	return names
}

// reach refuses profiles that no query leads to.
func (b *builder) reach(d *draft) {
	b.Walk(d.Zone, func(n *Node) {
		if n.Profile != nil && n.Cut != nil && n.Cut != n {
			b.fail("profile %q: the zone file delegates %s, above its name", n.Profile.Name, Text(n.Cut.Name))
		}
	})
}

// link finds cuts and wildcards.
func (b *builder) link() {
	for _, n := range b.nodes {
		for m := n; m != nil; m = m.Above {
			b.linkNode(m)
		}
	}
}

func (b *builder) linkNode(n *Node) {
	for up := n; ; {
		if up != n.Zone.Apex && up.Get(dns.TypeNS) != nil {
			n.Cut = up // the highest one counts
		}
		if len(up.Name) <= len(n.Zone.Origin) {
			break
		}
		up = b.node(n.Zone, parent(up.Name))
	}
	if len(n.Name) > len(n.Zone.Origin) {
		b.node(n.Zone, parent(n.Name)).Below = true
	}
	if n.Name[0] == 1 && n.Name[1] == '*' {
		b.node(n.Zone, parent(n.Name)).Wildcard = n
	}
}

// maxFile bounds a zone file, maxRecords what is in it, and maxTTL how long a
// record holds: more is read as 0.
const (
	maxFile    = 64 << 20
	maxRecords = 1 << 20
	maxTTL     = 1<<31 - 1
)

// readFile reads a zone file.
func readFile(file, origin string) ([]dns.RR, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file of at most %d MiB", file, maxFile>>20)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parser := dns.NewZoneParser(f, origin, file)
	parser.SetDefaultTTL(3600)
	var list []dns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if err := acceptable(rr, origin); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if list = append(list, rr); len(list) > maxRecords {
			return nil, fmt.Errorf("%s: more than %d records", file, maxRecords)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, err // it names the file and the line
	}
	return list, nil
}

// acceptable refuses what does not belong into a zone file here.
func acceptable(rr dns.RR, origin string) error {
	h := rr.Header()
	name, err := Wire(h.Name)
	if err != nil {
		return err
	}
	h.Name = Text(name) // one text for one name
	switch {
	case !dns.IsSubDomain(origin, h.Name):
		return fmt.Errorf("%s is not in the zone %s", h.Name, origin)
	case h.Class != dns.ClassINET:
		return fmt.Errorf("%s: only class IN is served, not %s", h.Name, dns.ClassToString[h.Class])
	case h.Ttl > maxTTL:
		return fmt.Errorf("%s has a TTL of %d seconds, and at most %d are possible (RFC 2181 8)", h.Name, h.Ttl, maxTTL)
	}
	switch h.Rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
		return fmt.Errorf("%s has a %s record; signed zones are not taken: write dnssec: {enabled: true} to have it signed here", h.Name, dns.TypeToString[h.Rrtype])
	case dns.TypeSOA:
		if h.Name != origin {
			return fmt.Errorf("%s has an SOA record, which only the zone %s itself has (RFC 1035 5.2)", h.Name, origin)
		}
	case dns.TypeDNAME:
		return fmt.Errorf("%s has a DNAME record, which is not available in this version", h.Name)
	}
	return nil
}
