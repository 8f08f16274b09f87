package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/config"
)

// handshake connects a client to a server on loopback and reads one byte, so
// that the client has received its tickets.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(10 * time.Second))
		conn := tls.Server(raw, server)
		if _, err := conn.Write([]byte{1}); err == nil {
			conn.Read(make([]byte, 1)) // until the client closes
		}
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	conn := tls.Client(raw, client)
	_, err = io.ReadFull(conn, make([]byte, 1))
	state := conn.ConnectionState()
	conn.Close()
	<-served
	return state, err
}

// clientFor trusts anything: these tests are about tickets.
func clientFor(serverName string, version uint16) *tls.Config {
	return &tls.Config{
		ServerName: serverName, InsecureSkipVerify: true,
		MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
}

func modern() config.TLSPolicy { return config.TLSPolicy{MinVersion: tls.VersionTLS12} }

func resumes(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	state, err := handshake(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	return state.DidResume
}

func forEachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) { test(t, v) })
	}
}

func TestTicketSurvivesReloadAndRenewal(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		dir := t.TempDir()
		tickets := NewTickets(0)
		src := issue{names: []string{"a.example"}}.source(t, dir, "web", "a")
		s := mustLoad(t, Options{}, src)
		before := ServerConfig(s.Set("web"), modern(), nil, tickets)
		client := clientFor("a.example", version)
		if resumes(t, before, client) {
			t.Fatal("the first handshake resumed")
		}
		cert, key := issue{names: []string{"a.example"}, serial: 9}.pem(t)
		write(t, src.CertFile, cert)
		write(t, src.KeyFile, key)
		s.check(time.Now())
		if !resumes(t, before, client) {
			t.Error("no resumption after a renewal")
		}
		after := ServerConfig(mustLoad(t, Options{Previous: s}, src).Set("web"), modern(), nil, tickets)
		if !resumes(t, after, client) {
			t.Error("no resumption after a reload")
		}
		runtime.KeepAlive(before)
	})
}

func TestTicketOfAnotherListenerIsNotAccepted(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		dir := t.TempDir()
		tickets := NewTickets(0)
		s := mustLoad(t, Options{},
			issue{names: []string{"a.example"}}.source(t, dir, "a", "a"),
			issue{names: []string{"a.example"}}.source(t, dir, "b", "b"),
		)
		a, b := ServerConfig(s.Set("a"), modern(), nil, tickets), ServerConfig(s.Set("b"), modern(), nil, tickets)
		// As an address does that several listeners share.
		current := a
		front := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }}
		client := clientFor("a.example", version)
		resumes(t, front, client)
		if !resumes(t, front, client) {
			t.Fatal("no resumption with the listener itself")
		}
		current = b
		if resumes(t, front, client) {
			t.Error("listener b accepted a ticket of listener a")
		}
		strict := modern()
		strict.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		current = ServerConfig(s.Set("b"), strict, nil, tickets)
		if resumes(t, front, client) {
			t.Error("a ticket survived a change of the listener's policy")
		}
	})
}

func TestTicketKeysRotate(t *testing.T) {
	dir := t.TempDir()
	s := mustLoad(t, Options{}, issue{names: []string{"a.example"}}.source(t, dir, "web", "a"))
	tickets := NewTickets(24 * time.Hour)
	server := ServerConfig(s.Set("web"), modern(), nil, tickets)
	ring := tickets.ring("web", modern(), "")
	var ticket []byte
	server.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) (b []byte, err error) {
		ticket, err = ring.wrap(cs, ss)
		return ticket, err
	}
	resumes(t, server, clientFor("a.example", tls.VersionTLS13))
	opens := func() bool {
		state, err := ring.unwrap(ticket, tls.ConnectionState{})
		return err == nil && state != nil
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tickets.Run(ctx) }()
		synctest.Wait() // the ticker runs
		for day := range 5 {
			if got, want := opens(), day < keptTicketKeys; got != want {
				t.Errorf("after %d rotations the ticket is accepted: %v, want %v", day, got, want)
			}
			time.Sleep(24 * time.Hour)
			synctest.Wait()
		}
		if n := len(ring.keys); n != keptTicketKeys {
			t.Errorf("%d keys are kept, want %d", n, keptTicketKeys)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	runtime.KeepAlive(server)
}

func TestUnusedTicketKeysAreForgotten(t *testing.T) {
	tickets := NewTickets(0)
	for i := range 500 {
		tickets.ring(fmt.Sprint("listener", i), modern(), "")
		if i%100 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	tickets.rotate()
	if n := len(tickets.rings); n != 0 {
		t.Errorf("%d rings of listeners that are gone", n)
	}
}

func TestServerConfigFollowsThePolicy(t *testing.T) {
	dir := t.TempDir()
	set := mustLoad(t, Options{}, issue{names: []string{"a.example"}}.source(t, dir, "web", "a")).Set("web")
	suite := tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	tests := []struct {
		name   string
		policy config.TLSPolicy
		client *tls.Config
		fails  bool
	}{
		{"older than allowed", config.TLSPolicy{MinVersion: tls.VersionTLS13}, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"newer than allowed", config.TLSPolicy{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"suite of the policy", config.TLSPolicy{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"suite not of the policy", config.TLSPolicy{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}},
			&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := tt.client.Clone()
			client.InsecureSkipVerify = true
			client.NextProtos = []string{"h2", "http/1.1"}
			state, err := handshake(t, ServerConfig(set, tt.policy, nil, NewTickets(0)), client)
			if (err != nil) != tt.fails {
				t.Fatalf("error %v, want one: %v", err, tt.fails)
			}
			if err == nil && (state.CipherSuite != suite || state.NegotiatedProtocol != "http/1.1") {
				t.Errorf("%s and %q negotiated", tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol)
			}
		})
	}
}

func TestSelfSignedIsAcceptedByClients(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := SelfSigned([]string{"demo.localhost"}, []net.IP{netip.MustParseAddr("127.0.0.1").AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/c.pem", cert)
	write(t, dir+"/k.pem", key)
	s := mustLoad(t, Options{}, Source{Listener: "web", CertFile: dir + "/c.pem", KeyFile: dir + "/k.pem"})
	if st := s.Status()[0]; len(st.Warnings) != 0 || len(st.Names) != 2 || time.Until(st.NotAfter) < 89*24*time.Hour {
		t.Errorf("status %+v", st)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	for _, name := range []string{"demo.localhost", "127.0.0.1"} {
		client := &tls.Config{RootCAs: roots, ServerName: name}
		if _, err := handshake(t, ServerConfig(s.Set("web"), modern(), nil, NewTickets(0)), client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEverySuiteHasAnOpenSSLName(t *testing.T) {
	seen := map[string]uint16{}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		name := OpenSSLName(s.ID)
		if other, twice := seen[name]; name == "" || twice {
			t.Errorf("%s is %q, as is %#x", s.Name, name, other)
		}
		seen[name] = s.ID
	}
	if got := OpenSSLName(0xFFFF); got != "" {
		t.Errorf("unknown suite is %q", got)
	}
}
