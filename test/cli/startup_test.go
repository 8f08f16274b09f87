package cli

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// startable starts unless its addresses cannot be listened on, or its files cannot be opened.
const startable = `admin: {address: "$ADMIN"}
metrics: {address: "$METRICS"}
listeners:
  - {name: web, address: "$WEB"}
backendPools:
  - {name: app, targets: [127.0.0.1]}
backendSettings:
  - {name: plain, probe: off}
rules:
  - {name: all, listener: web, backendPool: app, backendSettings: plain}
`

// What keeps appgw from starting is said with its place and with what to do.
func TestRunSaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := taken.Addr().String()
	const has = "bind: address already in use; another process has it (ss -lntup shows which)"
	tests := []struct {
		name, admin, metrics, web, more string
		want                            string
	}{
		{"listener's port in use", "off", "off", inUse, "", "appgw.yaml:4: listeners[0].address: listen tcp " + inUse + ": " + has},
		{"admin's port in use", inUse, "off", "127.0.0.1:0", "", "appgw: appgw.yaml:1: admin.address: admin " + inUse + ": listen tcp " + inUse + ": " + has},
		{"metrics' port in use", "off", inUse, "127.0.0.1:0", "", "appgw: appgw.yaml:2: metrics.address: metrics " + inUse + ": listen tcp " + inUse + ": " + has},
		{"address of another machine", "off", "off", "192.0.2.1:8080", "", "appgw.yaml:4: listeners[0].address: listen tcp 192.0.2.1:8080: bind: cannot assign requested address; this machine has no such address"},
		{"no directory for the socket", "unix:/none/admin.sock", "off", "127.0.0.1:0", "", "appgw: appgw.yaml:1: admin.address: admin unix:/none/admin.sock: listen unix /none/admin.sock: bind: no such file or directory"},
		{"a directory for the log", "off", "off", "127.0.0.1:0", "logs: {access: {output: /}}\n", "appgw.yaml:11: logs.access.output: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.NewReplacer("$ADMIN", tt.admin, "$METRICS", tt.metrics, "$WEB", tt.web).Replace(startable)
			write(t, dir, "appgw.yaml", text+tt.more)
			appgwIn(t, dir, "run").expect(t, 1, tt.want)
		})
	}
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", strings.NewReplacer("$ADMIN", "off", "$METRICS", "off", "$WEB", "127.0.0.1:0").Replace(startable)+"logs: {access: {output: /}}\n")
	appgwIn(t, dir, "check").expect(t, 1, "appgw.yaml:11: logs.access.output: / is a directory; name a file in it")
}

// A file that is not there is not a configuration that is refused.
func TestRunWithoutItsFile(t *testing.T) {
	r := appgw(t, "run", "-c", "none.yaml")
	r.expect(t, 1, "appgw: configuration: open none.yaml: no such file or directory")
	if strings.Contains(r.stderr, "refused") {
		t.Errorf("nothing was read that could be refused:\n%s", r.stderr)
	}
}

// A user that may not read a key, or not listen on a port, is told so.
func TestRunAsAUserWithoutPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	dir, err := os.MkdirTemp("", "appgw")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cert := testkit.NewCA(t).Server("shop.test")
	write(t, dir, "tls.crt", string(cert.CertPEM))
	write(t, dir, "tls.key", string(cert.KeyPEM))
	write(t, dir, "appgw.yaml", `admin: {address: off}
listeners:
  - {name: web, address: "127.0.0.1:81"}
  - {name: shop, address: "127.0.0.1:0", protocol: https, tls: {certificates: [{certFile: tls.crt, keyFile: tls.key}]}}
`)
	program, err := os.ReadFile(testkit.Build(t, "./cmd/appgw"))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{".": 0o755, "tls.crt": 0o644, "appgw.yaml": 0o644} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "appgw"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "appgw"), "run")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it runs")
	}
	for _, want := range []string{
		"appgw.yaml:3: listeners[0].address: listen tcp 127.0.0.1:81: bind: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE",
		"appgw.yaml:4: listeners[1].tls.certificates[0]: open tls.key: permission denied; the user that runs appgw (uid 65534) needs it",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
