package geo

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"
)

// sealed appends the checksum of a compact database.
func sealed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.ChecksumIEEE(body))
}

// small is a compact database: 1.0.0.0/8 in DE, 2000::/64 but for its last
// half in FR.
func small() []byte {
	b := []byte(Magic + "\x04test\x02DEFR")
	b = append(b, 2)                                            // IPv4
	b = append(binary.AppendUvarint(b, 1<<24), 1)               // 1.0.0.0
	b = append(binary.AppendUvarint(b, 1<<24), 0)               // 2.0.0.0
	b = append(b, 2)                                            // IPv6
	b = append(binary.AppendUvarint(b, 0x2000<<49), 2)          // 2000::
	return append(binary.AppendUvarint(append(b, 1), 1<<63), 0) // 2000::8000:0:0:0
}

func TestDecodeReadsTheFormAsDescribed(t *testing.T) {
	d, err := Decode(sealed(small()))
	if err != nil {
		t.Fatal(err)
	}
	if d.Description() != "test" {
		t.Errorf("description %q", d.Description())
	}
	for addr, want := range map[string]string{
		"0.255.255.255": "", "1.0.0.0": "DE", "1.255.255.255": "DE", "2.0.0.0": "",
		"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "", "2000::": "FR", "2000::7fff:ffff:ffff:ffff": "FR", "2000::8000:0:0:0": "", "2000:0:0:1::": "",
	} {
		if got := d.Lookup(netip.MustParseAddr(addr)).Country; got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"another file", []byte("PK\x03\x04 this is no database")},
		{"a wrong checksum", append(small(), 1, 2, 3, 4)},
		{"too much", sealed(append(small(), 0))},
		{"no such country", sealed([]byte(Magic + "\x00\x01ZZ\x00\x00"))},
		{"too many countries", sealed([]byte(Magic + "\x00\xff\xff\xff\x0f"))},
		{"a country without number", sealed([]byte(Magic + "\x00\x01DE\x01\x00\x02\x00"))},
		{"more entries than bytes", sealed([]byte(Magic + "\x00\x01DE\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))},
		{"an entry twice", sealed([]byte(Magic + "\x00\x01DE\x02\x05\x01\x00\x00\x00"))},
		{"beyond IPv4", sealed([]byte(Magic + "\x00\x01DE\x01\x80\x80\x80\x80\x10\x01\x00"))},
		{"a description beyond the end", sealed([]byte(Magic + "\xff\xff\x03abc"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := Decode(tt.data); err == nil {
				t.Errorf("read as %q", d.Description())
			}
		})
	}
	whole := sealed(small())
	for n := range len(whole) {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are read as a database", n, len(whole))
		}
		if _, err := Decode(sealed(small()[:min(n, len(small())-1)])); err == nil {
			t.Errorf("the first %d bytes with a checksum are read as a database", n)
		}
	}
}

// FuzzDecode: whatever the bytes, there is an error or a database that answers
// with countries that exist.
func FuzzDecode(f *testing.F) {
	f.Add(small(), []byte{1, 2, 3, 4})
	f.Add([]byte(Magic+"\x00\x00\x00\x00"), []byte{})
	f.Add([]byte(Magic+"\x00\x01DE\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05\x01"), bytes.Repeat([]byte{0xff}, 16))
	f.Fuzz(func(t *testing.T, body, addr []byte) {
		d, err := Decode(sealed(body))
		if err != nil {
			return
		}
		a, ok := netip.AddrFromSlice(addr)
		if p := d.Lookup(a); p.Country != "" && (!ok || !Known(p.Country) || p.Continent == "") {
			t.Errorf("%s: %+v", a, p)
		}
	})
}
