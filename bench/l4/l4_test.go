//go:build linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/bench/l4/balancers"
	"gatehouse/bench/report"
	"gatehouse/internal/testkit"
)

// The harness starts itself as members and generators; under test "itself" is
// the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if _, ok := commands()[os.Args[1]]; ok {
			main()
			return
		}
	}
	os.Exit(m.Run())
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // part of the error, or cases, balancers, rounds and files
	}{
		{"some", []string{"-only", "udp64,http128", "-systems", "nginx,l4lb"}, "[http128 udp64] [l4lb nginx] 5 2s 10s bench/l4/results.json bench/l4/RESULTS.md"},
		{"quick", []string{"-only", "get1m", "-quick", "-json", "a.json"}, "[get1m] [l4lb haproxy nginx] 1 500ms 1s a.json bench/out/l4.md"},
		{"rounds", []string{"-only", "get1m", "-rounds", "9", "-duration", "1s"}, "] 9 1s "},
		{"unknown case", []string{"-only", "http3"}, "unknown case"},
		{"unknown balancer", []string{"-systems", "ipvs"}, "unknown balancer"},
		{"no balancer", []string{"-systems", ","}, "no balancer"},
		{"no rounds", []string{"-rounds", "-1"}, "rounds"},
		{"negative time", []string{"-rest", "-1s"}, "rest"},
		{"stray argument", []string{"udp64"}, "unexpected argument"},
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
				got = fmt.Sprint(names, " ", s.systems, " ", s.rounds, " ", s.duration, " ", s.rest, " ", s.json, " ", s.out)
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
	for name, want := range map[string]string{"http128": "[l4lb haproxy nginx]", "stream1": "[l4lb haproxy nginx]", "udp64": "[l4lb nginx]"} {
		if got := fmt.Sprint(caseOf(t, name).systems(balancers.Names())); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// member starts one member of a service, in this process.
func member(t *testing.T, s service) netip.AddrPort {
	t.Helper()
	at, end, err := s.start(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return at
}

func TestRightAnswersPassTheGate(t *testing.T) {
	for name, s := range map[string]service{"http128": serviceHTTP, "get1m": serviceHTTP, "stream1": serviceSink, "udp1200": serviceEcho} {
		c := caseOf(t, name)
		at := member(t, s)
		if err := newGate(c).check(t.Context(), []netip.AddrPort{at}); err != nil || c.service() != s {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongAnswersAreNoticed(t *testing.T) {
	right := make([]byte, 128)
	for i := range right {
		right[i] = 'a' + byte(i%26)
	}
	spoilt := append([]byte(nil), right...)
	spoilt[127] = 'a'
	tests := []struct {
		name   string
		status int
		body   []byte
		want   string // part of the error; empty: right
	}{
		{"right", 200, right, ""},
		{"status", 503, right, "status 503"},
		{"short", 200, right[:127], "127 bytes"},
		{"spoilt", 200, spoilt, "byte 127"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				w.Write(tt.body)
			}))
			defer server.Close()
			err := newGate(caseOf(t, "http128")).one(netip.MustParseAddrPort(server.Listener.Addr().String()))
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && reachable(err) != nil {
				t.Errorf("%v would be waited for", err)
			}
		})
	}
}

func TestWrongDatagramsAreNoticed(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[n-1] ^= 1
			conn.WriteTo(buf[:n], from)
		}
	}()
	at := netip.MustParseAddrPort(conn.LocalAddr().String())
	if err := newGate(caseOf(t, "udp64")).one(at); err == nil || !strings.Contains(err.Error(), "not the 64 sent") {
		t.Error(err)
	}
}

func TestABalancerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	closed := netip.MustParseAddrPort("127.0.0.1:1")
	for _, name := range []string{"http128", "stream1", "udp64"} {
		if err := reachable(newGate(caseOf(t, name)).one(closed)); err == nil {
			t.Errorf("%s: taken for there", name)
		}
	}
}

func figures(name string, x float64) map[string][3]float64 {
	return map[string][3]float64{name: {x, x, x}}
}

func TestLossesAreSaid(t *testing.T) {
	d := new(document)
	d.merge(report.Info{ID: "1"}, []result{
		{Case: "http128", System: ours, Rounds: 1, Figures: figures(figureRequest, 11)},
		{Case: "http128", System: "haproxy", Rounds: 1, Figures: figures(figureRequest, 10)},
		{Case: "http128", System: "nginx", Rounds: 1, Figures: figures(figureRequest, 1), Errors: map[string]int64{"reset": 3}},
		{Case: "get1m", System: ours, Rounds: 1, Figures: figures(figureRequest, 700)},
		{Case: "get1m", System: "nginx", Rounds: 1, Figures: figures(figureRequest, 1000)},
		{Case: "udp64", System: ours, Rounds: 1, Figures: figures(figureDatagram, 2)},
		{Case: "udp64", System: "nginx", Rounds: 1, Figures: figures(figureDatagram, 5)},
		{Case: "udp1200", System: ours, Rounds: 1, Figures: figures(figureDatagram, 2), Errors: map[string]int64{"lost": 9}},
		{Case: "udp1200", System: "nginx", Rounds: 1, Figures: figures(figureDatagram, 5)},
		{Case: "idle5000", System: ours, Rounds: 1, Figures: figures(figureIdle, 12)},
		{Case: "stream1", System: "nginx", Rounds: 1, Figures: figures(figureGigabyte, 300)},
		{Case: "stream1", System: ours, Note: "it has\nended | so"},
		{Case: "rules1", System: ours, Rounds: 1, Figures: figures(figureRequest, 10)},
		{Case: "rules1000", System: ours, Rounds: 1, Figures: figures(figureRequest, 15)},
	})
	text := string(d.markdown())
	for _, want := range []string{
		"| http128 | CPU us/request | 11.0 | 10.0 (haproxy) | 1.10 | **lost** by 10 % | <= 1.00 | **aim missed** by 10 %, within the required 1.15 |\n",
		"| get1m | CPU us/request | 700 | 1000 (nginx) | 0.70 | won by 30 % | <= 0.60 | **missed** by 17 % |\n",
		"| udp64 | CPU us/datagram | 2.00 | 5.00 (nginx) | 0.40 | won by 60 % | <= 0.50 | met |\n",
		"| udp1200 | CPU us/datagram | 2.00 | 5.00 (nginx) |  | **not valid: 9 lost** | <= 0.50 | **missed** |\n",
		"| idle5000 | KiB/connection | 12.0 | nobody |  |  | <= 10.0 KiB/connection | **missed** by 20 % |\n",
		"| stream1 | CPU ms/GB | not measured | 300 (nginx) |  |  | <= 1.00 |  |\n",
		"| stream1 | l4lb | | | it has ended / so | |\n",
		"| http128 | nginx | 1.00 | CPU us/request |  | 3 reset |\n",
		"| l4lb | 10.0 | not measured | 15.0 (+50 %) |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := verdict(1.02); got != "even" {
		t.Errorf("2 %% more: %s", got)
	}
}

func TestRoundsAreSummedUp(t *testing.T) {
	var samples []sample
	for _, x := range []float64{3, 1, 8} {
		s := newSample()
		s.figures[figureRequest] = x
		s.count("reset", uint64(x))
		s.count("lost", 0)
		samples = append(samples, *s)
	}
	r := summarize(result{}, samples)
	if r.Rounds != 3 || r.Figures[figureRequest] != [3]float64{3, 1, 8} || fmt.Sprint(r.Errors) != "map[reset:12]" {
		t.Errorf("%+v", r)
	}
}

func TestRunsStayAsLongAsTheirResults(t *testing.T) {
	d := new(document)
	d.merge(report.Info{ID: "a"}, []result{{Case: "udp64", System: ours, Rounds: 1}, {Case: "udp64", System: "nginx", Rounds: 1}})
	d.merge(report.Info{ID: "b"}, []result{{Case: "http128", System: ours, Rounds: 1, Figures: figures(figureRequest, 1)}})
	path := filepath.Join(t.TempDir(), "results.json")
	if err := d.save(path); err != nil {
		t.Fatal(err)
	}
	d, err := loadDocument(path)
	if err != nil || len(d.Runs) != 2 || len(d.Results) != 3 {
		t.Fatalf("%v: %+v", err, d)
	}
	d.merge(report.Info{ID: "c"}, []result{{Case: "udp64", System: ours, Rounds: 1}})
	if len(d.Runs) != 2 || d.Runs[0].ID != "b" || len(d.Results) != 2 {
		t.Errorf("%+v", d)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDocument(path); err == nil {
		t.Error("half a file is read")
	}
}

// A run from the flags to the files: every kind of case, with l4lb and, where
// it is installed, HAProxy. nginx is looked for where it is not, and says so.
func TestAWholeRun(t *testing.T) {
	l4lb := testkit.Build(t, "./cmd/l4lb")
	out := t.TempDir()
	t.Chdir(out)
	err := run([]string{
		"-only", "http128,connclose,stream1,udp64,idle5000", "-rounds", "2", "-duration", "150ms", "-warmup", "50ms", "-rest", "50ms", "-out", "R.md", "-json", "r.json",
		"-tmp", t.TempDir(), "-l4lb", l4lb, "-nginx", filepath.Join(out, "nginx"),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := loadDocument("r.json")
	if err != nil {
		t.Fatal(err)
	}
	_, noHAProxy := balancers.Programs{}.Find("haproxy")
	for _, name := range []string{"http128", "connclose", "stream1", "udp64", "idle5000"} {
		c := caseOf(t, name)
		for _, system := range c.systems([]string{ours, "haproxy"}) {
			if system == "haproxy" && noHAProxy != nil {
				continue
			}
			r, ok := d.find(name, system)
			// A collection between the two weighings may make a difference negative.
			deciding, measured := r.Figures[c.figure()]
			if !ok || r.Rounds != 2 || len(r.Errors) > 0 || !measured || deciding[0] <= 0 && c.kind != kindIdle || r.Figures[figurePeak][0] <= 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	text, err := os.ReadFile("R.md")
	if err != nil || !strings.Contains(string(text), "| http128 | nginx | | | nginx: not installed") {
		t.Errorf("%v: %s", err, text)
	}
}
