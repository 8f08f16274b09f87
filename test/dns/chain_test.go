package dns

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

// The code of a response is about the last name of a chain of CNAMEs, the AA
// bit about the first (RFC 6604 2.1, 3; RFC 1035 4.1.1).
func TestChains(t *testing.T) {
	_, doors := startDoors(t, fmt.Sprintf(`
zones:
  - {name: lab.test, file: %q}
  - {name: other.zone, nameServers: [ns1.lab.test, ns2.other.test]}
profiles:
  - {name: www, zone: other.zone, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.9}]}
`, testkit.Config(t, head+`
one      CNAME two
two      CNAME ns1
gone     CNAME one.gone
one.gone CNAME nobody
empty    CNAME ns1
left     CNAME www.elsewhere.test.
profile  CNAME www.other.zone.
absent   CNAME none.other.zone.
cut      CNAME x.sub
sub      NS    ns.elsewhere.test.
round    CNAME trip
trip     CNAME round
self     CNAME self
*.wild   CNAME two
c1 CNAME c2
c2 CNAME c3
c3 CNAME c4
c4 CNAME c5
c5 CNAME c6
c6 CNAME c7
c7 CNAME c8
c8 CNAME c9
c9 CNAME c10
c10 A 192.0.2.10
`)))
	long := "NOERROR aa"
	for i := 1; i <= 9; i++ {
		long += map[bool]string{true: " | ", false: ", "}[i == 1] + fmt.Sprintf("c%d.lab.test. 600 CNAME c%d.lab.test.", i, i+1)
	}
	through(t, doors, []row{
		{"to an address", about(t, "one", dns.TypeA), "NOERROR aa | one.lab.test. 600 CNAME two.lab.test., two.lab.test. 600 CNAME ns1.lab.test., ns1.lab.test. 600 A 192.0.2.53"},
		{"asked for itself", about(t, "one", dns.TypeCNAME), "NOERROR aa | one.lab.test. 600 CNAME two.lab.test."},
		{"to no name", about(t, "gone", dns.TypeA), "NXDOMAIN aa | gone.lab.test. 600 CNAME one.gone.lab.test., one.gone.lab.test. 600 CNAME nobody.lab.test. | authority: lab.test. 300 SOA"},
		{"to a name without the type", about(t, "empty", dns.TypeAAAA), "NOERROR aa | empty.lab.test. 600 CNAME ns1.lab.test. | authority: lab.test. 300 SOA"},
		{"to a zone of others", about(t, "left", dns.TypeA), "NOERROR aa | left.lab.test. 600 CNAME www.elsewhere.test."},
		{"to a profile of another zone", about(t, "profile", dns.TypeA), "NOERROR aa | profile.lab.test. 600 CNAME www.other.zone., www.other.zone. 30 A 192.0.2.9"},
		{"to no name of another zone", about(t, "absent", dns.TypeA), "NXDOMAIN aa | absent.lab.test. 600 CNAME none.other.zone. | authority: other.zone. 60 SOA"},
		{"to a delegation", about(t, "cut", dns.TypeA), "NOERROR aa | cut.lab.test. 600 CNAME x.sub.lab.test."},
		{"in a circle", about(t, "round", dns.TypeA), "NOERROR aa | round.lab.test. 600 CNAME trip.lab.test., trip.lab.test. 600 CNAME round.lab.test."},
		{"to itself", about(t, "self", dns.TypeA), "NOERROR aa | self.lab.test. 600 CNAME self.lab.test."},
		{"from a wildcard", about(t, "x.wild", dns.TypeA), "NOERROR aa | x.wild.lab.test. 600 CNAME two.lab.test., two.lab.test. 600 CNAME ns1.lab.test., ns1.lab.test. 600 A 192.0.2.53"},
		{"any type", about(t, "one", dns.TypeANY), `NOERROR aa | one.lab.test. 3600 HINFO "RFC8482" ""`},
		{"longer than is followed", about(t, "c1", dns.TypeA), long},
	})
}
