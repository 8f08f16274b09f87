package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// binaries are those that have a unit, deploy/NAME.service.
var binaries = []string{"appgw", "trafficmgr", "l4lb"}

func unitFile(binary string) string  { return "deploy/" + binary + ".service" }
func installed(binary string) string { return "/usr/local/bin/" + binary }

// unit maps section.key to its values, in order.
func unit(t *testing.T, binary string) map[string][]string {
	t.Helper()
	values, section := map[string][]string{}, ""
	for line := range strings.Lines(file(t, unitFile(binary))) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		values[section+"."+key] = append(values[section+"."+key], value)
	}
	return values
}

func TestUnitIsHardened(t *testing.T) {
	want := map[string]string{
		"Type": "notify", "NotifyAccess": "all",
		"AmbientCapabilities": "CAP_NET_BIND_SERVICE", "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
		"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
		"ProtectProc": "invisible", "ProtectClock": "yes", "ProtectControlGroups": "yes", "ProtectHostname": "yes",
		"ProtectKernelLogs": "yes", "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces": "yes", "RestrictRealtime": "yes",
		"RestrictSUIDSGID": "yes", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native",
		"LimitNOFILE": "1048576", "UMask": "0077",
	}
	for _, binary := range binaries {
		got := unit(t, binary)
		for key, value := range want {
			if !slices.Equal(got["Service."+key], []string{value}) {
				t.Errorf("%s: %s is %q, want %q", binary, key, got["Service."+key], value)
			}
		}
		if user := got["Service.User"]; len(user) != 1 || user[0] == "root" {
			t.Errorf("%s: user %q", binary, user)
		}
	}
}

func TestUnitStartsAndReloadsItsBinary(t *testing.T) {
	for _, binary := range binaries {
		got := unit(t, binary)
		start := strings.Fields(got["Service.ExecStart"][0])
		if start[0] != installed(binary) || start[1] != "run" {
			t.Errorf("%s: starts %q", binary, start)
		}
		reload := got["Service.ExecReload"]
		check := strings.Replace(got["Service.ExecStart"][0], " run ", " check ", 1)
		if !slices.Equal(reload, []string{check, "/bin/kill -HUP $MAINPID"}) {
			t.Errorf("%s: reload is %q", binary, reload)
		}
		for _, part := range []string{binary + ".service", "/etc/gatehouse/" + binary + ".yaml", "useradd", "gatehouse"} {
			if !strings.Contains(file(t, "deploy/README.md"), part) {
				t.Errorf("deploy/README.md does not name %s, which the unit needs", part)
			}
		}
	}
}

func TestUnitPassesSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here to verify the units with")
	}
	for _, binary := range binaries {
		// The binary need not be installed: the unit is verified with the one just built.
		text := strings.ReplaceAll(file(t, unitFile(binary)), installed(binary), testkit.Build(t, "./cmd/"+binary))
		path := filepath.Join(t.TempDir(), binary+".service")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: verify: %v\n%s", binary, err, out)
		}
		// The scale is 0 to 100 on the command line, 0 to 10 in its output; Debian 11 and older cannot do it offline.
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=25", path).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unrecognized option") {
			t.Errorf("%s: exposure over 2.5: %v\n%s", binary, err, out)
		}
	}
}
