package l4

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/netns"
)

const l4lb = "./cmd/l4lb"

// soon is how long anything may take that should happen at once, on a machine
// that is busy.
const soon = 20 * time.Second

// balancer is an l4lb that runs. Its output goes to a file and not to a pipe,
// as a process that took over writes to the same.
type balancer struct {
	t      *testing.T
	proc   *testkit.Process
	binary string
	file   string // of the configuration
	output string // file of stdout and stderr
	admin  string
	host   *netns.Host // that it runs in; nil: this one
	forks  []int       // processes that took over, the newest last
	files  int         // that it may have open; 0: as many as this process
	seen   int         // how much of the output is of the past
}

// start runs a configuration, to which the admin address is added.
func start(t *testing.T, text string) *balancer {
	t.Helper()
	b := prepare(t)
	b.write(text)
	b.run("run", "-c", b.file)
	return b
}

func prepare(t *testing.T) *balancer {
	t.Helper()
	dir := t.TempDir()
	return &balancer{t: t, binary: testkit.Build(t, l4lb), admin: testkit.FreeAddr(t), file: filepath.Join(dir, "l4lb.yaml"), output: filepath.Join(dir, "output")}
}

// run starts the binary and waits until it serves.
func (b *balancer) run(args ...string) {
	b.t.Helper()
	script := `out=$1; shift; test "$FILES" = 0 || ulimit -n "$FILES"; exec "$0" "$@" >>"$out" 2>&1`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, b.binary, b.output}, args...)...)
	cmd.Env = append(os.Environ(), fmt.Sprint("FILES=", b.files))
	if b.host != nil {
		b.proc = b.host.Start(cmd)
	} else {
		b.proc = testkit.Start(b.t, cmd)
	}
	b.t.Cleanup(b.inspect)
	client, base := operator(b.admin)
	testkit.Eventually(b.t, soon, "the balancer to serve", func() bool {
		if !b.proc.Running() {
			b.t.Fatal("the balancer has ended")
		}
		resp, err := client.Get(base + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// inspect ends the newest process and looks at what was written.
func (b *balancer) inspect() {
	pid := b.pid()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	_ = syscall.Kill(pid, syscall.SIGINT) // a second signal does not wait for flows
	testkit.Eventually(b.t, soon, "the end of the process", func() bool { return !alive(pid) })
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error", "goroutine "} {
		if strings.Contains(b.log(), trouble) {
			b.t.Errorf("%q in the output", trouble)
		}
	}
	if text := b.log(); b.t.Failed() {
		b.t.Logf("output, the end:\n%s", text[max(0, len(text)-8<<10):])
	}
}

// pid is the newest process.
func (b *balancer) pid() int {
	if len(b.forks) == 0 {
		return b.proc.Pid
	}
	return b.forks[len(b.forks)-1]
}

// alive says whether a process runs; one that ended and was not waited for
// does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := string(stat[bytes.LastIndexByte(stat, ')')+1:])
	return !strings.HasPrefix(strings.TrimSpace(state), "Z")
}

// write gives the file another content; the process hears of it by itself, or
// by reload.
func (b *balancer) write(text string) {
	b.t.Helper()
	testkit.Replace(b.t, b.file, fmt.Sprintf("admin: {address: %q}\n", b.admin)+text)
}

// operator is a client for an admin address, host:port or unix:/path, and
// what its URLs begin with.
func operator(admin string) (client *http.Client, base string) {
	transport := &http.Transport{DisableKeepAlives: true}
	client = &http.Client{Timeout: soon, Transport: transport}
	path, ok := strings.CutPrefix(admin, "unix:")
	if !ok {
		return client, "http://" + admin
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return client, "http://localhost" // as the server wants to be called
}

// configure gives the process another configuration at once.
func (b *balancer) configure(text string) {
	b.t.Helper()
	b.write(text)
	if status, body := b.reload(); status != http.StatusOK {
		b.t.Fatalf("reload: %d: %s", status, body)
	}
}

func (b *balancer) reload() (status int, body string) {
	b.t.Helper()
	client, base := operator(b.admin)
	resp, err := client.PostForm(base+"/reload", url.Values{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// page gets a page of the operator's HTTP.
func (b *balancer) page(path string) string {
	b.t.Helper()
	client, base := operator(b.admin)
	resp, err := client.Get(base + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d %v %s", path, resp.StatusCode, err, body)
	}
	return string(body)
}

// metric is the value of a series, 0 if it is not there.
func (b *balancer) metric(series string) float64 {
	b.t.Helper()
	for line := range strings.Lines(b.page("/metrics")) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				b.t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return 0
}

// backend is what of a line of /backends matters here.
type backend struct {
	Rule, Member, State, Reason string
	Eligible                    bool
	Flows                       int
}

func (b *balancer) backends() (list []backend) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.page("/backends")), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// becomes waits until a member is in the state under every rule.
func (b *balancer) becomes(m *member, state string) {
	b.t.Helper()
	b.becomesUnder("", m, state)
}

// becomesUnder waits until it is so under a rule.
func (b *balancer) becomesUnder(rule string, m *member, state string) {
	b.t.Helper()
	testkit.Eventually(b.t, soon, m.name+" to be "+state, func() bool {
		n := 0
		for _, x := range b.backends() {
			if x.Member != m.name || rule != "" && x.Rule != rule {
				continue
			}
			if n++; x.State != state {
				return false
			}
		}
		return n > 0
	})
}

// settled waits until every member was asked.
func (b *balancer) settled() {
	b.t.Helper()
	testkit.Eventually(b.t, soon, "every member to be asked", func() bool {
		return !slices.ContainsFunc(b.backends(), func(x backend) bool { return x.State == "untried" })
	})
}

// command runs a command about the process, which must end well.
func (b *balancer) command(args ...string) string {
	b.t.Helper()
	return command(b.t, 0, append(args, "--admin", b.admin)...)
}

// command runs a command, wants a status and returns what it printed.
func command(t *testing.T, status int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	out, err := exec.CommandContext(ctx, testkit.Build(t, l4lb), args...).CombinedOutput()
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != status {
		t.Fatalf("l4lb %s: exit status %d\n%s", strings.Join(args, " "), got, out)
	}
	return string(out)
}

// log is everything that was written to stdout and stderr.
func (b *balancer) log() string {
	text, err := os.ReadFile(b.output)
	if err != nil && !os.IsNotExist(err) {
		b.t.Errorf("output: %v", err)
	}
	return string(text)
}

// waitLog waits for a line with the texts that is written after the mark, and
// moves the mark.
func (b *balancer) waitLog(texts ...string) string {
	b.t.Helper()
	var found string
	testkit.Eventually(b.t, soon, fmt.Sprintf("a line of output with %q", texts), func() bool {
		text := b.log()
		for line := range strings.Lines(text[b.seen:]) {
			if strings.HasSuffix(line, "\n") && containsAll(line, texts) { // one that is written to its end
				found = line
				b.seen = len(text)
				return true
			}
		}
		return false
	})
	return found
}

func containsAll(s string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(s, text) {
			return false
		}
	}
	return true
}
