package config

import "testing"

func TestTLSName(t *testing.T) {
	for _, tt := range []struct{ server, host, target, want string }{
		{"", "", "app.internal", "app.internal"},
		{"", "", "192.0.2.1", "192.0.2.1"},
		{"", "", "[2001:db8::1]", "2001:db8::1"},
		{"", "shop.internal:444", "192.0.2.1", "shop.internal"},
		{"", "shop.internal", "192.0.2.1", "shop.internal"},
		{"", "[2001:db8::1]:444", "192.0.2.1", "2001:db8::1"},
		{"cert.internal", "shop.internal:444", "192.0.2.1", "cert.internal"},
		{"", "", "", ""},
	} {
		s := BackendSettings{HostName: tt.host, TLS: BackendTLS{ServerName: tt.server}}
		if got := s.TLSName(tt.target); got != tt.want {
			t.Errorf("TLSName(%q) with %+v is %q, want %q", tt.target, s.TLS, got, tt.want)
		}
	}
}
