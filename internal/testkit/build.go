package testkit

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built remembers what this test process has built already. It is state of the package because a build belongs to the
// process: each test that needs the binary would otherwise link it again.
var built sync.Map // "pkg flags" -> func() (string, error)

// Build compiles a command of this module, such as "./cmd/appgw", once per test process and returns the path of the binary. It is
// static, as make build makes it, unless flags has -race.
func Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	once, _ := built.LoadOrStore(fmt.Sprint(pkg, flags), sync.OnceValues(func() (string, error) { return build(pkg, flags) }))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatalf("testkit: build %s: %v", pkg, err)
	}
	return path
}

// ModuleRoot is the directory of go.mod.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return root
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = parent
	}
}

// build links into bin/test, which git ignores, under a name made from the content: several test processes may build and run at
// the same time, and a running binary is never overwritten.
func build(pkg string, flags []string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	name := filepath.Base(pkg)
	if slices.Contains(flags, "-race") {
		name += "-race" // beside the other one, so that neither is linked again each time
	}
	fresh := filepath.Join(dir, name+".new")
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", fresh}, append(flags, pkg)...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), cgo(flags))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v\n%s", err, out)
	}
	return publish(fresh, filepath.Join(dir, name))
}

func cgo(flags []string) string {
	if slices.Contains(flags, "-race") {
		return "CGO_ENABLED=1" // the race detector's runtime needs it
	}
	return "CGO_ENABLED=0"
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// publish moves a fresh binary to prefix-hash and removes its predecessors of more than an hour ago.
func publish(fresh, prefix string) (string, error) {
	f, err := os.Open(fresh)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	path := fmt.Sprintf("%s-%x", prefix, sum.Sum(nil)[:6])
	old, _ := filepath.Glob(prefix + "-*")
	for _, file := range old {
		if info, err := os.Stat(file); err == nil && file != path && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(file)
		}
	}
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		return path, os.Chtimes(path, now, now)
	}
	return path, os.Rename(fresh, path)
}
