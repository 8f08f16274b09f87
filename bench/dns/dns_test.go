//go:build linux

package main

import (
	"crypto"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
	"gatehouse/bench/report"

	"github.com/miekg/dns"
)

// The harness starts itself as load generator; under test "itself" is the
// test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // part of the error, or cases, servers, rounds and files
	}{
		{"some", []string{"-only", "tcp,weighted", "-systems", "knot,gdnsd"}, "[weighted tcp] [gdnsd knot] 5 2s bench/dns/results.json bench/dns/RESULTS.md"},
		{"quick", []string{"-only", "ecs", "-quick", "-json", "a.json"}, "[ecs] [trafficmgr gdnsd knot pdns] 1 500ms a.json bench/out/dns.md"},
		{"rounds", []string{"-only", "ecs", "-rounds", "9", "-duration", "1s"}, "] 9 1s "},
		{"unknown case", []string{"-only", "doh"}, "unknown case"},
		{"unknown server", []string{"-systems", "bind"}, "unknown server"},
		{"no server", []string{"-systems", ","}, "no server"},
		{"no rounds", []string{"-rounds", "-1"}, "rounds"},
		{"negative time", []string{"-duration", "-1s"}, "duration"},
		{"stray argument", []string{"tcp"}, "unexpected argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseSettings(tt.args)
			got := fmt.Sprint(err)
			if err == nil {
				var names []string
				for _, c := range s.cases {
					names = append(names, c.name)
				}
				got = fmt.Sprint(names, " ", s.systems, " ", s.rounds, " ", s.duration, " ", s.json, " ", s.out)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func caseOf(t *testing.T, name string) *benchCase {
	t.Helper()
	cases, err := selectCases([]string{name})
	if err != nil || len(cases) != 1 {
		t.Fatalf("%s: %v", name, err)
	}
	return &cases[0]
}

func TestWhoTakesPart(t *testing.T) {
	tests := []struct{ name, want string }{
		{"weighted", "[trafficmgr gdnsd knot pdns]"},
		{"priority", "[trafficmgr gdnsd]"},
		{"signed", "[trafficmgr knot pdns]"},
		{"failover", "[trafficmgr gdnsd]"},
		{"reload", "[trafficmgr knot]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(caseOf(t, tt.name).systems(servers.Names())); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestOneInTenQueriesMisses(t *testing.T) {
	all := caseOf(t, "many").queries()
	misses := 0
	for _, q := range all {
		if missing(q) {
			misses++
		}
	}
	if len(all)-misses != many || misses != len(all)/10 {
		t.Errorf("%d of %d", misses, len(all))
	}
	if all := caseOf(t, "mixed").queries(); len(all) != 2 || all[0].Type == all[1].Type {
		t.Errorf("%v", all)
	}
}

const perfText = `DNS Performance Testing Tool
[Status] Command line: dnsperf -s 127.0.0.1 -p 1 -d queries
Statistics:

  Queries sent:         110011
  Queries completed:    110001 (99.99%)
  Queries lost:         10 (0.01%)

  Response codes:       NOERROR 99001 (90.00%), NXDOMAIN 11000 (10.00%)
  Average packet size:  request 33, response 49
  Run time (s):         1.000241
  Queries per second:   109974.496146

  Average Latency (s):  0.000889 (min 0.000018, max 0.019612)
  Latency StdDev (s):   0.001007

Connection Statistics:

  Reconnections:        3
`

func TestDnsperfIsUnderstood(t *testing.T) {
	r, err := parsePerf(perfText)
	if err != nil {
		t.Fatal(err)
	}
	want := "{110011 110001 10 109974.496146 map[NOERROR:99001 NXDOMAIN:11000] 3}"
	if got := fmt.Sprint(*r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{
		"", "Queries sent: many\nQueries completed: 1\n", "Queries completed: 1\nResponse codes: NOERROR\n",
		"Queries completed: 1\nResponse codes: NOERROR x\n", strings.ReplaceAll(perfText, "110001", "0"),
	} {
		if r, err := parsePerf(bad); err == nil {
			t.Errorf("%q: %+v", bad, r)
		}
	}
}

func TestDnsperfGetsTheSameQueries(t *testing.T) {
	o := load.Options{
		Addr: netip.MustParseAddrPort("127.0.0.1:5353"), Queries: "q", Sockets: 32, Window: 4, Duration: 1500 * time.Millisecond, Timeout: 2 * time.Second,
	}
	plain := "[-s 127.0.0.1 -p 5353 -d q -l 1.5 -t 2 -c 32 -q 128]"
	if got, err := perfArgs(o); err != nil || fmt.Sprint(got) != plain {
		t.Errorf("%v, %v", got, err)
	}
	o.ECS, o.DO, o.TCP = german, true, true
	if got, err := perfArgs(o); err != nil || !strings.HasSuffix(fmt.Sprint(got), " -m tcp -D -E 8:00011800350a14]") {
		t.Errorf("%v, %v", got, err)
	}
	o.ECS = load.Varied
	if got, err := perfArgs(o); err == nil {
		t.Errorf("%v", got)
	}
}

func response(t *testing.T, rcode int, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Rcode, m.Authoritative = rcode, true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func TestWrongAnswersAreNoticed(t *testing.T) {
	one, other := "h0.bench.test. 30 A 192.0.2.1", "h0.bench.test. 30 A 192.0.2.9"
	lame := response(t, dns.RcodeSuccess, one)
	lame.Authoritative = false
	tests := []struct {
		name    string
		r       *dns.Msg
		missing bool
		want    string // part of the error; empty: right
	}{
		{"right", response(t, dns.RcodeSuccess, one), false, ""},
		{"right AAAA", response(t, dns.RcodeSuccess, "h0.bench.test. 30 AAAA 2001:db8::1"), false, ""},
		{"right miss", response(t, dns.RcodeNameError), true, ""},
		{"refused", response(t, dns.RcodeRefused), false, "REFUSED"},
		{"miss found", response(t, dns.RcodeSuccess, one), true, "NOERROR instead of NXDOMAIN"},
		{"miss with an answer", response(t, dns.RcodeNameError, one), true, "1 addresses"},
		{"lame", lame, false, "authoritative"},
		{"empty", response(t, dns.RcodeSuccess), false, "0 addresses"},
		{"two", response(t, dns.RcodeSuccess, one, one), false, "2 addresses"},
		{"another", response(t, dns.RcodeSuccess, other), false, "192.0.2.9, want one of"},
	}
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := judge(tt.r, tt.missing, want)
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSignaturesAreChecked(t *testing.T) {
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "bench.test.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 30},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	records := response(t, dns.RcodeSuccess, "h0.bench.test. 30 A 192.0.2.1").Answer
	now := time.Now().Unix()
	s := &dns.RRSIG{
		Inception: uint32(now - 60), Expiration: uint32(now + 60), KeyTag: key.KeyTag(), SignerName: "bench.test.", Algorithm: key.Algorithm,
	}
	if err := s.Sign(private.(crypto.Signer), records); err != nil {
		t.Fatal(err)
	}
	keys := []*dns.DNSKEY{key}
	if err := confirm(s, keys, records); err != nil {
		t.Error(err)
	}
	if confirm(s, nil, records) == nil {
		t.Error("confirmed without a key")
	}
	if confirm(s, keys, response(t, dns.RcodeSuccess, "h0.bench.test. 30 A 192.0.2.2").Answer) == nil {
		t.Error("confirmed for other records")
	}
	s.Expiration = uint32(now - 30)
	if err := confirm(s, keys, records); err == nil || !strings.Contains(err.Error(), "not valid now") {
		t.Errorf("expired: %v", err)
	}
}

func TestLossesAreSaid(t *testing.T) {
	d := new(document)
	d.merge(report.Info{ID: "1"}, []report.Row{
		{Case: "weighted", System: ours, Logs: "off", Rounds: 1, CPU: 5, SecondCPU: 2},
		{Case: "weighted", System: "gdnsd", Logs: "off", Rounds: 1, CPU: 4, SecondCPU: 4},
		{Case: "weighted", System: "knot", Logs: "off", Rounds: 1, CPU: 1, Errors: map[string]int64{"lost": 1}},
		{Case: "mixed", System: "pdns", Logs: "off", Rounds: 1, CPU: 10, Note: "from its cache"},
		{Case: "many", System: ours, Logs: "off", Note: "wrong answer"},
	})
	text := string(d.markdown())
	for _, want := range []string{
		"| weighted | 5.00 | 4.00 (gdnsd) | 1.25 | **lost** by 25 % | 2.00 | 4.00 (gdnsd) | 0.50 | won by 50 % |\n",
		"| mixed | not measured | 10.0 (pdns) | | | | | | |\n",
		"**1 lost**",
		"from its cache",
		"| many | trafficmgr | | | | | | | | wrong answer |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := verdict(1.02); got != "even" {
		t.Errorf("2 %% more: %s", got)
	}
}

func TestRunsStayAsLongAsTheirResults(t *testing.T) {
	d := new(document)
	d.mergeSpecial(report.Info{ID: "a"}, []special{{Case: "memory", System: ours, Rounds: 1, Figures: map[string][3]float64{figureRSS: {1, 1, 1}}}})
	d.merge(report.Info{ID: "b"}, []report.Row{{Case: "tcp", System: ours, Logs: "off", Rounds: 1}})
	path := filepath.Join(t.TempDir(), "results.json")
	if err := d.save(path); err != nil {
		t.Fatal(err)
	}
	d, err := loadDocument(path)
	if err != nil || len(d.Runs) != 2 || len(d.Special) != 1 || len(d.Results) != 1 {
		t.Fatalf("%v: %+v", err, d)
	}
	d.merge(report.Info{ID: "c"}, []report.Row{{Case: "tcp", System: ours, Logs: "off", Rounds: 1}})
	d.mergeSpecial(report.Info{ID: "c"}, []special{{Case: "memory", System: "gdnsd", Note: "not installed"}})
	if len(d.Runs) != 1 || d.Runs[0].ID != "c" || len(d.Special) != 1 || d.Special[0].System != "gdnsd" {
		t.Errorf("%+v", d)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDocument(path); err == nil {
		t.Error("half a file is read")
	}
}

func TestBackendsFailOnDemand(t *testing.T) {
	b, err := startBackends([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ask := func(host string) int {
		r, err := http.Get(fmt.Sprintf("http://%s:%d/", host, b.port))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	if got := ask("127.0.0.1"); got != 200 || len(b.failures()) != 0 {
		t.Errorf("%d, %v", got, b.failures())
	}
	b.fail(true)
	if first, second := ask("127.0.0.1"), ask("127.0.0.2"); first != 500 || second != 200 || len(b.failures()) != 1 {
		t.Errorf("%d, %d, %v", first, second, b.failures())
	}
	b.fail(false)
	if got := ask("127.0.0.1"); got != 200 || len(b.failures()) != 0 {
		t.Errorf("%d, %v", got, b.failures())
	}
}

// A run from the flags to the files, with whoever is installed: trafficmgr is
// looked for in another directory, and says so.
func TestAWholeRun(t *testing.T) {
	out := t.TempDir()
	t.Chdir(out)
	args := []string{"-only", "weighted,ecs,signed", "-rounds", "2", "-duration", "500ms", "-warmup", "50ms", "-out", "R.md", "-json", "r.json", "-tmp", t.TempDir()}
	if _, err := servers.Find("knot"); err != nil {
		t.Skip(err)
	}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	d, err := loadDocument("r.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weighted", "ecs", "signed"} {
		row, ok := d.Row(name, "knot", "off")
		if !ok || row.Failed() > 0 || row.Rounds != 2 || row.CPU <= 0 || row.RPS <= 0 || row.P99 <= 0 || row.RSS <= 0 || row.LoadCPU <= 0 {
			t.Errorf("%s: %+v", name, row)
		}
		if again := row.SecondCPU > 0; again != (name != "ecs") {
			t.Errorf("%s: %+v", name, row)
		}
	}
	i := slices.IndexFunc(d.Results, func(r report.Row) bool { return r.System == ours })
	if i < 0 || !strings.Contains(d.Results[i].Note, "not installed") || d.Results[i].Measured() {
		t.Errorf("%+v", d.Results)
	}
	if text, err := os.ReadFile("R.md"); err != nil || !strings.Contains(string(text), "Knot DNS") {
		t.Errorf("%v: %s", err, text)
	}
}
