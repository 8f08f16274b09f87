package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

func TestStatusAndBackends(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	s := serve(t, minimalFor(b)+"probes:\n  - {name: unused}\n")
	for range 3 {
		testkit.Get(t, s.web, "any.test", "/")
	}
	r := appgwIn(t, s.dir, "status")
	r.expect(t, 0, "appgw devel, ", "configuration appgw.yaml: applied at ", "(start); 1 applied, 0 refused",
		"warning: appgw.yaml:11: probes[0]", "LISTENER  ADDRESS", "web       "+s.web+"  http      any", "POOL  SETTINGS")
	appgwIn(t, s.dir, "backends").expect(t, 0, "app   plain     "+b.Addr+"  untried", "not probed")

	var status struct {
		Version   string
		File      string
		Reloads   struct{ Applied, Refused int }
		Listeners []struct{ Name, Address string }
		Pools     []struct {
			Pool     string
			Backends []struct {
				Name, State, Reason, Since string
				Requests, InFlight         int
			}
		}
	}
	decode(t, appgwIn(t, s.dir, "status", "--json"), &status)
	if status.Reloads.Applied != 1 || len(status.Listeners) != 1 || status.Listeners[0].Address != s.web {
		t.Errorf("status: %+v", status)
	}
	pools := status.Pools[:0]
	decode(t, appgwIn(t, s.dir, "backends", "--json"), &pools)
	if len(pools) != 1 || len(pools[0].Backends) != 1 || pools[0].Backends[0].Requests != 3 || pools[0].Backends[0].Name != b.Addr {
		t.Errorf("backends: %+v", pools)
	}
}

func decode(t *testing.T, r result, into any) {
	t.Helper()
	r.expect(t, 0)
	if err := json.Unmarshal([]byte(r.stdout), into); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
}

func TestReload(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	s := serve(t, minimalFor(a))
	write(t, s.dir, "appgw.yaml", s.fill(minimalFor(b)))
	appgwIn(t, s.dir, "reload").expect(t, 0, "configuration applied")
	if r := testkit.Get(t, s.web, "any.test", "/"); string(r.Content) != "b" {
		t.Errorf("still served by %s", r.Content)
	}
	var outcome struct{ Outcome string }
	if decode(t, appgwIn(t, s.dir, "reload", "--json"), &outcome); outcome.Outcome != "applied" {
		t.Errorf("outcome %q", outcome.Outcome)
	}
}

// The operator who broke the file asks the gateway about it: the admin address must be found in the broken file.
func TestReloadOfARefusedConfigurationSaysAllErrors(t *testing.T) {
	b := named(t, "a")
	s := serve(t, minimalFor(b))
	bad := strings.NewReplacer("probe: off", "probe: home, requestTimeout: soon", "listener: web", "listener: wbe").Replace(minimalFor(b))
	write(t, s.dir, "appgw.yaml", s.fill(bad))
	for range 2 {
		appgwIn(t, s.dir, "reload").expect(t, 1, "appgw.yaml:7: backendSettings[0].probe", "appgw.yaml:7: backendSettings[0].requestTimeout: ", "appgw.yaml:9: rules[0].listener: ")
	}
	appgwIn(t, s.dir, "status").expect(t, 0, "refused at ", "appgw.yaml:9: rules[0].listener: ")
	if r := testkit.Get(t, s.web, "any.test", "/"); string(r.Content) != "a" {
		t.Errorf("the old configuration does not serve: %d %s", r.StatusCode, r.Content)
	}
	write(t, s.dir, "appgw.yaml", s.fill(minimalFor(b))+"errorPages: {502: down.html}\n")
	appgwIn(t, s.dir, "reload").expect(t, 1, "appgw.yaml:10: errorPages.502: open down.html: no such file")
	write(t, s.dir, "appgw.yaml", s.fill(minimalFor(b)))
	appgwIn(t, s.dir, "reload").expect(t, 0)
}

func TestDrainAndUndrain(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	text := strings.Replace(minimal, `"$BACKEND"`, fmt.Sprintf("%q, %q", a.Addr, b.Addr), 1)
	s := serve(t, text)
	appgwIn(t, s.dir, "drain", a.Addr).expect(t, 0, a.Addr+" draining")
	if got := answers(t, 6, s.web, "/"); got["b"] != 6 {
		t.Errorf("while a is drained, requests go to %v", got)
	}
	appgwIn(t, s.dir, "backends").expect(t, 0, a.Addr+"  drained", "drained by an operator")
	appgwIn(t, s.dir, "drain", a.Addr).expect(t, 0) // again: no harm
	write(t, s.dir, "appgw.yaml", s.fill(text)+"# touched\n")
	appgwIn(t, s.dir, "reload").expect(t, 0)
	if got := answers(t, 4, s.web, "/"); got["b"] != 4 {
		t.Errorf("a reload brought a drained backend back: %v", got)
	}
	appgwIn(t, s.dir, "undrain", a.Addr).expect(t, 0, a.Addr+" in use again")
	if got := answers(t, 6, s.web, "/"); got["a"] != 3 {
		t.Errorf("after undrain, requests go to %v", got)
	}
	appgwIn(t, s.dir, "undrain", a.Addr).expect(t, 0)
	for _, command := range []string{"drain", "undrain"} {
		appgwIn(t, s.dir, command, "10.9.9.9:1").expect(t, 1, `no backend is called "10.9.9.9:1"`, "appgw backends")
	}
}

func TestUpgrade(t *testing.T) {
	s := serve(t, minimalFor(named(t, "a")))
	appgwIn(t, s.dir, "upgrade").expect(t, 0, "the new process serves")
	testkit.Eventually(t, soon, "the end of the old process", func() bool { return syscall.Kill(s.Pid, 0) != nil })
	if r := testkit.Get(t, s.web, "any.test", "/"); string(r.Content) != "a" {
		t.Errorf("the new process does not serve: %d", r.StatusCode)
	}
	appgwIn(t, s.dir, "status").expect(t, 0, " applied, 0 refused")
	syscall.Kill(-s.Pid, syscall.SIGKILL) // the new one, which nobody else knows
}

// Where the running gateway is: --admin, else what -c names, else ./appgw.yaml, else the default.
func TestAdminAddressIsFound(t *testing.T) {
	s := serve(t, minimalFor(named(t, "a")))
	file := filepath.Join(s.dir, "appgw.yaml")
	empty := t.TempDir()
	elsewhere := t.TempDir()
	write(t, elsewhere, "appgw.yaml", "admin: {address: unix:nobody.sock}\n")
	write(t, elsewhere, "off.yaml", "admin: {address: off}\n")
	write(t, elsewhere, "bad.yaml", "admin: {address: 10.0.0.1:9901}\n")
	write(t, elsewhere, "broken.yaml", "admin: [\n")
	tests := []struct {
		name string
		dir  string
		args []string
		code int
		want string
	}{
		{"here", s.dir, nil, 0, "LISTENER"},
		{"-c", empty, []string{"-c", file}, 0, "LISTENER"},
		{"--config", empty, []string{"--config", file}, 0, "LISTENER"},
		{"--admin", empty, []string{"--admin", s.admin}, 0, "LISTENER"},
		{"--admin before -c", empty, []string{"--admin", s.admin, "-c", "none.yaml"}, 0, "LISTENER"},
		{"--admin before here", elsewhere, []string{"--admin", s.admin}, 0, "LISTENER"},
		{"relative socket", s.dir, []string{"--admin", "unix:admin.sock"}, 0, "LISTENER"},
		{"nobody there", elsewhere, nil, 1, "is appgw running? admin address unix:nobody.sock does not exist"},
		{"default address", empty, []string{"--admin", testkit.RefusingAddr(t)}, 1, "refused the connection"},
		{"no such file", empty, []string{"-c", "none.yaml"}, 1, "none.yaml: no such file"},
		{"off", elsewhere, []string{"-c", "off.yaml"}, 1, "off.yaml has admin.address: off"},
		{"no admin address", elsewhere, []string{"-c", "bad.yaml"}, 1, "bad.yaml has no valid admin.address; name the admin address with --admin"},
		{"not YAML", elsewhere, []string{"-c", "broken.yaml"}, 1, "name the admin address with --admin"},
		{"not appgw", empty, []string{"--admin", named(t, "web").Addr}, 1, "what answers there is not appgw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := appgwIn(t, tt.dir, append([]string{"status"}, tt.args...)...)
			r.expect(t, tt.code, tt.want)
			if tt.code != 0 && (r.stdout != "" || !strings.HasPrefix(r.stderr, "appgw: ")) {
				t.Errorf("an error must be on stderr and say who: %q %q", r.stdout, r.stderr)
			}
		})
	}
}

func TestNothingRunsAtTheDefaultAddress(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"backends"}, {"reload"}, {"drain", "x"}, {"undrain", "x"}, {"upgrade"}} {
		r := appgw(t, append(args, "--admin", testkit.RefusingAddr(t))...)
		r.expect(t, 1, "appgw: is appgw running? admin address 127.0.0.1:", "refused the connection")
		if strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("more than one line: %s", r.stderr)
		}
	}
	appgw(t, "status", "--help").expect(t, 0, "127.0.0.1:9901")
}

// The socket is the operator's alone.
func TestAdminSocketIsPrivate(t *testing.T) {
	s := serve(t, minimalFor(named(t, "a")))
	info, err := os.Stat(filepath.Join(s.dir, "admin.sock"))
	if err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	if code := s.Stop(soon); code != 0 {
		t.Errorf("stopped with status %d", code)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "admin.sock")); err == nil {
		t.Error("the socket was left behind")
	}
}
