package ratelimit

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesThatCountTogether(t *testing.T) {
	tests := []struct {
		name, a, b string
		bits       int
		same       bool
	}{
		{"one IPv4 address", "192.0.2.1", "192.0.2.1", 64, true},
		{"neighbours", "192.0.2.1", "192.0.2.2", 64, false},
		{"mapped into IPv6", "192.0.2.1", "::ffff:192.0.2.1", 64, true},
		{"neighbours mapped into IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", 64, false},
		{"one IPv6 network", "2001:db8::1", "2001:db8::ffff:0:0:1", 64, true},
		{"two IPv6 networks", "2001:db8::1", "2001:db8:0:1::1", 64, false},
		{"whole IPv6 addresses", "2001:db8::1", "2001:db8::2", 128, false},
		{"more bits than there are", "2001:db8::1", "2001:db8::2", 999, false},
		{"fewer bits than none", "2001:db8::1", "2001:db9::2", -1, true},
		{"a zone is ignored", "fe80::1%eth0", "fe80::1%eth1", 128, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := Address(netip.MustParseAddr(tt.a), tt.bits), Address(netip.MustParseAddr(tt.b), tt.bits)
			if (a == b) != tt.same {
				t.Errorf("keys %x and %x", a, b)
			}
		})
	}
	if Address(netip.Addr{}, 64) != (Key{}) {
		t.Error("no address has a key of its own")
	}
}

func TestTextsHaveKeysOfTheirOwn(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "DE", "DE\x00", "ED", strings.Repeat("a", 14), strings.Repeat("a", 15), strings.Repeat("a", 16), strings.Repeat("a", 17), strings.Repeat("a", 1000)}
	seen := map[Key]string{}
	for _, text := range texts {
		if other, ok := seen[Text(text)]; ok {
			t.Errorf("%q and %q have one key", text, other)
		}
		seen[Text(text)] = text
		if Text(text) != Text(strings.Clone(text)) {
			t.Errorf("%q has two keys", text)
		}
	}
}

func TestALongTextNeverHasTheKeyOfAShortOne(t *testing.T) {
	for n := range 500 { // the last byte of a short one's key is its length
		if k := Text(strings.Repeat("x", 16+n)); k[15] < 16 {
			t.Errorf("%d bytes: key %x", 16+n, k)
		}
	}
}

func TestKeysAllocateNothing(t *testing.T) {
	addr, text := netip.MustParseAddr("2001:db8::1"), "DE"
	if n := testing.AllocsPerRun(100, func() { Address(addr, 64); Text(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzText: different texts have different keys.
func FuzzText(f *testing.F) {
	f.Add("DE", "DE\x00")
	f.Add("0123456789abcde", "0123456789abcdef")
	f.Fuzz(func(t *testing.T, a, b string) {
		if (a == b) != (Text(a) == Text(b)) {
			t.Errorf("%q: %x, %q: %x", a, Text(a), b, Text(b))
		}
	})
}
