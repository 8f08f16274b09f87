package dnslb

import (
	"fmt"
	"net/netip"
	"testing"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
)

// orders has a row for each of many orders of nine regions: that of the row is in
// the last three bytes of an address.
type orders struct{}

func (orders) Find(a netip.Addr) (int, netip.Prefix) {
	b := a.As4()
	return (int(b[1])<<16 | int(b[2])<<8 | int(b[3])) % (orders{}).Rows(), netip.PrefixFrom(a, 32)
}

func (orders) Rows() int                          { return 66_000 }
func (orders) Place(int) int                      { return 0 }
func (o orders) Divide(class []uint32) geo.Finder { return o }

// Order has its digits to the bases 9, 8 and so on as which region is next.
func (orders) Order(row int, regions []latency.Region) (groups [][]latency.Region) {
	left := append([]latency.Region(nil), regions...)
	for len(left) > 0 {
		i := row % len(left)
		row /= len(left)
		groups = append(groups, []latency.Region{left[i]})
		left = append(left[:i], left[i+1:]...)
	}
	return groups
}

// With many measured networks and many regions nearly each has its own order.
func TestMoreOrdersThanSixteenBits(t *testing.T) {
	var lines []string
	for i, r := range latency.Regions()[:9] {
		lines = append(lines, fmt.Sprintf("%s 192.0.2.%d at=%s", r.Name(), i+1, r.Name()))
	}
	conf := profileOf(t, "www", config.RoutePerformance, lines...)
	d, err := Compile(&config.TrafficManager{Profiles: []config.Profile{conf}}, nil, orders{})
	if err != nil {
		t.Fatal(err)
	}
	s := d.Snapshot(make([]Known, len(d.Endpoints)))
	for row := uint32(0); row < 66_000; row += 11 {
		want := orders{}.Order(int(row), latency.Regions()[:9])[0][0].Name()
		if got := ask(s, d.Profiles[0], A, addr(10<<24|row), newRand()); got != want {
			t.Fatalf("row %d: %s, want %s", row, got, want)
		}
	}
}
