package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// example is a copy of a directory of examples/ in which every port is another one, so that several can run on one machine.
type example struct {
	dir   string
	addrs map[string]string // the address in the example to the one that stands for it
	proc  *testkit.Process
}

// copyOf copies an example. backends are what stands at the ports that it sends requests to.
func copyOf(t *testing.T, name string, backends map[string]*testkit.Backend) *example {
	t.Helper()
	e := &example{dir: t.TempDir(), addrs: map[string]string{}}
	if err := os.CopyFS(e.dir, os.DirFS(filepath.Join(testkit.ModuleRoot(t), "examples", name))); err != nil {
		t.Fatal(err)
	}
	for port, b := range backends {
		e.addrs["127.0.0.1:"+port] = b.Addr
	}
	text := regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(e.read(t), func(addr string) string {
		if e.addrs[addr] == "" {
			e.addrs[addr] = testkit.FreeAddr(t)
		}
		return e.addrs[addr]
	})
	for port := range backends {
		if !strings.Contains(text, e.addrs["127.0.0.1:"+port]) {
			t.Fatalf("the example %s has no port %s", name, port)
		}
	}
	e.write(t, text+"\nadmin: {address: unix:admin.sock}\nlogs: {access: {output: access.log}, waf: {output: waf.log}}\n")
	return e
}

func (e *example) file() string { return filepath.Join(e.dir, "appgw.yaml") }

func (e *example) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(e.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (e *example) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(e.file(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// start serves the example, which check must find faultless.
func (e *example) start(t *testing.T) *example {
	t.Helper()
	if out, err := e.appgw(t, "check"); err != nil || strings.Contains(out, "warning") {
		t.Errorf("check: %v\n%s", err, out)
	}
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), "run")
	cmd.Dir = e.dir
	e.proc = testkit.Start(t, cmd)
	e.proc.WaitLine(`"msg":"ready"`, soon)
	return e
}

// serve copies and starts.
func serve(t *testing.T, name string, backends map[string]*testkit.Backend) *example {
	t.Helper()
	return copyOf(t, name, backends).start(t)
}

// at is the address that stands for a port of the example.
func (e *example) at(port string) string { return e.addrs["127.0.0.1:"+port] }

// appgw runs another command in the example's directory.
func (e *example) appgw(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), args...)
	cmd.Dir = e.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// logged waits for the line of the access log with these facts.
func (e *example) logged(t *testing.T, facts map[string]any) map[string]any {
	t.Helper()
	var found map[string]any
	testkit.Eventually(t, soon, fmt.Sprintf("a log line with %v", facts), func() bool {
		data, _ := os.ReadFile(filepath.Join(e.dir, "access.log"))
		for line := range strings.Lines(string(data)) {
			entry := map[string]any{}
			if json.Unmarshal([]byte(line), &entry) == nil && has(entry, facts) {
				found = entry
			}
		}
		return found != nil
	})
	return found
}

func has(entry, facts map[string]any) bool {
	for k, v := range facts {
		if entry[k] != v {
			return false
		}
	}
	return true
}

// backends starts echoing backends for these ports.
func backends(t *testing.T, ports ...string) map[string]*testkit.Backend {
	all := map[string]*testkit.Backend{}
	for _, port := range ports {
		all[port] = testkit.NewBackend(t, nil)
	}
	return all
}

// README.md lists every directory, and no other, and each has a test here.
func TestReadmeListsEveryExample(t *testing.T) {
	root := testkit.ModuleRoot(t)
	readme, err := os.ReadFile(filepath.Join(root, "examples/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, there, tested []string
	for _, m := range regexp.MustCompile(`(?m)^\| \[([a-z0-9-]+)\]\(([a-z0-9-]+)\) \|`).FindAllStringSubmatch(string(readme), -1) {
		if m[1] != m[2] {
			t.Errorf("%s leads to %s", m[1], m[2])
		}
		listed = append(listed, m[1])
	}
	entries, err := os.ReadDir(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			there = append(there, e.Name())
		}
	}
	var source []byte
	tests, _ := filepath.Glob("*_test.go")
	for _, name := range tests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	for _, m := range regexp.MustCompile(`(?:serve|copyOf|director|balancer)\(t, "([a-z0-9-]+)"`).FindAllStringSubmatch(string(source), -1) {
		tested = append(tested, m[1])
	}
	slices.Sort(listed)
	slices.Sort(tested)
	if tested = slices.Compact(tested); !slices.Equal(listed, there) || !slices.Equal(tested, there) {
		t.Errorf("there are %v, README.md lists %v, tested are %v", there, listed, tested)
	}
}
