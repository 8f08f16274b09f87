package proxyproto

import (
	"net/netip"
	"strings"
	"testing"
)

func addrPort(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

func TestAppendV1(t *testing.T) {
	const long = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
	bare := strings.TrimSuffix(long[1:], "]:65535")
	for _, tt := range []struct{ name, src, dst, want string }{
		{"IPv4", "192.0.2.1:12345", "198.51.100.2:443", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n"},
		{"IPv6", "[2001:db8::1]:1", "[2001:db8::2]:0", "PROXY TCP6 2001:db8::1 2001:db8::2 1 0\r\n"},
		{"mapped is IPv4", "[::ffff:192.0.2.1]:1", "198.51.100.2:2", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n"},
		{"no zone", "[fe80::1%eth0]:1", "[fe80::2%eth0]:2", "PROXY TCP6 fe80::1 fe80::2 1 2\r\n"},
		{"IPv4 to IPv6", "192.0.2.1:1", "[2001:db8::2]:2", "PROXY UNKNOWN\r\n"},
		{"IPv6 to IPv4", "[2001:db8::2]:2", "192.0.2.1:1", "PROXY UNKNOWN\r\n"},
		{"no source", "", "192.0.2.1:1", "PROXY UNKNOWN\r\n"},
		{"no destination", "192.0.2.1:1", "", "PROXY UNKNOWN\r\n"},
		{"nothing", "", "", "PROXY UNKNOWN\r\n"},
		{"longest", long, long, "PROXY TCP6 " + bare + " " + bare + " 65535 65535\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(AppendV1([]byte("before"), addrPort(tt.src), addrPort(tt.dst)))
			if got != "before"+tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(tt.want) > maxV1 {
				t.Errorf("%d bytes, more than %d", len(tt.want), maxV1)
			}
		})
	}
}

func TestAppendV2(t *testing.T) {
	const v6a, v6b = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"
	const mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"
	for _, tt := range []struct {
		name, src, dst string
		udp            bool
		want           string
	}{
		{"IPv4", "192.0.2.1:12345", "198.51.100.2:443", false, v2(1, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb")},
		{"IPv4 over UDP", "192.0.2.1:12345", "198.51.100.2:443", true, v2(1, 0x12, "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb")},
		{"IPv6", "[2001:db8::1]:1", "[2001:db8::2]:2", false, v2(1, 0x21, v6a+v6b+"\x00\x01\x00\x02")},
		{"IPv6 over UDP", "[2001:db8::1]:1", "[2001:db8::2]:2", true, v2(1, 0x22, v6a+v6b+"\x00\x01\x00\x02")},
		{"no zone", "[2001:db8::1%eth0]:1", "[2001:db8::2]:2", false, v2(1, 0x21, v6a+v6b+"\x00\x01\x00\x02")},
		{"both mapped are IPv4", "[::ffff:192.0.2.1]:12345", "[::ffff:198.51.100.2]:443", false, v2(1, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb")},
		{"IPv4 to IPv6", "192.0.2.1:1", "[2001:db8::2]:2", false, v2(1, 0x21, mapped+v6b+"\x00\x01\x00\x02")},
		{"IPv6 to IPv4", "[2001:db8::1]:1", "192.0.2.1:2", false, v2(1, 0x21, v6a+mapped+"\x00\x01\x00\x02")},
		{"no source", "", "192.0.2.1:2", false, v2(1, 0, "")},
		{"no destination", "192.0.2.1:2", "", true, v2(1, 0, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(AppendV2([]byte("before"), addrPort(tt.src), addrPort(tt.dst), tt.udp))
			if got != "before"+tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What is written is read again: the same addresses, and nothing left over.
func FuzzAppend(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, uint16(1), []byte{198, 51, 100, 2}, uint16(443), false)
	f.Add([]byte{192, 0, 2, 1}, uint16(1), make([]byte, 16), uint16(443), true)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"), uint16(1), []byte("\xfe\x80abcdefghijklmn"), uint16(0), false)
	f.Add([]byte{}, uint16(1), []byte{198, 51, 100, 2}, uint16(443), false)
	f.Fuzz(func(t *testing.T, from []byte, fromPort uint16, to []byte, toPort uint16, udp bool) {
		s, _ := netip.AddrFromSlice(from)
		d, _ := netip.AddrFromSlice(to)
		src, dst := netip.AddrPortFrom(s.Unmap(), fromPort), netip.AddrPortFrom(d.Unmap(), toPort)
		known := src.IsValid() && dst.IsValid()

		one := AppendV1(nil, netip.AddrPortFrom(s, fromPort), netip.AddrPortFrom(d, toPort))
		checkRead(t, one, src, dst, known && src.Addr().BitLen() == dst.Addr().BitLen())

		two := AppendV2(nil, netip.AddrPortFrom(s, fromPort), netip.AddrPortFrom(d, toPort), udp)
		if known && udp {
			if _, err := Parse(two); err == nil {
				t.Fatalf("%q: a datagram's header was taken for a connection's", two)
			}
			two[13]-- // DGRAM to STREAM
		}
		checkRead(t, two, src, dst, known)
	})
}

func checkRead(t *testing.T, b []byte, src, dst netip.AddrPort, told bool) {
	t.Helper()
	want := Header{Len: len(b)}
	if told {
		want.Source, want.Destination = src, dst
	}
	if h, err := Parse(b); err != nil || h != want {
		t.Fatalf("%q: read as %v, %v; want %v", b, h, err, want)
	}
}

func TestAppendIntoRoomDoesNotAllocate(t *testing.T) {
	src, dst := addrPort("[2001:db8::1]:12345"), addrPort("192.0.2.1:443")
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		AppendV1(buf, src, src)
		AppendV2(buf, src, dst, false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
