package proxyproto

import (
	"errors"
	"strings"
	"testing"
)

func v2(command, family byte, body string) string {
	return string(signature) + string([]byte{0x20 | command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

func TestParse(t *testing.T) {
	v4 := "\xc0\x00\x02\x01" + "\xc6\x33\x64\x02" + "\x30\x39" + "\x01\xbb"
	for _, tt := range []struct{ name, in, source, destination, err string }{
		{name: "v1 IPv4", in: "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", source: "192.0.2.1:12345", destination: "198.51.100.2:443"},
		{name: "v1 IPv6", in: "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", source: "[2001:db8::1]:1", destination: "[2001:db8::2]:2"},
		{name: "v1 unknown", in: "PROXY UNKNOWN\r\n"},
		{name: "v1 unknown with rest", in: "PROXY UNKNOWN ffff:: ffff:: 1 1\r\n"},
		{name: "v1 family mismatch", in: "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", err: "bad address"},
		{name: "v1 zone", in: "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", err: "bad address"},
		{name: "v1 port too large", in: "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", err: "bad port"},
		{name: "v1 port with sign", in: "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", err: "bad port"},
		{name: "v1 port with zero", in: "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", err: "bad port"},
		{name: "v1 two spaces", in: "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", err: "want 6 words"},
		{name: "v1 over 107 bytes", in: "PROXY TCP4 " + strings.Repeat("1", 120), err: "without an end"},
		{name: "v1 cut", in: "PROXY TCP4 192.0.2.1", err: "incomplete"},
		{name: "v2 IPv4", in: v2(1, 0x11, v4), source: "192.0.2.1:12345", destination: "198.51.100.2:443"},
		{name: "v2 with TLV", in: v2(1, 0x11, v4+"\x04\x00\x01x"), source: "192.0.2.1:12345", destination: "198.51.100.2:443"},
		{name: "v2 bad TLV", in: v2(1, 0x11, v4+"\x04\x00\x09x"), err: "bad TLV"},
		{name: "v2 local", in: v2(0, 0, "")},
		{name: "v2 short", in: v2(1, 0x11, v4[:10]), err: "too short"},
		{name: "v2 UDP", in: v2(1, 0x12, v4), err: "not a TCP"},
		{name: "v2 cut", in: v2(1, 0x11, v4)[:20], err: "incomplete"},
		{name: "v2 too large", in: string(signature) + "\x21\x11\xff\xff", err: "more than"},
		{name: "v3", in: string(signature) + "\x31\x11\x00\x00", err: "unknown version"},
		{name: "no header", in: "GET / HTTP/1.1\r\n", err: "no PROXY header"},
		{name: "empty", in: "", err: "incomplete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Parse([]byte(tt.in + ""))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || h.Len != len(tt.in) {
				t.Fatalf("len %d, error %v, want %d", h.Len, err, len(tt.in))
			}
			if tt.source != "" && (h.Source.String() != tt.source || h.Destination.String() != tt.destination) {
				t.Errorf("%v -> %v", h.Source, h.Destination)
			}
			if tt.source == "" && h.Source.IsValid() {
				t.Errorf("source %v, want none", h.Source)
			}
		})
	}
}

// A header is the same whatever comes behind it, and every beginning of it is
// incomplete.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n"))
	f.Add([]byte(v2(1, 0x21, strings.Repeat("a", 36))))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil {
			return
		}
		if h.Len <= 0 || h.Len > len(b) || h.Len > MaxHeader {
			t.Fatalf("length %d of %d", h.Len, len(b))
		}
		if more, err := Parse(append(b[:h.Len:h.Len], "GET / HTTP/1.1"...)); err != nil || more != h {
			t.Fatalf("with more behind it: %v, %v; alone %v", more, err, h)
		}
		for i := range h.Len {
			if _, err := Parse(b[:i]); !errors.Is(err, ErrIncomplete) {
				t.Fatalf("first %d bytes: %v", i, err)
			}
		}
	})
}
