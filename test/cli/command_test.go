package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// appgw runs the binary to its end, in a directory that has nothing in it.
func appgw(t *testing.T, args ...string) result {
	t.Helper()
	return appgwIn(t, t.TempDir(), args...)
}

func appgwIn(t *testing.T, dir string, args ...string) result {
	t.Helper()
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(soon, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("appgw %s: %v", strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// expect fails the test unless the command ended so, and stdout and stderr together contain all of want.
func (r result) expect(t *testing.T, code int, want ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	for _, text := range want {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("%q is missing", text)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

// write makes a file in dir.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// served is a running gateway that talks to its operator on a unix socket.
type served struct {
	*testkit.Process
	dir   string // with appgw.yaml
	web   string // its listener
	admin string
}

// serve runs `appgw run` in a directory, with text as its appgw.yaml; $WEB and $ADMIN stand for addresses.
func serve(t *testing.T, text string) *served {
	t.Helper()
	s := &served{dir: t.TempDir(), web: testkit.FreeAddr(t)}
	s.admin = "unix:" + filepath.Join(s.dir, "admin.sock")
	write(t, s.dir, "appgw.yaml", s.fill(text))
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), "run")
	cmd.Dir = s.dir
	s.Process = testkit.Start(t, cmd)
	s.WaitLine(`"msg":"ready"`, soon)
	return s
}

func (s *served) fill(text string) string {
	return strings.NewReplacer("$WEB", s.web, "$ADMIN", s.admin).Replace(text)
}

// minimal is a good configuration with one backend, $BACKEND.
const minimal = `admin: {address: "$ADMIN"}
listeners:
  - {name: web, address: "$WEB"}
backendPools:
  - {name: app, targets: ["$BACKEND"]}
backendSettings:
  - {name: plain, probe: off}
rules:
  - {name: all, listener: web, backendPool: app, backendSettings: plain}
`

func minimalFor(b *testkit.Backend) string { return strings.ReplaceAll(minimal, "$BACKEND", b.Addr) }
