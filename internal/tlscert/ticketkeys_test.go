package tlscert

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/config"
)

func keyLine(b byte, n int) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, n)) + "\n"
}

// keysOf writes a file and reads it.
func keysOf(t *testing.T, text string) (*TicketKeys, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tickets")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadTicketKeys(file)
}

func mustKeys(t *testing.T, text string) *TicketKeys {
	t.Helper()
	k, err := keysOf(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Two instances are two loads of a file: each resumes what the other agreed.
func TestInstancesResumeEachOthersSessions(t *testing.T) {
	src, _ := sourceOf(t, "web", "shop.test")
	server := func(text string, policy config.TLSPolicy, clients *ClientAuth) *tls.Config {
		return ServerConfig(mustLoad(t, Options{}, src).Set("web"), policy, clients, mustKeys(t, text))
	}
	older := keyLine('a', 48)
	newer := keyLine('b', 80) + "\n" + older
	strict := config.TLSPolicy{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	tests := []struct {
		name          string
		first, second *tls.Config
		want          bool
	}{
		{"the same file", server(older, modern(), nil), server(older, modern(), nil), true},
		{"rotated in between", server(older, modern(), nil), server(newer, modern(), nil), true},
		{"another file", server(older, modern(), nil), server(keyLine('c', 48), modern(), nil), false},
		{"what was removed", server(newer, modern(), nil), server(older, modern(), nil), false},
		{"another policy", server(older, modern(), nil), server(older, strict, nil), false},
		{"more is asked of clients", server(older, modern(), nil), server(older, modern(), &ClientAuth{mode: config.ClientAuthPassthrough, digest: "x"}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forEachVersion(t, func(t *testing.T, version uint16) {
				client := clientFor("shop.test", version)
				if resumes(t, tt.first, client) {
					t.Fatal("the first handshake resumed")
				}
				if got := resumes(t, tt.second, client); got != tt.want {
					t.Errorf("resumed: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestTicketKeyFiles(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"binary", strings.Repeat("\x00\xff", 24), ""},
		{"lines", keyLine('a', 48) + keyLine('b', 80), ""},
		{"empty", "\n", "has no key"},
		{"too short", keyLine('a', 47), ":1: is not a key"},
		{"no base64", keyLine('a', 48) + "!\n", ":2: is not a key"},
		{"too many", strings.Repeat(keyLine('a', 48), 17), "has 17 keys; at most 16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keysOf(t, tt.text)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// No policy switches the hybrid key exchange off that crypto/tls prefers.
func TestKeysAreAgreedOnPostQuantum(t *testing.T) {
	src, _ := sourceOf(t, "web", "shop.test")
	set := mustLoad(t, Options{}, src).Set("web")
	policies := map[string]config.TLSPolicy{"own": modern(), "1.3": {MinVersion: tls.VersionTLS13}}
	for _, name := range []string{"AppGwSslPolicy20220101", "AppGwSslPolicy20220101S"} {
		policies[name] = namedPolicy(t, name)
	}
	for name, policy := range policies {
		state, err := handshake(t, ServerConfig(set, policy, nil, NewTickets(0)), &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("%s: agreed by %v, want X25519MLKEM768", name, state.CurveID)
		}
	}
}

// namedPolicy is what config makes of Azure's name.
func namedPolicy(t *testing.T, name string) config.TLSPolicy {
	t.Helper()
	g, _, err := config.ParseGateway("appgw.yaml", []byte(`listeners: [{name: web, address: 443, protocol: https, tls: {policy: `+name+`, certificates: [{certFile: c, keyFile: k}]}}]`))
	if err != nil {
		t.Fatal(err)
	}
	return g.Listeners[0].TLS.Policy
}

// sourceOf makes a certificate for a listener.
func sourceOf(t *testing.T, listener, host string) (Source, string) {
	t.Helper()
	dir := t.TempDir()
	return issue{names: []string{host}}.source(t, dir, listener, "tls"), dir
}
