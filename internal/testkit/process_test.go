package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func loadPair(cert, key string) (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

func TestProcessIsWatchedAndStopped(t *testing.T) {
	p := Start(t, exec.Command("sh", "-c", `trap 'echo bye; exit 3' TERM; echo ready to go; echo hm >&2; while :; do sleep 0.05; done`))
	if line := p.WaitLine("ready", 5*time.Second); line != "ready to go" {
		t.Errorf("line %q", line)
	}
	p.WaitLine("hm", 5*time.Second)
	if p.Descriptors() < 3 || p.RSS() <= 0 || !p.Running() {
		t.Errorf("%d descriptors, %d bytes", p.Descriptors(), p.RSS())
	}
	if code := p.Stop(5 * time.Second); code != 3 {
		t.Errorf("exit status %d", code)
	}
	if out := p.Stdout(); out != "ready to go\nbye\n" || !strings.Contains(p.Output(), "hm") {
		t.Errorf("stdout %q, all %q", out, p.Output())
	}
}

func TestWaitingForAProcessThatEndsFails(t *testing.T) {
	expectFailure(t, "without a line", func(tb testing.TB) {
		Start(tb, exec.Command("sh", "-c", "exit 1")).WaitLine("never", 5*time.Second)
	})
	expectFailure(t, "is not ready", func(tb testing.TB) {
		Start(tb, exec.Command("sh", "-c", "exit 1")).WaitReady("http://"+RefusingAddr(t)+"/", 5*time.Second)
	})
	b := NewBackend(t, nil)
	p := Start(t, exec.Command("sleep", "60"))
	p.WaitReady("http://"+b.Addr+"/", 5*time.Second)
}

func TestBuildGivesAStaticBinaryOnce(t *testing.T) {
	const hello = "./internal/testkit/testdata/hello"
	path := Build(t, hello)
	if again := Build(t, hello); again != path {
		t.Errorf("%s and %s", path, again)
	}
	if rel, err := filepath.Rel(filepath.Join(ModuleRoot(t), "bin", "test"), path); err != nil || strings.Contains(rel, "..") {
		t.Errorf("%s is not below bin/test", path)
	}
	p := Run(t, hello)
	if p.Wait(20*time.Second) != 0 || p.Stdout() != "hello\n" {
		t.Errorf("output %q", p.Output())
	}
	expectFailure(t, "build ./no/such", func(tb testing.TB) { Build(tb, "./no/such") })
}
