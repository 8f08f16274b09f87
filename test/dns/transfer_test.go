package dns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A transfer has every record, however long, glue and what is below wildcards
// and delegations among them (RFC 5936 2.2, 3.5).
func TestTransferOfEverything(t *testing.T) {
	dir := t.TempDir()
	const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0cw=="
	var file strings.Builder
	file.WriteString(head + "sub NS ns.sub\nns.sub A 192.0.2.54\nx.sub TXT below\n*.wild A 192.0.2.55\n")
	for i := range 2000 {
		fmt.Fprintf(&file, "host%d A 192.0.2.1\n", i)
	}
	for i, n := range []int{15000, 60000, 100, 40000, 16000, 65000} {
		fmt.Fprintf(&file, "long%d TYPE65280 \\# %d %s%s\n", i, n, strings.Repeat(strings.Repeat("00", 200)+" ", n/200), strings.Repeat("00", n%200))
	}
	for name, text := range map[string]string{"secret": secret + "\n", "zone": file.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, fmt.Sprintf("tsig: [{name: one, secretFile: %q}]\nzones: [{name: lab.test, file: %q, transfer: {keys: [one]}}]\n", filepath.Join(dir, "secret"), filepath.Join(dir, "zone")))
	m := new(dns.Msg)
	m.SetAxfr("lab.test.")
	m.SetTsig("one.", dns.HmacSHA256, 300, time.Now().Unix())
	records, err := (&dns.Transfer{DialTimeout: patience, ReadTimeout: patience, TsigSecret: map[string]string{"one.": secret}}).In(m, p.address)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for e := range records {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		for _, rr := range e.RR {
			counts[dns.Type(rr.Header().Rrtype).String()]++
		}
	}
	if got := fmt.Sprint(counts); got != "map[A:2003 NS:3 SOA:2 TXT:1 TYPE65280:6]" {
		t.Error(got)
	}
}
