package dns

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// row is a query and what it gets, as render writes it.
type row struct {
	name string
	msg  []byte
	want string
}

// named asks for another name than that of the zone.
func named(name string) func(*dns.Msg) {
	return func(m *dns.Msg) { m.Question[0].Name = name }
}

// about is a query for a name in lab.test, or for another name if it has a
// final dot.
func about(t *testing.T, name string, qtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	if !strings.HasSuffix(name, ".") {
		name += ".lab.test."
	}
	return query(t, qtype, append([]func(*dns.Msg){named(name)}, change...)...)
}

// through sends the query of each row through each door.
func through(t *testing.T, doors []door, rows []row) {
	t.Helper()
	for _, d := range doors {
		for _, r := range rows {
			if got := render(d.ask(t, r.msg)); got != r.want {
				t.Errorf("%s over %s:\ngot  %s\nwant %s", r.name, d.network, got, r.want)
			}
		}
	}
}

// render is a response on one line: the code, the flags, the records of each
// section, and the OPT record.
func render(m *dns.Msg) string {
	b := new(strings.Builder)
	code := dns.RcodeToString[m.Rcode]
	if m.Rcode == dns.RcodeBadVers {
		code = "BADVERS" // the library has the other name of 16
	}
	b.WriteString(code)
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}, {m.AuthenticatedData, "ad"}, {m.CheckingDisabled, "cd"}, {m.Zero, "z"}} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		lines := []string{}
		for _, rr := range section {
			if rr.Header().Rrtype != dns.TypeOPT {
				lines = append(lines, renderRecord(rr))
			}
		}
		if len(lines) > 0 {
			b.WriteString(" | " + []string{"", "authority: ", "additional: "}[i] + strings.Join(lines, ", "))
		}
	}
	if opt := m.IsEdns0(); opt != nil {
		b.WriteString(" | " + renderOPT(opt))
	}
	return b.String()
}

// renderRecord leaves out what is the same in every test, or never the same.
func renderRecord(rr dns.RR) string {
	h := rr.Header()
	head := fmt.Sprintf("%s %d %s", h.Name, h.Ttl, dns.Type(h.Rrtype))
	switch v := rr.(type) {
	case *dns.SOA, *dns.DNSKEY:
		return head
	case *dns.TSIG:
		return "TSIG " + dns.RcodeToString[int(v.Error)]
	case *dns.RRSIG:
		return head + " " + dns.Type(v.TypeCovered).String()
	}
	fields := strings.SplitN(rr.String(), "\t", 5)
	return head + " " + strings.TrimSpace(fields[4])
}

func renderOPT(opt *dns.OPT) string {
	words := []string{fmt.Sprintf("EDNS%d", opt.Version())}
	if opt.Do() {
		words = append(words, "do")
	}
	if opt.Co() {
		words = append(words, "co")
	}
	if z := opt.Z(); z != 0 {
		words = append(words, fmt.Sprintf("z=%x", z))
	}
	for _, o := range opt.Option {
		words = append(words, renderOption(o))
	}
	slices.Sort(words[1:])
	return strings.Join(words, " ")
}

func renderOption(o dns.EDNS0) string {
	switch v := o.(type) {
	case *dns.EDNS0_NSID:
		id, _ := hex.DecodeString(v.Nsid)
		return "nsid=" + string(id)
	case *dns.EDNS0_EDE:
		return fmt.Sprintf("ede=%d", v.InfoCode)
	case *dns.EDNS0_SUBNET:
		return fmt.Sprintf("ecs=%s/%d/%d", v.Address, v.SourceNetmask, v.SourceScope)
	case *dns.EDNS0_COOKIE:
		return fmt.Sprintf("cookie=%s+%d", v.Cookie[:16], len(v.Cookie)/2-8)
	case *dns.EDNS0_TCP_KEEPALIVE:
		return fmt.Sprintf("keepalive=%d", v.Timeout)
	case *dns.EDNS0_PADDING:
		return "padding"
	}
	return fmt.Sprintf("option%d", o.Option())
}
