package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A referral has the name servers of the cut, no AA bit, and all the addresses
// that lead to servers below it, or TC (RFC 9471 3.1; RFC 1034 4.3.2).
func TestReferrals(t *testing.T) {
	var many strings.Builder
	for i := range 20 {
		fmt.Fprintf(&many, "big NS ns%d.of-a-longer-name.big\nns%d.of-a-longer-name.big A 192.0.2.%d\n", i, i, i)
	}
	_, doors := startDoors(t, zoned(t, head+many.String()+`
child        NS   ns.child
child        NS   ns.elsewhere.test.
ns.child     A    192.0.2.60
ns.child     AAAA 2001:db8::60
x.child      TXT  "nobody asks this zone"
sibling      NS   ns.child
in           NS   ns1
outside      NS   ns.elsewhere.test.
deeper.child NS   ns.elsewhere.test.
`))
	const child = "NOERROR | authority: child.lab.test. 600 NS ns.child.lab.test., child.lab.test. 600 NS ns.elsewhere.test. | additional: ns.child.lab.test. 600 A 192.0.2.60, ns.child.lab.test. 600 AAAA 2001:db8::60"
	through(t, doors, []row{
		{"the cut", about(t, "child", dns.TypeA), child},
		{"its NS records", about(t, "child", dns.TypeNS), child},
		{"its SOA record", about(t, "child", dns.TypeSOA), child},
		{"any type", about(t, "child", dns.TypeANY), child},
		{"glue is no answer", about(t, "ns.child", dns.TypeA), child},
		{"what is hidden below", about(t, "x.child", dns.TypeTXT), child},
		{"what is not there", about(t, "a.b.child", dns.TypeA), child},
		{"below a cut below", about(t, "a.deeper.child", dns.TypeA), child},
		{"with EDNS", about(t, "child", dns.TypeA, edns(0, false)), child + " | EDNS0"},
		{"DS at the cut is for this zone to say", about(t, "child", dns.TypeDS), nothing},
		{"DS below the cut is not", about(t, "x.child", dns.TypeDS), child},
		{"a server below another cut", about(t, "sibling", dns.TypeA), "NOERROR | authority: sibling.lab.test. 600 NS ns.child.lab.test. | additional: ns.child.lab.test. 600 A 192.0.2.60, ns.child.lab.test. 600 AAAA 2001:db8::60"},
		{"a server of this zone", about(t, "in", dns.TypeA), "NOERROR | authority: in.lab.test. 600 NS ns1.lab.test. | additional: ns1.lab.test. 600 A 192.0.2.53"},
		{"a server of others", about(t, "outside", dns.TypeA), "NOERROR | authority: outside.lab.test. 600 NS ns.elsewhere.test."},
	})
	for _, d := range doors {
		m := d.ask(t, about(t, "www.big", dns.TypeA))
		if whole := len(m.Ns) == 20 && len(m.Extra) == 20; m.Truncated == whole || whole == (d.network == "udp") {
			t.Errorf("%s: %d servers, %d addresses, TC %v", d.network, len(m.Ns), len(m.Extra), m.Truncated)
		}
	}
}
