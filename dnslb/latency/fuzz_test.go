package latency

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// seeds have what a file may have, and what it may not.
var seeds = []string{
	"prefix,region,rttMs,samples\n192.0.2.0/24,eastus,12.5,100\n192.0.2.0/24,West Europe,90,3\n192.0.2.128/25,eastus,14,1\n",
	"# a comment\r\n\r\n 2001:db8::/32 , Germany West Central , 1e1 , 7 \r\n2001:db8:1::/48,germanynorth,3000,1000000000",
	"::ffff:10.0.0.0/104,eastus,0.1,1\n10.0.0.0/8,westus,1,1\n0.0.0.0/0,eastus,5,5\n::/0,eastus,5,5\n255.255.255.255/32,eastus,1,1",
	"1.0.0.0/8,eastus,1,1\n::ffff:1.0.0.0/104,East US,2,1",
	"::ffff:0:0/95,eastus,1,1", "fe80::%eth0/64,eastus,1,1", "1.0.0.0/33,eastus,1,1", "1.0.0.0/08,eastus,1,1", "01.0.0.0/8,eastus,1,1",
	"1.0.0.0/8,eastus,NaN,1", "1.0.0.0/8,eastus,-0,1", "1.0.0.0/8,eastus,0x1p3,1", "1.0.0.0/8,eastus,1,1,", "1.0.0.0/8,eastus,1,+1", ",,,", "\x00", "\xef\xbb\xbfprefix,",
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128,eastus,1,1\n128.0.0.0/1,eastus,1,1\n8000::/1,westus,1,1",
}

// FuzzMeasurements reads files of anybody: what is taken is within its bounds,
// in order and once, is the same when it is written and read again, and is
// found at its addresses.
func FuzzMeasurements(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, csv string) {
		all, err := readMeasurements(strings.NewReader(csv))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "latency table: ") || len(err.Error()) > 4*maxLine+200 {
				t.Errorf("an error of %d bytes: %.200v", len(err.Error()), err)
			}
			return
		}
		var again strings.Builder
		for i, m := range all {
			wantSound(t, m)
			if i > 0 && (comparePrefixes(all[i-1].prefix, m.prefix) > 0 || all[i-1].prefix == m.prefix && all[i-1].region >= m.region) {
				t.Errorf("%v comes after %v", m, all[i-1])
			}
			fmt.Fprintf(&again, "%s,%s,%v,%d\n", m.prefix, m.region, m.rtt, m.samples)
		}
		same, err := readMeasurements(strings.NewReader(again.String()))
		if err != nil || fmt.Sprint(same) != fmt.Sprint(all) {
			t.Errorf("read again: %v, %v; want %v", same, err, all)
		}
		wantFound(t, all)
	})
}

// wantSound checks the bounds of a measurement.
func wantSound(t *testing.T, m measurement) {
	t.Helper()
	if !m.prefix.IsValid() || m.prefix != m.prefix.Masked() || m.prefix.Addr().Is4In6() || m.prefix.Addr().Zone() != "" {
		t.Errorf("prefix %v", m.prefix)
	}
	if int(m.region) >= len(sites) || !(m.rtt > 0 && m.rtt <= maxRTT) || m.samples < 1 || m.samples > maxSamples {
		t.Errorf("measurement %+v", m)
	}
}

// wantFound checks that the first and the last address of each prefix lead to
// the smallest prefix that has them, which linear search finds as well.
func wantFound(t *testing.T, all []measurement) {
	t.Helper()
	nodes := nodesOf(all[:min(len(all), 200)])
	for _, v4 := range []bool{true, false} {
		s := spread(nodes, v4)
		s.lay()
		for _, n := range nodes {
			if n.prefix.Addr().Is4() != v4 {
				continue
			}
			first := keyOf(n.prefix.Addr())
			for _, k := range []key{first, first.end(n.prefix.Bits())} {
				if got, _ := s.find(k, nil); got != smallestOf(nodes, k.addr(v4)) {
					t.Errorf("%v leads to node %d, want %d", k.addr(v4), got, smallestOf(nodes, k.addr(v4)))
				}
			}
		}
	}
}

func smallestOf(nodes []node, a netip.Addr) int32 {
	best := int32(none)
	for i, n := range nodes {
		if n.prefix.Contains(a) && (best == none || n.prefix.Bits() > nodes[best].prefix.Bits()) {
			best = int32(i)
		}
	}
	return best
}
