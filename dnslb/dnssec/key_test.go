package dnssec

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// The key of RFC 6605 6.1.
const (
	exampleZone    = "example.net"
	examplePrivate = "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=\n"
	exampleDNSKEY  = "example.net.\t3600\tIN\tDNSKEY\t257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="
	exampleDigest  = "B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17"
)

// write makes a file in a directory of the test and returns its name.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRecordsOfTheKeyOfTheRFC(t *testing.T) {
	key, created, err := LoadOrCreate(write(t, t.TempDir(), "k.private", examplePrivate), "Example.NET")
	if err != nil || created {
		t.Fatal(created, err)
	}
	tests := []struct {
		got  dns.RR
		want string
	}{
		{key.DNSKEY(3600), exampleDNSKEY},
		{key.DS(), "example.net.\t3600\tIN\tDS\t55648 13 2 " + exampleDigest},
		{key.CDS(60), "example.net.\t60\tIN\tCDS\t55648 13 2 " + exampleDigest},
		{key.CDNSKEY(60), strings.NewReplacer("DNSKEY", "CDNSKEY", "3600", "60").Replace(exampleDNSKEY)},
	}
	for _, tt := range tests {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if key.Tag() != 55648 || key.Zone() != "example.net." {
		t.Errorf("tag %d, zone %s", key.Tag(), key.Zone())
	}
}

func TestAKeyIsMadeOnceWithBothFiles(t *testing.T) {
	for _, name := range []string{"Kexample.private", "example.pem"} {
		file := filepath.Join(t.TempDir(), name)
		made, created, err := LoadOrCreate(file, exampleZone)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("private file: %v %v", info.Mode(), err)
		}
		public, err := os.ReadFile(publicFile(file))
		if err != nil || !strings.Contains(string(public), "\nexample.net. IN DNSKEY 257 3 13 "+made.public+"\n") {
			t.Errorf("public file: %s %v", public, err)
		}
		again, created, err := LoadOrCreate(file, exampleZone+".")
		if err != nil || created || again.public != made.public || again.tag != made.tag {
			t.Errorf("read again: created %v, %v", created, err)
		}
		if files, _ := os.ReadDir(filepath.Dir(file)); len(files) != 2 {
			t.Errorf("left behind: %v", files)
		}
	}
}

func TestProcessesThatMakeAKeyAtOnceGetTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "k.private")
	keys := make([]*Key, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], _, err = LoadOrCreate(file, exampleZone); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want, created, err := LoadOrCreate(file, exampleZone)
	if err != nil || created {
		t.Fatal(created, err)
	}
	for _, k := range keys {
		if k.public != want.public {
			t.Error("two keys")
		}
	}
}

func TestTheLoserOfTheRaceReadsTheKeyOfTheWinner(t *testing.T) {
	for _, public := range []string{"", exampleDNSKEY} { // made so far
		dir := t.TempDir()
		file := write(t, dir, "k.private", examplePrivate)
		if public != "" {
			write(t, dir, "k.key", public)
		}
		key, created, err := create(file, "example.net.")
		if err != nil || created || key.Tag() != 55648 {
			t.Errorf("created %v, %v", created, err)
		}
	}
}

func TestAMissingPublicFileIsWrittenAnew(t *testing.T) {
	file := write(t, t.TempDir(), "k.private", examplePrivate)
	if _, _, err := LoadOrCreate(file, exampleZone); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(publicFile(file))
	if err != nil || !strings.Contains(string(public), "keyid 55648") {
		t.Errorf("%s %v", public, err)
	}
}

func TestKeysThatDoNotFitAreRefused(t *testing.T) {
	other := strings.NewReplacer("GU6S", "HU6S").Replace(examplePrivate)
	tests := []struct {
		name, private, public, zone string
		want                        []string // in the error
	}{
		{"empty", "", "", exampleZone, []string{"BIND's format", "dnssec-keygen -a ECDSAP256SHA256 -f KSK example.net."}},
		{"a certificate", "-----BEGIN EC PRIVATE KEY-----\n", "", exampleZone, []string{"BIND's format"}},
		{"another algorithm", strings.Replace(examplePrivate, "13 (ECDSAP256SHA256)", "8 (RSASHA256)", 1), "", exampleZone, []string{`algorithm "8"`, "only 13"}},
		{"a short key", strings.Replace(examplePrivate, "GU6S", "", 1), "", exampleZone, []string{"not 32 bytes"}},
		{"zero", strings.Replace(examplePrivate, "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=", strings.Repeat("A", 43)+"=", 1), "", exampleZone, []string{"no private key of P-256"}},
		{"too large", examplePrivate + strings.Repeat("\n", maxKeyFile), "", exampleZone, []string{"larger than"}},
		{"another zone", examplePrivate, exampleDNSKEY, "example.org", []string{"of the zone example.net., not example.org.", "of its own"}},
		{"another key", other, exampleDNSKEY, exampleZone, []string{"does not belong to the private key"}},
		{"a zone signing key", examplePrivate, strings.Replace(exampleDNSKEY, "257", "256", 1), exampleZone, []string{"flags 256"}},
		{"a public key of another algorithm", examplePrivate, strings.Replace(exampleDNSKEY, "3 13", "3 14", 1), exampleZone, []string{"algorithm 14"}},
		{"no public key", examplePrivate, "example.net. A 192.0.2.1", exampleZone, []string{"not a DNSKEY", "remove it"}},
		{"an unreadable public key", examplePrivate, "?", exampleZone, []string{"public key", "remove it"}},
		{"only a public key", "-", exampleDNSKEY, exampleZone, []string{"private key is missing", "new DS"}},
		{"no zone", examplePrivate, "", "", []string{"not the name of a zone"}},
		{"a bad zone", examplePrivate, "", "a..b", []string{"not the name of a zone"}},
		{"a wildcard", examplePrivate, "", "*.example.net", []string{"not the name of a zone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "k.private")
			if tt.private != "-" {
				write(t, dir, "k.private", tt.private)
			}
			if tt.public != "" {
				write(t, dir, "k.key", tt.public)
			}
			key, created, err := LoadOrCreate(file, tt.zone)
			if err == nil || key != nil || created {
				t.Fatalf("accepted, created %v", created)
			}
			for _, want := range append(tt.want, file) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "QUuJZteXT2z0O") {
				t.Error("tells the secret")
			}
		})
	}
}

func TestPlacesWhereNoKeyCanBe(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		dir:                              "not a regular file",
		filepath.Join(dir, "no", "file"): "make the directory",
	} {
		if _, _, err := LoadOrCreate(name, exampleZone); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	file := write(t, dir, "secret.private", examplePrivate)
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	if _, _, err := LoadOrCreate(file, exampleZone); err == nil || !strings.Contains(err.Error(), "read it") {
		t.Error(err)
	}
}

func TestKeysOfAndForBIND(t *testing.T) {
	keygen, err := exec.LookPath("dnssec-keygen")
	if err != nil {
		t.Skip("no dnssec-keygen")
	}
	dir := t.TempDir()
	out, err := exec.Command(keygen, "-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", exampleZone).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, created, err := LoadOrCreate(filepath.Join(dir, strings.TrimSpace(string(out))+".private"), exampleZone); err != nil || created {
		t.Errorf("of BIND: created %v, %v", created, err)
	}
	key, err := generate("example.net.")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	file := filepath.Join(dir, key.DNSKEY(0).Hdr.Name) // renamed below to what BIND expects
	if key, _, err = LoadOrCreate(file+".private", exampleZone); err != nil {
		t.Fatal(err)
	}
	ds, err := exec.Command("dnssec-dsfromkey", "-2", file+".key").CombinedOutput()
	if err != nil || !strings.Contains(string(ds), key.DS().Digest) {
		t.Errorf("for BIND: %s %v, want %s", ds, err, key.DS().Digest)
	}
}

func FuzzParsePrivate(f *testing.F) {
	f.Add(examplePrivate)
	f.Add("Private-key-format: v1.3\nAlgorithm: 13\nPrivateKey: AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		private, err := parsePrivate(text)
		if err != nil {
			return
		}
		key, err := newKey("example.net.", private)
		if err != nil {
			return
		}
		again, err := parsePrivate(key.privateText(testTime))
		if err != nil || !again.Equal(private) {
			t.Errorf("does not come back: %v", err)
		}
	})
}
