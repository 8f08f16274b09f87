package main

import (
	"io"
	"log"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/dnslb/geo"
)

// scan is what the database must answer: the country of the last line that
// holds the address, as the tables mean it, unless it is special.
func scan(lines []span, addr netip.Addr) string {
	for _, list := range [][]span{special4, special6} {
		for _, s := range list {
			if holds(s, addr) {
				return ""
			}
		}
	}
	country := ""
	for _, s := range lines {
		if holds(s, addr) {
			country = s.country
		}
	}
	return country
}

func holds(s span, addr netip.Addr) bool {
	return s.first.Is4() == addr.Is4() && s.first.Compare(addr) <= 0 && addr.Compare(s.last) <= 0
}

func allLines(t *testing.T, dir string) (lines []span) {
	t.Helper()
	for _, name := range []string{"geo-whois-asn-country-ipv4.csv", "geo-whois-asn-country-ipv6.csv"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		list, err := readLines(name, f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, list...)
	}
	return lines
}

// near are the ends of ranges and their neighbours, and addresses anywhere.
func near(lines []span) (addrs []netip.Addr) {
	random := rand.New(rand.NewPCG(7, 8))
	for i, s := range lines {
		if len(lines) > 100 && i%4 != 0 {
			continue // each costs a scan of all lines
		}
		addrs = append(addrs, s.first, s.last, s.first.Prev(), s.last.Next())
		b := s.first.As16()
		for i := 2; i < 16; i++ {
			b[i] ^= byte(random.Uint32()) >> random.IntN(9)
		}
		addrs = append(addrs, netip.AddrFrom16(b).Unmap())
	}
	return addrs
}

// quiet keeps what a table has to say out of the output of the tests.
func quiet(t *testing.T) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

func TestTheDatabaseAnswersLikeALinearScanOfItsSource(t *testing.T) {
	quiet(t)
	for name, dir := range map[string]string{"sample": filepath.Join("..", "testdata"), "overlaps and special addresses": "testdata"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.bin")
			if err := run(dir, out); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			d, err := geo.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			lines := allLines(t, dir)
			for _, addr := range near(lines) {
				if !addr.IsValid() {
					continue
				}
				if got, want := d.Lookup(addr).Country, scan(lines, addr); got != want {
					t.Errorf("%s: %q, want %q", addr, got, want)
				}
			}
		})
	}
}

func TestTheOutputDependsOnTheInputOnly(t *testing.T) {
	quiet(t)
	a, err := compile("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if b, _ := compile("testdata"); string(a) != string(b) {
			t.Fatal("the same input gives another output")
		}
	}
}

func TestTheDescriptionIsThatOfThePackage(t *testing.T) {
	quiet(t)
	data, err := compile("testdata")
	if err != nil {
		t.Fatal(err)
	}
	d, err := geo.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := "@ip-location-db/geo-whois-asn-country 1.2.3"; d.Description() != want {
		t.Errorf("%q, want %q", d.Description(), want)
	}
}

func TestBadTablesAreRefused(t *testing.T) {
	tests := []struct {
		name, table, want string
	}{
		{"no address", "1.0.0.0,1.0.0.x,DE\n", "unexpected character"},
		{"backwards", "1.0.1.0,1.0.0.0,DE\n", "not a range"},
		{"two families", "1.0.0.0,2001::,DE\n", "not a range"},
		{"two fields", "1.0.0.0,1.0.0.255\n", "wrong number of fields"},
		{"descending", "1.0.1.0,1.0.1.255,DE\n1.0.0.0,1.0.0.255,FR\n", "v4.csv:2: not in ascending order"},
		{"a hole in a larger range", "1.0.0.0,1.0.0.255,DE\n1.0.0.16,1.0.0.31,FR\n1.0.0.64,1.0.0.255,DE\n", "who has the addresses from 1.0.0.32 on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "v4.csv")
			if err := os.WriteFile(file, []byte(tt.table), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readRanges(file, special4); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	quiet(t)
	for _, missing := range []string{"package.json", "geo-whois-asn-country-ipv4.csv", "geo-whois-asn-country-ipv6.csv"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, missing)); err != nil {
			t.Fatal(err)
		}
		if err := run(dir, filepath.Join(dir, "out")); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

func TestSpecialRangesAscend(t *testing.T) {
	for _, list := range [][]span{special4, special6} {
		for i, s := range list {
			if s.last.Less(s.first) || i > 0 && !list[i-1].last.Less(s.first) {
				t.Errorf("%s-%s is out of order", s.first, s.last)
			}
		}
	}
}
