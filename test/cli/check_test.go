package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// broken is wrong in every line that says so.
const broken = `limits: {headBytes: 1TiB}                  # too much
listeners:
  - {name: web, address: 127.0.0.1:70000}  # no port
  - {name: web, address: ":1", wibble: 1}  # name twice, unknown key
backendPools:
  - {name: app, targets: ["bad host"]}     # no host
backendSettings:
  - {name: plain, requestTimeout: soon}    # no duration
rules:
  - {name: all, listener: wbe, backendPool: nobody, backendSettings: plain}   # dangling
`

func TestCheckReportsEveryErrorWithItsLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "etc/a.yaml", broken)
	r := appgwIn(t, dir, "check", "-c", "etc/a.yaml")
	r.expect(t, 1,
		"etc/a.yaml:1: limits.headBytes: ", "etc/a.yaml:3: listeners[0].address: ", "etc/a.yaml:4: listeners[1].name: ",
		"etc/a.yaml:4: listeners[1].wibble: ", "etc/a.yaml:6: backendPools[0].targets[0]: ", "etc/a.yaml:8: backendSettings[0].requestTimeout: ",
		"etc/a.yaml:10: rules[0].listener: ", "etc/a.yaml:10: rules[0].backendPool: ")
	if r.stdout != "" {
		t.Errorf("errors on stdout: %s", r.stdout)
	}
	shape := regexp.MustCompile(`^(warning: )?etc/a\.yaml:\d+: ([a-zA-Z0-9.\[\]]+: )?.+$`)
	last := 0
	for line := range strings.Lines(r.stderr) {
		if !shape.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not file:line: path: message: %q", line)
		}
		if strings.HasPrefix(line, "warning: ") {
			continue
		}
		n := 0
		for _, c := range strings.Split(line, ":")[1] {
			n = n*10 + int(c-'0')
		}
		if n < last {
			t.Errorf("not in the order of lines: %q", line)
		}
		last = n
	}
}

// A start and an explanation of the same file refuse it in the same words.
func TestRunAndExplainRefuseWhatCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", broken)
	said := appgwIn(t, dir, "check").stderr
	for _, args := range [][]string{{"run"}, {"explain", "--url", "http://a/"}} {
		r := appgwIn(t, dir, args...)
		r.expect(t, 1)
		for line := range strings.Lines(said) {
			if !strings.HasPrefix(line, "warning: ") && !strings.Contains(r.stderr, line) {
				t.Errorf("%s does not say %q but\n%s", args[0], line, r.stderr)
			}
		}
	}
}

// tlsConfig is good as long as its files are; %s are the certificate's.
const tlsConfig = `affinity: {secretFile: secret}
listeners:
  - name: shop
    address: 127.0.0.1:8443
    protocol: https
    hostNames: [shop.test, "*.shop.test"]
    errorPages: {502: down.html}
    tls:
      certificates:
        - {certFile: tls.crt, keyFile: tls.key}
backendPools:
  - {name: app, targets: [127.0.0.1]}
backendSettings:
  - {name: plain, protocol: https, affinity: {enabled: true}, tls: {caFile: ca.pem}}
pathMaps:
  - name: all
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/a/*], backendPool: app, backendSettings: plain}
rules:
  - {name: all, listener: shop, pathMap: all}
`

// site makes a directory with tlsConfig and good files.
func site(t *testing.T, ca *testkit.CA, leaf testkit.Leaf) string {
	dir := t.TempDir()
	cert := ca.Issue(leaf)
	write(t, dir, "appgw.yaml", tlsConfig)
	write(t, dir, "tls.crt", string(cert.CertPEM))
	write(t, dir, "tls.key", string(cert.KeyPEM))
	write(t, dir, "ca.pem", string(ca.PEM))
	write(t, dir, "secret", strings.Repeat("s", 32))
	write(t, dir, "down.html", "<p>down")
	return dir
}

func TestCheckReadsWhatTheConfigurationNames(t *testing.T) {
	ca := testkit.NewCA(t)
	good := testkit.Leaf{Names: []string{"shop.test", "*.shop.test"}}
	other := ca.Server("other.test")
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, dir, name, text) }
	}
	tests := []struct {
		name   string
		leaf   testkit.Leaf
		change func(t *testing.T, dir string)
		code   int
		want   string
	}{
		{"all is well", good, func(*testing.T, string) {}, 0, "appgw.yaml is good: 1 listener, 1 rule, 1 backend pool"},
		{"no certificate", good, remove("tls.crt"), 1, "appgw.yaml:10: listeners[0].tls.certificates[0]: open tls.crt: no such file"},
		{"no key", good, remove("tls.key"), 1, "appgw.yaml:10: listeners[0].tls.certificates[0]: open tls.key: no such file"},
		{"key of another", good, put("tls.key", string(other.KeyPEM)), 1, "appgw.yaml:10: listeners[0].tls.certificates[0]: certificate tls.crt: private key does not match"},
		{"no PEM", good, put("tls.crt", "hello"), 1, "appgw.yaml:10: listeners[0].tls.certificates[0]: certificate tls.crt: "},
		{"no secret", good, remove("secret"), 1, "appgw.yaml:1: affinity.secretFile: open secret: no such file"},
		{"secret too short", good, put("secret", "hunter2"), 1, "appgw.yaml:1: affinity.secretFile: secret has 7 bytes; at least 16"},
		{"no CA", good, remove("ca.pem"), 1, "appgw.yaml:14: backendSettings[0].tls.caFile: open ca.pem: no such file"},
		{"CA is no certificate", good, put("ca.pem", "hello"), 1, "appgw.yaml:14: backendSettings[0].tls.caFile: ca.pem has no PEM certificate"},
		{"no error page", good, remove("down.html"), 1, "appgw.yaml:7: listeners[0].errorPages.502: open down.html: no such file"},
		{"expired", testkit.Leaf{Names: good.Names, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)},
			func(*testing.T, string) {}, 0, "warning: appgw.yaml:10: listeners[0].tls.certificates[0]: certificate tls.crt: expired on "},
		{"host name not covered", testkit.Leaf{Names: []string{"shop.test", "www.shop.test"}}, func(*testing.T, string) {}, 0,
			"warning: appgw.yaml:6: listeners[0].hostNames[1]: no certificate of the listener is for *.shop.test"},
		{"no place for the log", good, put("appgw.yaml", tlsConfig+"logs: {access: {output: var/log/access.log}}\n"), 1,
			"appgw.yaml:22: logs.access.output: stat var/log: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := site(t, ca, tt.leaf)
			tt.change(t, dir)
			r := appgwIn(t, dir, "check")
			r.expect(t, tt.code, tt.want)
			if lines := strings.Count(r.stderr, "\n"); tt.code == 1 && lines != 1 {
				t.Errorf("one thing is wrong, %d lines are said:\n%s", lines, r.stderr)
			}
			if tt.name == "all is well" && r.stderr != "" {
				t.Errorf("warnings where all is well: %s", r.stderr)
			}
		})
	}
}

func TestCheckReportsAllFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", tlsConfig)
	appgwIn(t, dir, "check").expect(t, 1, "appgw.yaml:1: affinity", "appgw.yaml:7: listeners[0].errorPages", "appgw.yaml:10: listeners[0].tls", "appgw.yaml:14: backendSettings")
}

// brokenFiles is wrong in its keys, with names that are there twice or not at all, and names files.
const brokenFiles = `affinity: {secretFile: secret}
listeners:
  - name: shop
    address: 127.0.0.1:84433
    protocol: https
    tls: {certificates: [{certFile: old.crt, keyFile: old.key}, {certFile: none.crt, keyFile: none.key}, {certFile: half.crt}]}
  - name: shop
    address: 127.0.0.1:8444
    protocol: https
    hostNames: [b@d, www.test]
    errorPages: {502: down.html}
    tls: {certificates: [{certFile: old.crt, keyFile: other.key}]}
backendSettings:
  - {protocol: https, tls: {caFile: ca.pem}}
  - {name: plain, tls: {caFile: unused.pem}}
logs: {access: {output: var/log/access.log}}
`

// What is wrong with files is said beside what is wrong with keys, by every command.
func TestFilesAreLookedAtBesideOtherErrors(t *testing.T) {
	dir := t.TempDir()
	ca := testkit.NewCA(t)
	old := ca.Issue(testkit.Leaf{Names: []string{"a.test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	write(t, dir, "appgw.yaml", brokenFiles)
	write(t, dir, "old.crt", string(old.CertPEM))
	write(t, dir, "old.key", string(old.KeyPEM))
	write(t, dir, "other.key", string(ca.Server("other.test").KeyPEM))
	want := []string{
		"appgw.yaml:1: affinity.secretFile: open secret: no such file or directory",
		"appgw.yaml:4: listeners[0].address: 84433 is not a port; ",
		"appgw.yaml:6: listeners[0].tls.certificates[1]: open none.crt: no such file or directory",
		"appgw.yaml:6: listeners[0].tls.certificates[2].keyFile: is missing; add it",
		`appgw.yaml:7: listeners[1].name: the name "shop" is already taken on line 3`,
		"appgw.yaml:10: listeners[1].hostNames[0]: ",
		"appgw.yaml:11: listeners[1].errorPages.502: open down.html: no such file or directory",
		"appgw.yaml:12: listeners[1].tls.certificates[0]: certificate old.crt: private key does not match public key",
		"appgw.yaml:14: backendSettings[0].name: is missing; add it",
		"appgw.yaml:14: backendSettings[0].tls.caFile: open ca.pem: no such file or directory",
		"appgw.yaml:16: logs.access.output: stat var/log: no such file or directory",
	}
	for _, args := range [][]string{{"check"}, {"run"}, {"explain", "--url", "http://a/"}} {
		r := appgwIn(t, dir, args...)
		r.expect(t, 1, want...)
		at := -1
		for _, w := range want {
			i := strings.Index(r.stderr, w)
			if i < at {
				t.Errorf("%s: not in the order of lines: %q", args[0], w)
			}
			at = i
		}
	}
	appgwIn(t, dir, "check").expect(t, 1, "warning: appgw.yaml:6: listeners[0].tls.certificates[0]: certificate old.crt: expired on ")
}

// One certificate that cannot be read does not hide that another has expired.
func TestCheckWarnsOfCertificatesBesideBrokenOnes(t *testing.T) {
	dir := site(t, testkit.NewCA(t), testkit.Leaf{Names: []string{"shop.test", "*.shop.test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	write(t, dir, "appgw.yaml", strings.Replace(tlsConfig, "certificates:\n", "certificates:\n        - {certFile: none.crt, keyFile: none.key}\n", 1))
	r := appgwIn(t, dir, "check")
	r.expect(t, 1, "appgw.yaml:10: listeners[0].tls.certificates[0]: open none.crt: ", "warning: appgw.yaml:11: listeners[0].tls.certificates[1]: certificate tls.crt: expired on ")
	if strings.Contains(r.stderr, "hostNames") {
		t.Errorf("whether names are covered is not known:\n%s", r.stderr)
	}
}

// A host name that is none needs no certificate; the others beside it do.
func TestCheckAsksForCertificatesOfGoodHostNamesOnly(t *testing.T) {
	dir := site(t, testkit.NewCA(t), testkit.Leaf{Names: []string{"shop.test"}})
	write(t, dir, "appgw.yaml", strings.Replace(tlsConfig, "hostNames: [shop.test, ", "hostNames: [shop.test, b@d, ", 1))
	r := appgwIn(t, dir, "check")
	r.expect(t, 1, "\nappgw.yaml:6: listeners[0].hostNames[1]: ", "warning: appgw.yaml:6: listeners[0].hostNames[2]: no certificate of the listener is for *.shop.test")
	if strings.Contains(r.stderr, "for b@d") {
		t.Errorf("a certificate for what is no name:\n%s", r.stderr)
	}
}

// Check neither listens nor leaves anything behind: it runs beside the gateway, as anybody.
func TestCheckHasNoEffects(t *testing.T) {
	s := serve(t, minimalFor(testkit.NewBackend(t, nil)))
	write(t, s.dir, "appgw.yaml", s.fill(minimalFor(testkit.NewBackend(t, nil)))+"logs: {access: {output: access.log}}\n")
	write(t, s.dir, "other.yaml", s.fill(minimal)) // not watched
	appgwIn(t, s.dir, "check").expect(t, 0, "is good")
	s.WaitLine(`"trigger":"file"`, soon) // the gateway itself made the log by now
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", s.fill(minimalFor(testkit.NewBackend(t, nil)))+"logs: {access: {output: access.log}}\n")
	appgwIn(t, dir, "check").expect(t, 0, "is good")
	if _, err := os.Stat(filepath.Join(dir, "access.log")); err == nil {
		t.Error("check made the access log")
	}
}

func TestCheckWarnsAndAccepts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", strings.NewReplacer("$ADMIN", "127.0.0.1:9901", "$WEB", ":8080", "$BACKEND", "10.0.0.4").Replace(minimal)+
		"probes:\n  - {name: unused}\n")
	r := appgwIn(t, dir, "check")
	r.expect(t, 0, "warning: appgw.yaml:11: probes[0]: ", "appgw.yaml is good")
	if strings.Contains(r.stdout, "warning") {
		t.Error("warnings belong on stderr")
	}
}

// The schema says what check accepts: the examples fit it, by the keywords that it uses.
func TestSchemaDescribesConfigurations(t *testing.T) {
	r := appgw(t, "schema")
	r.expect(t, 0)
	var schema map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &schema); err != nil {
		t.Fatal(err)
	}
	if v, _ := schema["$schema"].(string); !strings.HasPrefix(v, "https://json-schema.org/draft/") {
		t.Errorf("$schema is %q", v)
	}
	v := validator{root: schema}
	files, _ := filepath.Glob(filepath.Join(testkit.ModuleRoot(t), "examples/*/appgw.yaml"))
	if len(files) < 6 {
		t.Fatalf("only %d examples", len(files))
	}
	for _, file := range files {
		if errs := v.file(t, file); len(errs) > 0 {
			t.Errorf("%s: %s", file, strings.Join(errs, "\n"))
		}
	}
	dir := t.TempDir()
	write(t, dir, "bad.yaml", "listeners:\n  - {address: \":80\", wibble: 1, protocol: gopher}\nlimits: {fields: 5000}\n")
	said := strings.Join(v.file(t, filepath.Join(dir, "bad.yaml")), "\n")
	for _, want := range []string{"wibble", "protocol", "name"} {
		if !strings.Contains(said, want) {
			t.Errorf("the schema has nothing against %s: %s", want, said)
		}
	}
}
