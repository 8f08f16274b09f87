package hosts

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func writeConf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNameServersOfTheFile(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		bad        bool
	}{
		{"usual", "# local\nsearch example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions ndots:5\n", []string{"192.0.2.53:53", "[2001:db8::53]:53"}, false},
		{"link local", "nameserver fe80::1%eth0\n", []string{"[fe80::1%eth0]:53"}, false},
		{"no more than three", strings.Repeat("nameserver 192.0.2.53\n", 10), slices.Repeat([]string{"192.0.2.53:53"}, 3), false},
		{"names are none", "nameserver ns.example\nnameserver\n", nil, false},
		{"empty", "", nil, false},
		{"large", strings.Repeat("# filler\n", 10000), nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := nameServers(writeConf(t, tt.text))
			if !slices.Equal(got, tt.want) || (err != nil) != tt.bad {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if got, err := nameServers(filepath.Join(t.TempDir(), "none")); got != nil || err != nil {
		t.Errorf("missing file: %q, %v", got, err)
	}
}

func TestSystemAsksWhoeverIsThere(t *testing.T) {
	nothing := func(context.Context, string, string) ([]netip.Addr, error) { return nil, errFilesOnly }
	finds := func(addr string) netLookup {
		return func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if network != "ip" || host != "a.example." {
				return nil, errors.New("asked for " + network + " of " + host)
			}
			return parse(addr), nil
		}
	}
	conf := writeConf(t, "nameserver 192.0.2.53\n")
	tests := []struct {
		name   string
		file   string
		static netLookup
		want   string
		ttl    time.Duration
	}{
		{"the hosts file first", conf, finds("192.0.2.1"), "192.0.2.1", 30 * time.Second},
		{"then name servers", conf, nothing, "192.0.2.2", time.Minute},
		{"else package net", conf + ".none", nothing, "192.0.2.3", 30 * time.Second},
		{"no server in the file", writeConf(t, ""), nothing, "192.0.2.3", 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &system{file: tt.file, static: tt.static, fallback: finds("192.0.2.3")}
			s.ask = func(_ context.Context, servers []string, host string) ([]netip.Addr, time.Duration, error) {
				if !slices.Equal(servers, []string{"192.0.2.53:53"}) || host != "a.example" {
					t.Errorf("asked %q for %q", servers, host)
				}
				return parse("192.0.2.2"), time.Minute, nil
			}
			addrs, ttl, err := s.lookup(t.Context(), "a.example")
			if !slices.Equal(addrs, parse(tt.want)) || ttl != tt.ttl || err != nil {
				t.Errorf("%v for %v, %v; want %v for %v", addrs, ttl, err, tt.want, tt.ttl)
			}
		})
	}
	s := &system{file: t.TempDir(), static: nothing}
	if _, _, err := s.lookup(t.Context(), "a.example"); err == nil {
		t.Error("a file that cannot be read is taken for one that is missing")
	}
}

func TestHostsFileIsReadWithoutNetwork(t *testing.T) {
	text, err := os.ReadFile("/etc/hosts")
	if err != nil || !strings.Contains(string(text), "localhost") {
		t.Skip("no localhost in /etc/hosts")
	}
	addrs, err := lookupStatic(t.Context(), "ip", absolute("localhost"))
	if err != nil || !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap().IsLoopback() }) {
		t.Errorf("localhost: %v, %v", addrs, err)
	}
	addrs, _, err = SystemLookup()(t.Context(), "localhost")
	if err != nil || len(addrs) == 0 {
		t.Errorf("localhost by SystemLookup: %v, %v", addrs, err)
	}
	start := time.Now() // a name server that does not answer is given 5 s
	if addrs, err := lookupStatic(t.Context(), "ip", absolute("nowhere.invalid")); err == nil || time.Since(start) >= 5*time.Second {
		t.Errorf("a name that is in no file: %v, %v after %v", addrs, err, time.Since(start))
	}
}
