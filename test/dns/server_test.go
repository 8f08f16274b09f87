// Package dns tests trafficmgr as a process, on real sockets.
package dns

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/testkit"
)

const trafficmgr = "./cmd/trafficmgr"

// patience is how long what has to come is waited for.
const patience = 20 * time.Second

// site is an endpoint whose health can be changed.
type site struct {
	down atomic.Bool
}

func (s *site) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if s.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// sites starts one at each of the addresses, all on one port, which is none of those that the kernel gives to anybody.
func sites(t *testing.T, addresses ...string) (port string, list []*site) {
	t.Helper()
	_, port, _ = net.SplitHostPort(testkit.FreeAddr(t))
	for _, a := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		s := &site{}
		server := &http.Server{Handler: s}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		list = append(list, s)
	}
	return port, list
}

// process is a trafficmgr that runs.
type process struct {
	*testkit.Process
	file, admin, address string
}

// start runs a configuration, to which listen and admin are added.
func start(t *testing.T, text string) *process {
	t.Helper()
	p := &process{admin: testkit.FreeAddr(t), address: testkit.FreeAddr(t)}
	p.file = testkit.Config(t, p.head()+text)
	p.Process = testkit.Run(t, trafficmgr, "run", "-c", p.file)
	p.WaitReady("http://"+p.admin+"/readyz", patience)
	return p
}

func (p *process) head() string {
	return fmt.Sprintf("admin: {address: %q}\nlisten: [{address: %q}]\n", p.admin, p.address)
}

// command runs a command about the process.
func (p *process) command(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, 0, append(args, "--admin", p.admin)...)
}

// run runs a command and returns what it printed.
func run(t *testing.T, status int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, testkit.Build(t, trafficmgr), args...).CombinedOutput()
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != status {
		t.Fatalf("trafficmgr %s: exit status %d\n%s", strings.Join(args, " "), got, out)
	}
	return string(out)
}

// ask asks and returns the addresses of the answer.
func ask(t *testing.T, address, network, name string) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	c := &dns.Client{Net: network, Timeout: patience, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	r, _, err := c.Exchange(m, address)
	if err != nil {
		t.Fatal(err)
	}
	return short(r)
}

func short(r *dns.Msg) string {
	if r.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[r.Rcode]
	}
	var list []string
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			list = append(list, a.A.String())
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// eventually waits until a name has the answer.
func (p *process) eventually(t *testing.T, name, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = ask(t, p.address, "udp", name); got == want {
			return
		}
	}
	t.Fatalf("%s is %q, want %q\n%s", name, got, want, p.Output())
}

// quick finds out soon, yet not from the probes of a machine that stands still for a moment.
const quick = "monitor: {port: PORT, interval: 1s, timeout: 900ms, toleratedFailures: 3}"

// configuration is a zone with some profiles, probed at a port.
func configuration(port string) string {
	return strings.ReplaceAll(`
zones: [{name: lab.test, nameServers: [ns1.other.test]}]
profiles:
  - {name: www, zone: lab.test, routing: priority, `+quick+`, endpoints: [{name: a, target: 127.0.0.21}, {name: b, target: 127.0.0.22}]}
  - {name: all, zone: lab.test, routing: multiValue, `+quick+`, endpoints: [{name: a, target: 127.0.0.21}, {name: b, target: 127.0.0.22}]}
`, "PORT", port)
}

func TestFailover(t *testing.T) {
	port, list := sites(t, "127.0.0.21", "127.0.0.22")
	p := start(t, configuration(port))
	p.eventually(t, "www.lab.test.", "127.0.0.21")
	p.eventually(t, "all.lab.test.", "127.0.0.21 127.0.0.22")
	list[0].down.Store(true)
	p.eventually(t, "www.lab.test.", "127.0.0.22")
	p.eventually(t, "all.lab.test.", "127.0.0.22")
	if out := p.command(t, "endpoints"); !strings.Contains(out, "Degraded") || !strings.Contains(out, "status 503 not in 200") {
		t.Errorf("endpoints:\n%s", out)
	}
	if out := p.command(t, "explain", "--name", "www.lab.test"); !strings.Contains(out, "is degraded, and others are well") || !strings.Contains(out, "answer     127.0.0.22 for 30s") {
		t.Errorf("explain:\n%s", out)
	}
	list[1].down.Store(true)
	p.eventually(t, "www.lab.test.", "127.0.0.21") // all are degraded: as if all were well
	list[0].down.Store(false)
	list[1].down.Store(false)
	p.eventually(t, "all.lab.test.", "127.0.0.21 127.0.0.22")

	p.command(t, "disable", "www/a")
	p.eventually(t, "www.lab.test.", "127.0.0.22")
	p.command(t, "enable", "www/a")
	p.eventually(t, "www.lab.test.", "127.0.0.21")
	p.command(t, "reset", "www/a")
	if out := run(t, 1, "disable", "www/nobody", "--admin", p.admin); !strings.Contains(out, `there is no endpoint "www/nobody"`) {
		t.Errorf("disable: %s", out)
	}
	if status := p.Stop(patience); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Output())
	}
}

// stream asks all the time until it is stopped, and counts what got no answer.
type stream struct {
	sent, lost, wrong atomic.Int64
	stop              func()
}

func (p *process) stream(t *testing.T, name string, want ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			m := new(dns.Msg)
			m.SetQuestion(name, dns.TypeA)
			c := &dns.Client{Timeout: patience}
			r, _, err := c.Exchange(m, p.address)
			s.sent.Add(1)
			if err != nil {
				s.lost.Add(1)
			} else if !slices.Contains(want, short(r)) {
				s.wrong.Add(1)
			}
		}
	}()
	s.stop = func() { cancel(); <-done }
	t.Cleanup(s.stop)
	return s
}

func (s *stream) check(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, patience, "enough queries", func() bool { return s.sent.Load() >= 100 })
	s.stop()
	if s.sent.Load() < 100 || s.lost.Load()+s.wrong.Load() > 0 {
		t.Errorf("%d queries, %d without an answer, %d with a wrong one", s.sent.Load(), s.lost.Load(), s.wrong.Load())
	}
}

func TestReloadsLoseNothing(t *testing.T) {
	port, list := sites(t, "127.0.0.21", "127.0.0.22")
	p := start(t, configuration(port))
	p.eventually(t, "www.lab.test.", "127.0.0.21")
	list[0].down.Store(true)
	p.eventually(t, "www.lab.test.", "127.0.0.22")
	s := p.stream(t, "www.lab.test.", "127.0.0.22") // what is known of endpoints survives
	for i := range 20 {
		more := fmt.Sprintf("  - {name: n%d, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: x, target: 192.0.2.%d}]}\n", i, i)
		testkit.Replace(t, p.file, p.head()+configuration(port)+more)
		p.command(t, "reload")
		if got, want := ask(t, p.address, "tcp", fmt.Sprintf("n%d.lab.test.", i)), fmt.Sprintf("192.0.2.%d", i); got != want {
			t.Fatalf("after reload %d: %s, want %s", i, got, want)
		}
	}
	testkit.Replace(t, p.file, p.head()+configuration(port)+"  - {name: bad, zone: nowhere.test, routing: priority, endpoints: []}\n")
	out := run(t, 1, "reload", "--admin", p.admin)
	if !strings.Contains(out, `there is no zone "nowhere.test"`) && !strings.Contains(out, "nowhere.test") {
		t.Errorf("reload: %s", out)
	}
	if got := ask(t, p.address, "udp", "n19.lab.test."); got != "192.0.2.19" {
		t.Errorf("after a refused configuration: %s", got)
	}
	if out := p.command(t, "status"); !strings.Contains(out, "refused") {
		t.Errorf("status:\n%s", out)
	}
	s.check(t)
}

func TestUpgradesLoseNothing(t *testing.T) {
	port, list := sites(t, "127.0.0.21", "127.0.0.22")
	p := start(t, configuration(port))
	list[0].down.Store(true)
	p.eventually(t, "www.lab.test.", "127.0.0.22")
	p.command(t, "disable", "all/b")
	p.eventually(t, "all.lab.test.", "127.0.0.21")
	s := p.stream(t, "www.lab.test.", "127.0.0.22")
	p.command(t, "upgrade")
	if status := p.Wait(patience); status != 0 {
		t.Errorf("the old process: exit status %d\n%s", status, p.Output())
	}
	time.Sleep(200 * time.Millisecond)
	s.check(t)
	if got := ask(t, p.address, "udp", "all.lab.test."); got != "127.0.0.21" {
		t.Errorf("the new process does not know that an endpoint was disabled: %s", got)
	}
	end(t, p)
}

// end ends the process that took over, whose id the log has.
func end(t *testing.T, p *process) {
	t.Helper()
	line := p.WaitLine("newPid", patience)
	pid := 0
	if _, rest, ok := strings.Cut(line, `"newPid":`); ok {
		fmt.Sscan(strings.TrimRight(rest, "}\n"), &pid)
	}
	if pid < 2 {
		t.Fatalf("no process id in %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

func TestEveryTransport(t *testing.T) {
	cert := testkit.NewCA(t).Server("dns.lab.test")
	dot, doh := testkit.FreeAddr(t), testkit.FreeAddr(t)
	admin, plain := testkit.FreeAddr(t), testkit.FreeAddr(t)
	files := fmt.Sprintf("tls: {certificates: [{certFile: %q, keyFile: %q}]}", cert.CertFile, cert.KeyFile)
	file := testkit.Config(t, fmt.Sprintf(`
admin: {address: %q}
listen:
  - {address: %q}
  - {address: %q, protocols: [dot], %s}
  - {address: %q, protocols: [doh], %s}
queryLog: {output: queries.log, dnstap: queries.tap}
zones: [{name: lab.test, nameServers: [ns1.other.test], dnssec: {enabled: true, keyFile: lab.test.private}}]
profiles: [{name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}]
`, admin, plain, dot, files, doh, files))
	p := testkit.Run(t, trafficmgr, "run", "-c", file)
	p.WaitReady("http://"+admin+"/readyz", patience)
	for network, address := range map[string]string{"udp": plain, "tcp": plain, "tcp-tls": dot} {
		if got := ask(t, address, network, "www.lab.test."); got != "192.0.2.1" {
			t.Errorf("%s: %q", network, got)
		}
	}
	if got := askHTTPS(t, doh); got != "192.0.2.1" {
		t.Errorf("https: %q", got)
	}
	if out := run(t, 0, "ds", "-c", file); !strings.Contains(out, "IN\tDS\t") || !strings.Contains(out, " 13 2 ") {
		t.Errorf("ds: %s", out)
	}
	if status := p.Stop(patience); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Output())
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(file), "queries.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"transport":"udp"`, `"transport":"tcp"`, `"transport":"dot"`, `"transport":"doh"`, `"profile":"www"`, `"name":"www.lab.test."`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %s in the query log:\n%s", want, log)
		}
	}
	if info, err := os.Stat(filepath.Join(filepath.Dir(file), "queries.tap")); err != nil || info.Size() < 200 {
		t.Errorf("dnstap: %v, %v", info, err)
	}
}

// askHTTPS asks for www.lab.test over HTTPS.
func askHTTPS(t *testing.T, address string) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.lab.test.", dns.TypeA)
	m.Id = 0
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Post("https://"+address+"/dns-query", "application/dns-message", strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	r := new(dns.Msg)
	if err := r.Unpack(body); err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return short(r)
}

func TestTransferToAKey(t *testing.T) {
	dir := t.TempDir()
	const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0cw=="
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, fmt.Sprintf(`
tsig: [{name: one, secretFile: %q}]
zones: [{name: lab.test, nameServers: [ns1.other.test], transfer: {keys: [one]}}]
profiles: [{name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}]
`, filepath.Join(dir, "secret")))
	m := new(dns.Msg)
	m.SetAxfr("lab.test.")
	m.SetTsig("one.", dns.HmacSHA256, 300, time.Now().Unix())
	transfer := &dns.Transfer{DialTimeout: patience, ReadTimeout: patience, TsigSecret: map[string]string{"one.": secret}}
	records, err := transfer.In(m, p.address)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for e := range records {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		for _, rr := range e.RR {
			all = append(all, dns.TypeToString[rr.Header().Rrtype])
		}
	}
	if strings.Join(all, " ") != "SOA NS A SOA" {
		t.Errorf("%s", all)
	}
	m = new(dns.Msg)
	m.SetAxfr("lab.test.")
	r, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(m, p.address)
	if err != nil || r.Rcode != dns.RcodeRefused {
		t.Errorf("without a key: %v %v", r, err)
	}
}

func TestCommandsWithoutAProcess(t *testing.T) {
	file := testkit.Config(t, run(t, 0, "demo", "--print-config"))
	if out := run(t, 0, "check", "-c", file); !strings.Contains(out, "is good: 1 zone, 4 profiles, 12 endpoints") {
		t.Errorf("check: %s", out)
	}
	if out := run(t, 0, "explain", "-c", file, "--name", "geo.lab.test", "--client", "193.0.0.1"); !strings.Contains(out, "place      NL; mapped: GEO-EU, WORLD") || !strings.Contains(out, "* europe") {
		t.Errorf("explain: %s", out)
	}
	if out := run(t, 1, "explain", "-c", file, "--name", "nothing.test"); !strings.Contains(out, "no profile answers nothing.test.; there are www.lab.test") {
		t.Errorf("explain: %s", out)
	}
	if out := run(t, 0, "schema"); !strings.Contains(out, "onUnhealthy") {
		t.Errorf("schema: %s", out)
	}
	if out := run(t, 1, "run", "-c", testkit.Config(t, "zones: []\nprofile: []\n")); !strings.Contains(out, ":2: profile: unknown key; did you mean profiles?") {
		t.Errorf("run: %s", out)
	}
	if out := run(t, 2, "serve", "--listen", ":5353"); !strings.Contains(out, "required flag") {
		t.Errorf("serve: %s", out)
	}
	served := testkit.Config(t, run(t, 0, "serve", "--listen", "127.0.0.1:5354", "--name", "www.lab.test", "--routing", "weighted", "--to", "10.0.0.1,10.0.0.2", "--probe", "http:80/healthz", "--print-config"))
	if out := run(t, 0, "check", "-c", served); !strings.Contains(out, "is good: 1 zone, 1 profile, 2 endpoints") {
		t.Errorf("check of what serve prints: %s", out)
	}
	for _, bad := range [][]string{
		{"serve", "--name", "lab", "--to", "10.0.0.1"},
		{"serve", "--name", "www.lab.test", "--to", "10.0.0.1", "--routing", "geographic"},
		{"serve", "--name", "www.lab.test", "--to", "10.0.0.1", "--probe", "icmp"},
	} {
		if out := run(t, 1, bad...); !strings.Contains(out, "want ") {
			t.Errorf("%v: %s", bad, out)
		}
	}
}

// A listener that becomes another one on the same port is refused with what
// holds the port, and the old configuration runs on.
func TestAPortThatThisProcessHasItself(t *testing.T) {
	const rest = `
zones: [{name: lab.test, nameServers: [ns1.other.test]}]
profiles: [{name: www, zone: lab.test, routing: priority, monitor: {protocol: none}, endpoints: [{name: a, target: 192.0.2.1}]}]
`
	cert := testkit.NewCA(t).Server("dns.lab.test")
	p := start(t, rest)
	testkit.Replace(t, p.file, fmt.Sprintf("admin: {address: %q}\nlisten: [{address: %q, protocols: [dot], tls: {certificates: [{certFile: %q, keyFile: %q}]}}]\n", p.admin, p.address, cert.CertFile, cert.KeyFile)+rest)
	out := run(t, 1, "reload", "--admin", p.admin)
	if want := "this process listens there as " + p.address + "/tcp, which a reload cannot turn into " + p.address + "/dot"; !strings.Contains(out, want) {
		t.Errorf("%s\nwant %s", out, want)
	}
	if got := ask(t, p.address, "tcp", "www.lab.test."); got != "192.0.2.1" {
		t.Errorf("after the refused reload: %s", got)
	}
}
