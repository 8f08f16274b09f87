package tlscert

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issue says what certificate a test wants; zero values are usual ones.
type issue struct {
	names  []string
	rsa    bool
	serial int64
	from   time.Time
	to     time.Time
}

// pem issues a self-signed certificate and its key.
func (i issue) pem(t testing.TB) (cert, key []byte) {
	t.Helper()
	var signer crypto.Signer
	var err error
	if i.rsa {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	if i.from.IsZero() {
		i.from = time.Now().Add(-time.Hour)
	}
	if i.to.IsZero() {
		i.to = time.Now().Add(24 * time.Hour)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(i.serial + 1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: i.from, NotAfter: i.to, DNSNames: i.names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// source writes a pair to dir and returns where.
func (i issue) source(t testing.TB, dir, listener, name string) Source {
	t.Helper()
	cert, key := i.pem(t)
	src := Source{Listener: listener, CertFile: filepath.Join(dir, name+".crt"), KeyFile: filepath.Join(dir, name+".key")}
	write(t, src.CertFile, cert)
	write(t, src.KeyFile, key)
	return src
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// testLog is a logger and what it wrote.
type testLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *testLog) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func (l *testLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func mustLoad(t testing.TB, opts Options, sources ...Source) *Store {
	t.Helper()
	s, err := Load(sources, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hello is a ClientHello of a client with modern algorithms of the given kind.
func hello(serverName string, schemes ...tls.SignatureScheme) *tls.ClientHelloInfo {
	if len(schemes) == 0 {
		schemes = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}
	}
	return &tls.ClientHelloInfo{
		ServerName: serverName, SignatureSchemes: schemes,
		SupportedVersions: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256},
		SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256},
	}
}

func serialFor(t testing.TB, set *Set, h *tls.ClientHelloInfo) int64 {
	t.Helper()
	c, err := set.Certificate(h)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.Int64() - 1
}

func TestServerNameChoosesCertificate(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, Options{},
		issue{names: []string{"first.example"}, serial: 1}.source(t, dir, "web", "first"),
		issue{names: []string{"*.shop.example"}, serial: 2}.source(t, dir, "web", "wild"),
		issue{names: []string{"Pay.Shop.example", "other.example"}, serial: 3}.source(t, dir, "web", "exact"),
		issue{names: []string{"secret.example"}, serial: 4}.source(t, dir, "admin", "admin"),
	)
	tests := []struct {
		name string
		want int64
	}{
		{"first.example", 1},
		{"", 1},
		{"nobody.example", 1},
		{"a.shop.example", 2},
		{"A.SHOP.example", 2},
		{"a.b.shop.example", 1},
		{"shop.example", 1},
		{".shop.example", 2},
		{"pay.shop.example", 3},
		{"other.example", 3},
		{"secret.example", 1}, // another listener's
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := serialFor(t, s.Set("web"), hello(tt.name)); got != tt.want {
				t.Errorf("certificate %d, want %d", got, tt.want)
			}
		})
	}
	if got := serialFor(t, s.Set("admin"), hello("first.example")); got != 4 {
		t.Errorf("admin: certificate %d, want 4", got)
	}
	if s.Set("none") != nil {
		t.Error("a listener without certificates has a set")
	}
	if web := s.Set("web"); !web.Covers("x.shop.example") || web.Covers("secret.example") {
		t.Error("Covers disagrees with the certificates")
	}
}

func TestKeyTypeChoosesAmongTwins(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, Options{},
		issue{names: []string{"a.example", "b.example"}, serial: 1}.source(t, dir, "web", "ecdsa"),
		issue{names: []string{"b.example", "a.example"}, serial: 2, rsa: true}.source(t, dir, "web", "rsa"),
		issue{names: []string{"c.example"}, serial: 3, rsa: true}.source(t, dir, "web", "other"),
	)
	tests := []struct {
		name       string
		serverName string
		scheme     tls.SignatureScheme
		want       int64
	}{
		{"modern client", "a.example", tls.ECDSAWithP256AndSHA256, 1},
		{"client of RSA only", "a.example", tls.PSSWithSHA256, 2},
		{"client of RSA only, no server name", "", tls.PSSWithSHA256, 2},
		{"client of RSA only, unknown server name", "z.example", tls.PSSWithSHA256, 2},
		{"modern client, unknown server name", "z.example", tls.ECDSAWithP256AndSHA256, 1},
		{"name decides before key type", "c.example", tls.ECDSAWithP256AndSHA256, 3},
		{"none is supported", "a.example", tls.Ed25519, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := serialFor(t, s.Set("web"), hello(tt.serverName, tt.scheme)); got != tt.want {
				t.Errorf("certificate %d, want %d", got, tt.want)
			}
		})
	}
}

func TestDefaultIsNotAnotherSitesCertificate(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, Options{},
		issue{names: []string{"a.example"}, serial: 1}.source(t, dir, "web", "ecdsa"),
		issue{names: []string{"c.example"}, serial: 2, rsa: true}.source(t, dir, "web", "other"),
	)
	if got := serialFor(t, s.Set("web"), hello("", tls.PSSWithSHA256)); got != 1 {
		t.Errorf("certificate %d, want the first", got)
	}
}

func TestLoadReportsEveryError(t *testing.T) {
	dir := t.TempDir()
	good := issue{names: []string{"a.example"}}.source(t, dir, "good", "good")
	other := issue{names: []string{"b.example"}}.source(t, dir, "x", "other")
	write(t, filepath.Join(dir, "garbage.crt"), []byte("not PEM"))
	write(t, filepath.Join(dir, "huge.crt"), bytes.Repeat([]byte{'\n'}, maxPEM+1))
	write(t, filepath.Join(dir, "locked.key"), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	_, err := Load([]Source{
		good,
		{Listener: "mixed", CertFile: good.CertFile, KeyFile: other.KeyFile},
		{Listener: "missing", CertFile: filepath.Join(dir, "none.crt"), KeyFile: good.KeyFile},
		{Listener: "garbage", CertFile: filepath.Join(dir, "garbage.crt"), KeyFile: good.KeyFile},
		{Listener: "huge", CertFile: filepath.Join(dir, "huge.crt"), KeyFile: good.KeyFile},
		{Listener: "locked", CertFile: good.CertFile, KeyFile: filepath.Join(dir, "locked.key")},
		{Listener: "directory", CertFile: dir, KeyFile: good.KeyFile},
	}, Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`listener "mixed"`, "private key does not match", `listener "missing"`, "none.crt", `listener "garbage"`, "failed to find",
		`listener "huge"`, "larger than 1 MiB", `listener "locked"`, "encrypted", `listener "directory"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `listener "good"`) {
		t.Errorf("a good pair is reported:\n%v", err)
	}
}

func TestStatusWarns(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	open := issue{names: []string{"open.example"}}.source(t, dir, "open", "open")
	if err := os.Chmod(open.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	chained := issue{names: []string{"chain.example"}}.source(t, dir, "chain", "chain")
	leaf, _ := os.ReadFile(chained.CertFile)
	stranger, _ := issue{names: []string{"stranger.example"}}.pem(t)
	write(t, chained.CertFile, append(leaf, stranger...))
	s := mustLoad(t, Options{},
		issue{names: []string{"old.example"}, from: now.Add(-48 * time.Hour), to: now.Add(-time.Hour)}.source(t, dir, "old", "old"),
		issue{names: []string{"soon.example"}, from: now.Add(time.Hour)}.source(t, dir, "soon", "soon"),
		issue{}.source(t, dir, "nameless", "nameless"),
		issue{names: []string{"fine.example"}}.source(t, dir, "fine", "fine"),
		open, chained,
	)
	want := map[string]string{
		"old": "expired on", "soon": "not valid before", "nameless": "no subject alternative names", "fine": "",
		"open": "every user may read", "chain": "certificate 1 of the chain was not issued",
	}
	for _, st := range s.Status() {
		got := strings.Join(st.Warnings, "; ")
		if w := want[st.Listener]; w == "" && got != "" || !strings.Contains(got, w) {
			t.Errorf("%s: warnings %q, want %q", st.Listener, got, w)
		}
		delete(want, st.Listener)
		if st.KeyType != "ECDSA P-256" || st.NotAfter.IsZero() || st.Error != "" || st.Loaded.IsZero() {
			t.Errorf("%s: odd status %+v", st.Listener, st)
		}
	}
	if len(want) != 0 {
		t.Errorf("not in the status: %v", want)
	}
}

func TestRenewedPairIsServed(t *testing.T) {
	dir := t.TempDir()
	log := new(testLog)
	src := issue{names: []string{"a.example"}, serial: 1}.source(t, dir, "one", "a")
	twin := src
	twin.Listener = "two"
	s := mustLoad(t, Options{Logger: log.logger()}, src, twin)
	cert, key := issue{names: []string{"b.example"}, serial: 2}.pem(t)

	// The certificate is new, the key is not yet: the old pair stays, quietly.
	write(t, src.CertFile, cert)
	if again := s.check(time.Now()); !again {
		t.Error("a pair that does not match is not looked at again soon")
	}
	if got := serialFor(t, s.Set("one"), hello("a.example")); got != 1 {
		t.Errorf("half a pair: certificate %d is served, want 1", got)
	}
	if n := log.count("not renewed"); n != 0 {
		t.Errorf("the first look at a mismatch is logged:\n%s", log.buf.String())
	}

	write(t, src.KeyFile, key)
	s.check(time.Now())
	for _, l := range []string{"one", "two"} {
		if got := serialFor(t, s.Set(l), hello("b.example")); got != 2 {
			t.Errorf("%s: certificate %d, want 2", l, got)
		}
		if s.Set(l).Covers("a.example") {
			t.Errorf("%s still covers a name of the old certificate", l)
		}
	}
	if n := log.count("certificate renewed"); n != 1 {
		t.Errorf("renewal logged %d times, want once:\n%s", n, log.buf.String())
	}
	// A renewal with the same content is none.
	write(t, src.KeyFile, key)
	s.check(time.Now())
	if n := log.count("certificate renewed"); n != 1 {
		t.Errorf("unchanged content logged as a renewal")
	}
}

func TestBrokenPairKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	log := new(testLog)
	src := issue{names: []string{"a.example"}, serial: 1}.source(t, dir, "web", "a")
	s := mustLoad(t, Options{Logger: log.logger()}, src)
	write(t, src.CertFile, []byte("garbage"))
	for range 5 {
		s.check(time.Now())
	}
	if n := log.count("not renewed"); n != 1 {
		t.Errorf("one broken state logged %d times, want once:\n%s", n, log.buf.String())
	}
	if got := serialFor(t, s.Set("web"), hello("a.example")); got != 1 {
		t.Errorf("certificate %d, want 1", got)
	}
	if st := s.Status()[0]; !strings.Contains(st.Error, "failed to find") || st.Serial != "2" {
		t.Errorf("status %+v", st)
	}
	if err := os.Remove(src.CertFile); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.check(time.Now())
	}
	if n := log.count("not renewed"); n != 2 {
		t.Errorf("two broken states logged %d times:\n%s", n, log.buf.String())
	}

	// A reload meanwhile goes on with what is served.
	next := mustLoad(t, Options{Logger: log.logger(), Previous: s}, src)
	if got := serialFor(t, next.Set("web"), hello("a.example")); got != 1 {
		t.Errorf("after a reload: certificate %d, want 1", got)
	}
	if next.Status()[0].Error == "" {
		t.Error("after a reload the status shows no error")
	}
	if _, err := Load([]Source{src}, Options{}); err == nil {
		t.Error("a start without the file succeeds")
	}

	cert, key := issue{names: []string{"a.example"}, serial: 7}.pem(t)
	write(t, src.CertFile, cert)
	write(t, src.KeyFile, key)
	next.check(time.Now())
	if got := serialFor(t, next.Set("web"), hello("a.example")); got != 7 {
		t.Errorf("repaired: certificate %d, want 7", got)
	}
	if e := next.Status()[0].Error; e != "" {
		t.Errorf("repaired: error %q", e)
	}
}

func TestSymlinkSwapIsARenewal(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	issue{names: []string{"a.example"}, serial: 1}.source(t, filepath.Join(dir, "v1"), "web", "tls")
	issue{names: []string{"a.example"}, serial: 2}.source(t, filepath.Join(dir, "v2"), "web", "tls")
	link := filepath.Join(dir, "data")
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	s := mustLoad(t, Options{}, Source{Listener: "web", CertFile: filepath.Join(link, "tls.crt"), KeyFile: filepath.Join(link, "tls.key")})
	// As kubelet does with a mounted Secret.
	if err := os.Symlink("v2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	s.check(time.Now())
	if got := serialFor(t, s.Set("web"), hello("a.example")); got != 2 {
		t.Errorf("certificate %d, want 2", got)
	}
}

func TestUnchangedFilesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	src := issue{names: []string{"a.example"}}.source(t, dir, "web", "a")
	s := mustLoad(t, Options{}, src)
	// Long after the last write the stamp is trusted.
	s.check(time.Now().Add(time.Hour))
	loaded := s.pairs[files{cert: src.CertFile, key: src.KeyFile}]
	if !loaded.settled {
		t.Fatal("an old file is not settled")
	}
	before := loaded.good
	s.check(time.Now().Add(time.Hour))
	if loaded.good != before {
		t.Error("unchanged files were read again")
	}
}

func TestRunFollowsNotify(t *testing.T) {
	dir := t.TempDir()
	src := issue{names: []string{"a.example"}, serial: 1}.source(t, dir, "web", "a")
	s := mustLoad(t, Options{Interval: time.Hour, Logger: slog.New(slog.DiscardHandler)}, src)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	cert, key := issue{names: []string{"a.example"}, serial: 2}.pem(t)
	write(t, src.CertFile, cert)
	write(t, src.KeyFile, key)
	s.Notify()
	deadline := time.Now().Add(10 * time.Second)
	for serialFor(t, s.Set("web"), hello("a.example")) != 2 {
		if time.Now().After(deadline) {
			t.Fatal("Notify did not lead to a renewal")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunPolls(t *testing.T) {
	dir := t.TempDir()
	src := issue{names: []string{"a.example"}, serial: 1}.source(t, dir, "web", "a")
	s := mustLoad(t, Options{Interval: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}, src)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	cert, key := issue{names: []string{"a.example"}, serial: 2}.pem(t)
	write(t, src.CertFile, cert)
	write(t, src.KeyFile, key)
	deadline := time.Now().Add(10 * time.Second)
	for serialFor(t, s.Set("web"), hello("a.example")) != 2 {
		if time.Now().After(deadline) {
			t.Fatal("polling did not lead to a renewal")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
}

func TestChoiceDoesNotAllocate(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, Options{}, issue{names: []string{"*.a.example"}}.source(t, dir, "web", "a"))
	h := hello("www.a.example")
	if n := testing.AllocsPerRun(100, func() { s.Set("web").Certificate(h) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
