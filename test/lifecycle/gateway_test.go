package lifecycle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// linger is how long the gateway keeps an idle connection that is to go, for a request on its way (http1.Linger).
const linger = time.Second

// soon is how long anything may take that should happen at once, on a machine that is busy.
const soon = 20 * time.Second

// host is what the counted clients ask for, and what the certificate is for.
const host = "shop.test"

// gateway is a running appgw. Its output goes to a file and not to a pipe: a process that took over writes to the same.
type gateway struct {
	t      *testing.T
	proc   *testkit.Process
	binary string
	file   string // of the configuration
	output string // file of stdout and stderr
	admin  string
	plain  string // address of the http listener
	secure string // address of the https listener
	ca     *testkit.CA
	cert   *testkit.Cert
	forks  []int // processes that took over, the newest last
	seen   int   // how much of the output is known to be of the past
}

// newGateway chooses addresses and makes a certificate; start runs it.
func newGateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, binary: testkit.Build(t, "./cmd/appgw", flags...), ca: testkit.NewCA(t)}
	g.admin, g.plain, g.secure = testkit.FreeAddr(t), testkit.FreeAddr(t), testkit.FreeAddr(t)
	g.cert = g.ca.Server(host)
	dir := t.TempDir()
	g.file, g.output = filepath.Join(dir, "appgw.yaml"), filepath.Join(dir, "output")
	return g
}

// start runs the gateway with a configuration and waits until it serves.
func (g *gateway) start(config string) {
	g.t.Helper()
	testkit.Replace(g.t, g.file, config)
	g.run("")
}

// run is start with the configuration that is there; before is shell text that runs first, such as a ulimit.
func (g *gateway) run(before string) {
	g.t.Helper()
	script := before + `exec "$0" run -c "$1" >>"$2" 2>&1`
	g.proc = testkit.Start(g.t, exec.Command("/bin/sh", "-c", script, g.binary, g.file, g.output))
	g.t.Cleanup(g.inspect)
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
}

// inspect ends the newest process and looks at what it wrote.
func (g *gateway) inspect() {
	pid := g.pid()
	if syscall.Kill(pid, syscall.SIGTERM) == nil && pid != g.proc.Pid {
		testkit.Eventually(g.t, soon, "the end of the newest process", func() bool { return !alive(pid) })
	} else if g.proc.Running() {
		g.proc.Stop(soon)
	}
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error", "goroutine "} {
		if strings.Contains(g.log(), trouble) {
			g.t.Errorf("%q in the output", trouble)
		}
	}
	if g.t.Failed() {
		g.t.Logf("output, the end:\n%s", tail(g.log(), 12<<10))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// pid is the newest process.
func (g *gateway) pid() int {
	if len(g.forks) == 0 {
		return g.proc.Pid
	}
	return g.forks[len(g.forks)-1]
}

// alive says whether a process runs; one that ended and was not waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := string(stat[bytes.LastIndexByte(stat, ')')+1:])
	return !strings.HasPrefix(strings.TrimSpace(state), "Z")
}

func (g *gateway) signal(s syscall.Signal) {
	g.t.Helper()
	if err := syscall.Kill(g.pid(), s); err != nil {
		g.t.Fatalf("signal %v to %d: %v", s, g.pid(), err)
	}
}

// log is everything that was written to stdout and stderr.
func (g *gateway) log() string {
	text, err := os.ReadFile(g.output)
	if err != nil && !os.IsNotExist(err) {
		g.t.Errorf("output: %v", err)
	}
	return string(text)
}

// mark makes waitLog look only at what is written from now on.
func (g *gateway) mark() { g.seen = len(g.log()) }

// waitLog waits for a line of the output with all these texts, after the mark.
func (g *gateway) waitLog(texts ...string) string {
	g.t.Helper()
	var found string
	testkit.Eventually(g.t, soon, fmt.Sprintf("a line of output with %q", texts), func() bool {
		log := g.log()[g.seen:]
		lines := bufio.NewScanner(strings.NewReader(log[:strings.LastIndexByte(log, '\n')+1])) // the last may be half written
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if found = lines.Text(); containsAll(found, texts) {
				return true
			}
		}
		return false
	})
	return found
}

// replace replaces pairs of texts.
func replace(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }

func containsAll(s string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(s, text) {
			return false
		}
	}
	return true
}

// status is what of /status matters here.
type status struct {
	Reloads struct {
		Applied, Refused int
		Trigger, Error   string
	}
	Connections      int
	RetiredSnapshots int
	Pools            []struct {
		Pool     string
		Backends []backend
	}
}

// backend is a member as the gateway shows it.
type backend struct {
	Name, State, Reason string
	InFlight, Requests  int
}

var operator = &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}

// fetch gets a page of the operator's HTTP.
func (g *gateway) fetch(path string) (int, string, error) {
	resp, err := operator.Get("http://" + g.admin + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// page is fetch for a page that must be there.
func (g *gateway) page(path string) string {
	g.t.Helper()
	code, body, err := g.fetch(path)
	if err != nil || code != http.StatusOK {
		g.t.Fatalf("%s: %d %v %s", path, code, err, body)
	}
	return body
}

func (g *gateway) status() (s status) {
	g.t.Helper()
	if err := json.Unmarshal([]byte(g.page("/status")), &s); err != nil {
		g.t.Fatal(err)
	}
	return s
}

// command runs a command of the binary against the running gateway.
func (g *gateway) command(args ...string) (code int, output string) {
	g.t.Helper()
	return runCommand(g.t, g.binary, append(args, "--admin", g.admin)...)
}

// runCommand runs a binary to its end, within a while.
func runCommand(t *testing.T, binary string, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir()
	kill := time.AfterFunc(2*soon, func() { _ = cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	if !kill.Stop() {
		t.Fatalf("%v did not end: %s", args, out)
	}
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// reload makes the gateway read its configuration, and wants it applied.
func (g *gateway) reload() {
	g.t.Helper()
	resp, err := operator.PostForm("http://"+g.admin+"/reload", url.Values{})
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		g.t.Fatalf("reload: %s: %s", resp.Status, body)
	}
}

// configure gives the gateway another configuration at once.
func (g *gateway) configure(config string) {
	g.t.Helper()
	testkit.Replace(g.t, g.file, config)
	g.reload()
}
