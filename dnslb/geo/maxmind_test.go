package geo

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADatabaseOfCities(t *testing.T) {
	tests := []struct {
		name, addr string
		want       Place
	}{
		{"a country", "81.1.1.1", Place{"DE", "EU", ""}},
		{"a network within a network", "81.2.69.142", Place{"GB", "EU", "ENG"}},
		{"its first address", "81.2.69.0", Place{"GB", "EU", "ENG"}},
		{"before it", "81.2.68.255", Place{"DE", "EU", ""}},
		{"after it", "81.2.70.0", Place{"DE", "EU", ""}},
		{"a small network", "216.160.83.63", Place{"US", "NA", "WA"}},
		{"after the small network", "216.160.83.64", Place{}},
		{"private, and the operator says where", "10.1.1.1", Place{"CH", "EU", "ZH"}},
		{"private, and nobody says where", "192.168.1.1", Place{}},
		{"IPv4-mapped", "::ffff:81.2.69.142", Place{"GB", "EU", "ENG"}},
		{"6to4 is not resolved", "2002:5102:458e::1", Place{}},
		{"Teredo is not resolved", "2001:0:5102:458e::1", Place{}},
		{"IPv4 below ::/96 is not resolved", "::81.2.69.142", Place{}},
		{"IPv6", "2a02:dfff::1", Place{"SE", "EU", ""}},
		{"one IPv6 address", "2a02:d000:1::", Place{"NO", "EU", "03"}},
		{"the one after it", "2a02:d000:1::1", Place{"SE", "EU", ""}},
		{"the last of a long prefix", "2a02:d000:2::fff:ffff", Place{"FI", "EU", "18"}},
		{"after a long prefix", "2a02:d000:2::1000:0", Place{"SE", "EU", ""}},
		{"half of a prefix", "2001:db8:7fff::", Place{"FR", "EU", "75"}},
		{"the other half", "2001:db8:8000::", Place{}},
		{"nothing", "2a03::", Place{}},
	}
	for _, bits := range []uint64{24, 28, 32} {
		d := decodeTest(t, cities(bits).file())
		if !d.HasSubdivisions() || d.Description() != "Test-City of 2027-01-15" {
			t.Errorf("subdivisions %v, description %q", d.HasSubdivisions(), d.Description())
		}
		for _, tt := range tests {
			t.Run(fmt.Sprint(tt.name, " ", bits), func(t *testing.T) {
				if got := d.Lookup(netip.MustParseAddr(tt.addr)); got != tt.want {
					t.Errorf("%s: %+v, want %+v", tt.addr, got, tt.want)
				}
			})
		}
	}
}

func TestShapesOfRecords(t *testing.T) {
	tests := []struct {
		name   string
		record map[string]any
		want   Place
	}{
		{"MaxMind", city("GB", "ENG"), Place{"GB", "EU", "ENG"}},
		{"flat", map[string]any{"country_code": "JP"}, Place{"JP", "AS", ""}},
		{"flat, with names", map[string]any{"country_code": "JP", "country": "Japan", "continent": "Asia", "continent_code": "AS"}, Place{"JP", "AS", ""}},
		{"codes as names", map[string]any{"country": "BR", "continent": "SA"}, Place{"BR", "SA", ""}},
		{"a continent only", map[string]any{"continent": map[string]any{"code": "AF"}}, Place{"", "AF", ""}},
		{"a flat continent only", map[string]any{"continent_code": "AF"}, Place{"", "AF", ""}},
		{"no such country", city("XY", "1"), Place{}},
		{"other things", map[string]any{"country": []any{"DE"}, "country_code": uint64(49), "continent": uint64(1)}, Place{}},
		{"other things within", map[string]any{"country": map[string]any{"iso_code": map[string]any{"en": "DE"}}}, Place{}},
		{"no subdivision in an array", map[string]any{"country": map[string]any{"iso_code": "US"}, "subdivisions": []any{}}, Place{"US", "NA", ""}},
		{"subdivisions in no array", map[string]any{"country": map[string]any{"iso_code": "US"}, "subdivisions": "CA"}, Place{"US", "NA", ""}},
		{"empty", map[string]any{}, Place{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMMDB(4, 24)
			m.add("1.0.0.0/8", tt.record)
			m.add("9.0.0.0/8", city("DE", ""))
			d := decodeTest(t, m.file())
			if got := d.Lookup(netip.MustParseAddr("1.2.3.4")); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if got := d.Lookup(netip.MustParseAddr("9.2.3.4")).Country; got != "DE" {
				t.Errorf("the other network has %q", got)
			}
			if got := d.Lookup(netip.MustParseAddr("2001::1")); got != (Place{}) {
				t.Errorf("a database of IPv4 knows an IPv6 address: %+v", got)
			}
		})
	}
}

func TestANetworkThatTakesInIPv4(t *testing.T) {
	m := newMMDB(6, 24)
	m.add("::/3", city("DE", ""))
	d := decodeTest(t, m.file())
	for addr, want := range map[string]string{"1.2.3.4": "DE", "255.255.255.255": "DE", "::5": "DE", "1fff::": "DE", "2000::": ""} {
		if got := d.Lookup(netip.MustParseAddr(addr)).Country; got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if got := d.Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address is in %+v", got)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	asn := newMMDB(6, 24)
	asn.add("1.0.0.0/8", map[string]any{"autonomous_system_number": uint64(3320)})
	whole := cities(28).file()
	tests := []struct {
		name, path string
		want       string // of the error
	}{
		{"a database", file("good.mmdb", whole), ""},
		{"no file", filepath.Join(dir, "none"), "no such file"},
		{"a directory", dir, "not a regular file"},
		{"an empty file", file("empty", nil), "invalid MaxMind DB file"},
		{"another file", file("text", []byte("hello")), "invalid MaxMind DB file"},
		{"no countries", file("asn.mmdb", asn.file()), "no network has a country"},
		{"half a file", file("half.mmdb", whole[len(whole)/2:]), "geographic database"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Open(tt.path)
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path)):
				t.Errorf("error %v, want %q with the path", err, tt.want)
			case err == nil && d.Lookup(netip.MustParseAddr("81.2.69.142")).Subdivision != "ENG":
				t.Error("the place is not found")
			}
		})
	}
}

func TestAClosedDatabaseKnowsNothing(t *testing.T) {
	d := decodeTest(t, cities(24).file())
	d.Close()
	d.Close()
	if got := d.Lookup(netip.MustParseAddr("81.2.69.142")); got != (Place{}) {
		t.Errorf("%+v", got)
	}
	if d.HasSubdivisions() {
		t.Error("still has subdivisions")
	}
}

func TestClosingWaitsForNobodyAndNobodyIsHurt(t *testing.T) {
	d := decodeTest(t, cities(24).file())
	addr, want := netip.MustParseAddr("81.2.69.142"), Place{"GB", "EU", "ENG"}
	started, done := make(chan bool), make(chan Place)
	go func() {
		close(started)
		for {
			if got := d.Lookup(addr); got != want {
				done <- got
				return
			}
		}
	}()
	<-started
	d.Close()
	if got := <-done; got != (Place{}) {
		t.Errorf("a lookup during the closing found %+v", got)
	}
}

// A tree whose nodes all have the next one on both sides has 2^128 networks.
func TestATreeThatNeverEndsIsRefused(t *testing.T) {
	for name, last := range map[string]int{"no data": emptyRecord, "data": dataRecord} {
		t.Run(name, func(t *testing.T) {
			m := newMMDB(6, 24)
			m.add("::/128", city("DE", "")) // for its data
			m.nodes = nil
			for i := range 128 {
				m.nodes = append(m.nodes, [2]int{i + 1, i + 1})
			}
			m.nodes[127] = [2]int{last, last}
			if _, err := decodeMaxMind(m.file()); err == nil || !strings.Contains(err.Error(), "too many networks") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// FuzzMaxMind: whatever the bytes, there is an error or a database that
// answers with countries that exist.
func FuzzMaxMind(f *testing.F) {
	whole := cities(28).file()
	f.Add(whole)
	for _, n := range []int{0, 1, 7, len(whole) / 2, len(whole) - 200, len(whole) - 1} {
		f.Add(whole[:n])
		damaged := bytes.Clone(whole)
		for i := range min(8, len(whole)-n) {
			damaged[n+i] ^= 0xff
		}
		f.Add(damaged)
	}
	addr := netip.MustParseAddr("81.2.69.142")
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decodeMaxMind(data)
		if err != nil {
			return
		}
		for _, a := range []netip.Addr{addr, netip.IPv6Unspecified(), netip.IPv6LinkLocalAllNodes()} {
			if p := d.Lookup(a); p.Country != "" && (!Known(p.Country) || p.Continent != continent(p.Country)) {
				t.Errorf("%s: %+v", a, p)
			}
		}
	})
}
