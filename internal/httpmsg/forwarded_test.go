package httpmsg

import (
	"net/netip"
	"strings"
	"testing"
)

// fields makes Fields of "Name: value" lines.
func fields(lines ...string) *Fields {
	wire := []byte(strings.Join(lines, "\r\n") + "\r\n")
	f := new(Fields)
	f.Reset(wire)
	at := int32(0)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		n := int32(len(name))
		f.Parsed(Span{at, n}, Span{at + n + 2, int32(len(value))}, Span{at, int32(len(line)) + 2}, IDOf(name))
		at += int32(len(line)) + 2
	}
	return f
}

func TestClientIsTheFirstUntrustedHop(t *testing.T) {
	const peer = "10.0.0.1"
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"no field", nil, peer},
		{"one address", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1"},
		{"spoofed left of the real one", []string{"X-Forwarded-For: 1.1.1.1, 192.0.2.1"}, "192.0.2.1"},
		{"through trusted hops", []string{"X-Forwarded-For: 1.1.1.1,192.0.2.1 ,10.2.2.2,\t10.3.3.3"}, "192.0.2.1"},
		{"over lines", []string{"X-Forwarded-For: 1.1.1.1, 192.0.2.1", "Host: a", "x-forwarded-for: 10.2.2.2"}, "192.0.2.1"},
		{"only trusted hops", []string{"X-Forwarded-For: 10.9.9.9, 10.2.2.2"}, "10.9.9.9"},
		{"port", []string{"X-Forwarded-For: 192.0.2.1:5000"}, "192.0.2.1"},
		{"IPv6", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", []string{"X-Forwarded-For: [2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with port", []string{"X-Forwarded-For: [2001:db8::1]:443"}, "2001:db8::1"},
		{"IPv4 in IPv6", []string{"X-Forwarded-For: 192.0.2.1, ::ffff:10.1.1.1"}, "192.0.2.1"},
		{"empty elements", []string{"X-Forwarded-For: 192.0.2.1,, ,"}, "192.0.2.1"},
		{"empty value", []string{"X-Forwarded-For: "}, peer},
		{"garbage left of the client", []string{"X-Forwarded-For: <script>, 192.0.2.1"}, "192.0.2.1"},
		{"garbage", []string{"X-Forwarded-For: 192.0.2.1, unknown"}, peer},
		{"garbage behind a trusted hop", []string{"X-Forwarded-For: 192.0.2.1, _x, 10.2.2.2"}, peer},
		{"bad port", []string{"X-Forwarded-For: 192.0.2.1:x"}, peer},
		{"long port", []string{"X-Forwarded-For: 192.0.2.1:123456"}, peer},
		{"no port", []string{"X-Forwarded-For: 192.0.2.1:"}, peer},
		{"open bracket", []string{"X-Forwarded-For: [2001:db8::1"}, peer},
		{"behind bracket", []string{"X-Forwarded-For: [2001:db8::1]x"}, peer},
		{"IPv4 in brackets", []string{"X-Forwarded-For: [192.0.2.1]"}, peer},
		{"zone", []string{"X-Forwarded-For: fe80::1%eth0"}, peer},
		{"32 hops", []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(", 10.2.2.2", 31)}, "192.0.2.1"},
		{"33 hops", []string{"X-Forwarded-For: 192.0.2.1" + strings.Repeat(", 10.2.2.2", 32)}, peer},
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8").Contains
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ClientFromForwarded(fields(tt.lines...), netip.MustParseAddr(peer), trusted)
			if got != netip.MustParseAddr(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNothingIsBelievedFromAStranger(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.7")
	got := ClientFromForwarded(fields("X-Forwarded-For: 1.1.1.1"), peer, func(a netip.Addr) bool { return a != peer })
	if got != peer {
		t.Errorf("got %v", got)
	}
}

func TestDeletedForwardedLinesAreIgnored(t *testing.T) {
	f := fields("X-Forwarded-For: 1.1.1.1")
	f.Delete(XForwardedFor)
	peer := netip.MustParseAddr("10.0.0.1")
	if got := ClientFromForwarded(f, peer, func(netip.Addr) bool { return true }); got != peer {
		t.Errorf("got %v", got)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{"1.2.3.4", "256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.5", "", ":", "::", ":::", "::1", "1::", "1:2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1::2::3", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
		"12345::", "g::", "1:", ":1", "1:2", "fe80::1%eth0", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4::5:6:7:8"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := ParseAddr(b)
		want, err := netip.ParseAddr(string(b))
		if want.Zone() != "" {
			want, err = netip.Addr{}, errPathByte
		}
		if ok != (err == nil) || ok && got != want {
			t.Fatalf("%q: got %v %v, netip has %v %v", b, got, ok, want, err)
		}
	})
}

func TestCookiesAreFound(t *testing.T) {
	f := fields("Cookie: a=1; bb=2;c=;d", "Host: x", `cookie: bb=3; q="x y"; e=f=g`)
	tests := []struct {
		name, want string
		ok         bool
	}{
		{"a", "1", true}, {"bb", "2", true}, {"b", "", false}, {"c", "", true}, {"d", "", false},
		{"q", `"x y"`, true}, {"e", "f=g", true}, {"A", "", false}, {"x", "", false}, {"aa", "", false},
	}
	for _, tt := range tests {
		got, ok := CookieValue(f, tt.name)
		if string(got) != tt.want || ok != tt.ok {
			t.Errorf("%s: got %q %v, want %q %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	f.Delete(Cookie)
	if got, ok := CookieValue(f, "a"); ok {
		t.Errorf("found %q in a deleted field", got)
	}
}

func TestUnsafeNamesAreDropped(t *testing.T) {
	f := fields("Host: a", "X_Forwarded_Proto: https", "X-Ok-1: b", "X.Y: c", "Content_Length: 5", "a$: d", "Sec-CH-UA: e", "_: f")
	DropUnsafeNames(f)
	if got, want := string(f.AppendLines(nil)), "Host: a\r\nX-Ok-1: b\r\nSec-CH-UA: e\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInternalFieldsAreDropped(t *testing.T) {
	f := fields("PROXY: evil", "X-AppGW-Trace-Id: 1", "x-appgw-anything: 1", "X-Accel-Redirect: /x", "X-Envoy-Original-Path: /",
		"X-Sendfile: /etc/passwd", "X-Sendfile-Type: X-Accel-Redirect", "X-Rewrite-URL: /admin", "Client-Cert: :a:", "CLIENT-CERT-CHAIN: :a:",
		"x-client-cert: a", "X-Client-Cert-Verification: SUCCESS", "X-ARR-ClientCert: a", "X-Client-Certain: a", "Client-Certificate: b", "X-Appgwish: a", "X-Forwarded-For: b", "Proxy-Status: c", "Y-Accel-: d")
	DropInternal(f)
	if got, want := string(f.AppendLines(nil)), "X-Client-Certain: a\r\nClient-Certificate: b\r\nX-Appgwish: a\r\nX-Forwarded-For: b\r\nProxy-Status: c\r\nY-Accel-: d\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListsAreWalked(t *testing.T) {
	var got []string
	for elem, rest, ok := NextElement([]byte(" ,a, b\t,,c d ,")); ok; elem, rest, ok = NextElement(rest) {
		got = append(got, string(elem))
	}
	if s := strings.Join(got, "|"); s != "a|b|c d" {
		t.Errorf("got %q", s)
	}
	f := fields("Connection: Upgrade", "connection: x, CLOSE")
	if !f.HasToken(Connection, "close") || !f.HasToken(Connection, "upgrade") || f.HasToken(Connection, "clos") {
		t.Error("wrong tokens")
	}
	if HasToken([]byte("closed, x-close"), "close") {
		t.Error("found a part of a token")
	}
}

func TestPoliciesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := fields("Host: a", "X-Forwarded-For: 2001:db8::1, 192.0.2.1, [2001:db8::2]:80", "Cookie: a=b; c=d", "X_Y: z", "Connection: close")
	peer := netip.MustParseAddr("10.0.0.1")
	trusted := func(netip.Addr) bool { return true }
	n := testing.AllocsPerRun(100, func() {
		ClientFromForwarded(f, peer, trusted)
		CookieValue(f, "c")
		f.HasToken(Connection, "close")
		DropUnsafeNames(f)
		DropInternal(f)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
