package deploy

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// ordinary is the user of the image.
const ordinary = 65532

// capNetBindService is the number of that capability in capabilities(7).
const capNetBindService = 10

func TestBinaryIsStatic(t *testing.T) {
	for _, binary := range []string{"./cmd/appgw", "./cmd/trafficmgr", "./cmd/l4lb"} {
		f, err := elf.Open(testkit.Build(t, binary))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s has a %v: needs a loader", binary, p.Type)
			}
		}
		if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
			t.Errorf("%s: libraries %q, %v", binary, libs, err)
		}
	}
}

// image lays out an empty root directory as the Dockerfile of appgw does: the binary and, where the container would find
// it, a configuration with this listener address. It returns the directory and the admin address.
func image(t *testing.T, listen, backend string) (root, admin string) {
	t.Helper()
	admin = testkit.FreeAddr(t)
	return layOut(t, gatewayImage, "./cmd/appgw", fmt.Sprintf(`admin: {address: "%s"}
listeners: [{name: web, address: "%s", protocol: http}]
backendPools: [{name: app, targets: ["%s"]}]
backendSettings: [{name: plain, protocol: http}]
rules: [{name: all, priority: 1, listener: web, backendPool: app, backendSettings: plain}]
`, admin, listen, backend)), admin
}

// layOut makes a root directory as a Dockerfile does, with a configuration.
func layOut(t *testing.T, image, binary, conf string) (root string) {
	t.Helper()
	root = t.TempDir()
	start := startCommand(t, image)
	copyFile(t, testkit.Build(t, binary), filepath.Join(root, start[0]), 0o755)
	path := filepath.Join(root, start[len(start)-1])
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// inside makes a command that runs in the root directory as the ordinary user, with nothing from our environment.
func inside(root string, args []string, capabilities ...uintptr) *exec.Cmd {
	return &exec.Cmd{
		Path: args[0], Args: args, Dir: "/", Env: []string{},
		SysProcAttr: &syscall.SysProcAttr{
			Chroot:      root,
			Credential:  &syscall.Credential{Uid: ordinary, Gid: ordinary},
			AmbientCaps: capabilities,
		},
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to change the root directory and the user; run make test as root for this one")
	}
}

func TestStartsInAnEmptyRootAsAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	backend := testkit.NewBackend(t, nil)
	listen := testkit.FreeAddr(t)
	root, admin := image(t, listen, backend.Addr)
	p := testkit.Start(t, inside(root, startCommand(t, gatewayImage)))
	p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
	r := testkit.Get(t, listen, "any.test", "/path")
	if e := testkit.DecodeEcho(t, r.Content); r.StatusCode != 200 || e.Target != "/path" {
		t.Errorf("status %d, the backend saw %+v", r.StatusCode, e)
	}
	status := statusLines(t, p.Pid)
	if !strings.HasPrefix(status["Uid"], fmt.Sprint(ordinary)) || status["CapEff"] != "0000000000000000" {
		t.Errorf("runs as %s with capabilities %s", status["Uid"], status["CapEff"])
	}
	health := testkit.Start(t, inside(root, healthCommand(t, gatewayImage)))
	if code := health.Wait(10 * time.Second); code != 0 {
		t.Errorf("the health check of a running gateway exits with %d", code)
	}
	if code := p.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	health = testkit.Start(t, inside(root, healthCommand(t, gatewayImage)))
	if code := health.Wait(10 * time.Second); code != 1 {
		t.Errorf("the health check of a stopped gateway exits with %d", code)
	}
}

func TestBindsPort80WithOneCapability(t *testing.T) {
	needRoot(t)
	if start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(start)) == "0" {
		t.Log("every port is unprivileged here: this shows less than elsewhere")
	}
	// An address of loopback that nobody else uses, so that the port is free.
	listen := fmt.Sprintf("127.86.%d.%d:80", os.Getpid()>>8&0xff, os.Getpid()&0xff|1)
	backend := testkit.NewBackend(t, nil)
	root, admin := image(t, listen, backend.Addr)
	p := testkit.Start(t, inside(root, startCommand(t, gatewayImage), capNetBindService))
	p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
	if r := testkit.Get(t, listen, "any.test", "/"); r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
	if got := statusLines(t, p.Pid)["CapEff"]; got != fmt.Sprintf("%016x", 1<<capNetBindService) {
		t.Errorf("capabilities %s", got)
	}
}

// statusLines reads /proc/PID/status.
func statusLines(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		lines[name] = strings.TrimSpace(value)
	}
	return lines
}
