package latency

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"

	"gatehouse/dnslb/geo"
)

// Table has a row of round-trip times for each place, and one for each
// measured prefix and place in it. It is immutable and safe for concurrent
// use. It looks addresses up in the database that it was built with, which must
// not be closed as long as the table is in use.
type Table struct {
	db       *geo.Database
	places   []geo.Place
	priors   [][]float32 // by place and region
	v4, v6   spans       // the rows of all addresses, if anything was measured
	rows     []row       // behind those of the places
	nodes    []node
	measured []measurement
}

// row is a measured prefix as far as it is in a place.
type row struct{ place, node int32 }

// Build makes a table from a database and the operator's measurements, nil if
// there are none: lines of prefix,region,rttMs,samples, at most 64 MB and a
// million lines, with comments (#) and perhaps a header. An estimate is the
// mean of what was measured, as often as it was, and of what was expected, as
// if that had been measured 20 times. For each region the smallest prefix
// counts, and what is expected there is the estimate of the next larger one.
//
// With the table before, nil if there is none, a measurement that differs from
// its own by no more than 5 ms or 10 % is as it was there, so that answers do
// not change with every small change of the network. Errors have the number of
// the line.
//
// With measurements the table has the ranges of the whole database, 20 bytes for
// each: 12 MB, and a tenth of a second, for the built-in one.
func Build(geoDB *geo.Database, csv io.Reader, previous *Table) (*Table, error) {
	t := &Table{db: geoDB, places: geoDB.Places()}
	t.priors = priorsOf(t.places)
	if csv == nil {
		return t, nil
	}
	var err error
	if t.measured, err = readMeasurements(csv); err != nil {
		return nil, err
	}
	if previous != nil {
		hold(t.measured, previous.measured)
	}
	if t.nodes = nodesOf(t.measured); t.nodes == nil {
		return t, nil
	}
	numbers := map[row]int32{}
	number := func(place int, node int32) int32 {
		r := row{int32(place), node}
		if node == none {
			return r.place
		}
		n, ok := numbers[r]
		if !ok {
			n = int32(len(t.places) + len(t.rows))
			numbers[r] = n
			t.rows = append(t.rows, r)
		}
		return n
	}
	t.v4 = cross(spread(t.nodes, true), true, geoDB, number)
	t.v6 = cross(spread(t.nodes, false), false, geoDB, number)
	return t, nil
}

// hold gives measurements the round-trip times of the former ones that differ
// little. Both are sorted.
func hold(now, former []measurement) {
	for i, j := 0, 0; i < len(now) && j < len(former); {
		a, b := &now[i], former[j]
		c := comparePrefixes(a.prefix, b.prefix)
		if c == 0 {
			c = int(a.region - b.region)
		}
		switch {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			if math.Abs(a.rtt-b.rtt) <= max(5, b.rtt/10) {
				a.rtt = b.rtt
			}
			i++
			j++
		}
	}
}

// priorsOf returns what is expected of each place. Places at the same point
// share it.
func priorsOf(places []geo.Place) [][]float32 {
	known := map[point][]float32{}
	nowhere := unknown()
	priors := make([][]float32, len(places))
	for i, p := range places {
		at, ok := pointOf(p)
		if !ok {
			priors[i] = nowhere
			continue
		}
		if known[at] == nil {
			known[at] = prior(at, p.Country)
		}
		priors[i] = known[at]
	}
	return priors
}

func prior(at point, country string) []float32 {
	times := make([]float32, len(sites))
	for i := range times {
		times[i] = tenths(fitted().between(at, country, Region(i)))
	}
	return times
}

// unknown is the mean of all regions, for clients of which nothing is known.
func unknown() []float32 {
	times := make([]float32, len(sites))
	for to := range times {
		sum := 0.0
		for _, s := range sites {
			sum += fitted().between(s.point(), s.country, Region(to))
		}
		times[to] = tenths(sum / float64(len(sites)))
	}
	return times
}

// tenths rounds to a tenth of a millisecond: what machines compute differently
// is below it.
func tenths(v float64) float32 { return float32(math.Round(v*10) / 10) }

// Find returns the row of an address and the largest prefix around it in which
// every address has that row, with the properties of [geo.Database.Find].
func (t *Table) Find(addr netip.Addr) (row int, within netip.Prefix) {
	if len(t.nodes) > 0 {
		return t.find(addr, nil, nil)
	}
	row, within = t.db.Find(addr)
	if row >= len(t.places) { // the database was closed when the table was built
		row = 0
	}
	return row, within
}

// find is Find where something was measured, with the spans at which a class
// changes, nil for all.
func (t *Table) find(addr netip.Addr, v4, v6 *geo.Marks) (row int, within netip.Prefix) {
	if !addr.IsValid() {
		return 0, netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	s, changes := &t.v6, v6
	if addr.Is4() {
		s, changes = &t.v4, v4
	}
	value, length := s.find(keyOf(addr), changes)
	within, _ = addr.Prefix(length) // a length that addr can have
	return int(value), within
}

// Divide is that of [geo.Database.Divide], for rows.
func (t *Table) Divide(class []uint32) geo.Finder {
	switch {
	case len(t.nodes) == 0:
		return t.db.Divide(class) // rows are places
	case len(class) != t.Rows():
		return t
	}
	return &division{t, t.v4.changes(class), t.v6.changes(class)}
}

// division is a table and the spans at which the class changes.
type division struct {
	table  *Table
	v4, v6 *geo.Marks
}

func (x *division) Find(addr netip.Addr) (row int, within netip.Prefix) {
	return x.table.find(addr, x.v4, x.v6)
}

// Place is the number of the place of a row in the database.
func (t *Table) Place(row int) int {
	place, _ := t.row(row)
	return int(place)
}

// Rows is how many rows there are; they are numbered from 0.
func (t *Table) Rows() int { return len(t.places) + len(t.rows) }

// RTT is the estimate of a row for a region in milliseconds.
func (t *Table) RTT(row int, r Region) float32 {
	place, node := t.row(row)
	return tenths(t.estimate(place, node, r))
}

// row returns what a row is of; node is none for that of a place.
func (t *Table) row(row int) (place, node int32) {
	if row < len(t.places) {
		return int32(row), none
	}
	r := t.rows[row-len(t.places)]
	return r.place, r.node
}

// weight is how many samples what is expected counts for.
const weight = 20

// estimate goes from the smallest prefix to the larger ones: there are at most
// 128.
func (t *Table) estimate(place, node int32, r Region) float64 {
	if node == none {
		return float64(t.priors[place][r])
	}
	n := t.nodes[node]
	expected := t.estimate(place, n.parent, r)
	list := t.measured[n.first:n.last]
	i, ok := slices.BinarySearchFunc(list, r, func(m measurement, r Region) int { return int(m.region - r) })
	if !ok {
		return expected
	}
	samples := float64(list[i].samples)
	return (float64(samples*list[i].rtt) + float64(weight*expected)) / (samples + weight)
}

// Source tells people what a row is from: "country DE", "state US-CA",
// "measured 203.0.113.0/24, 120 samples", "unknown place".
func (t *Table) Source(row int) string {
	place, node := t.row(row)
	if node != none {
		n, samples := t.nodes[node], 0
		for _, m := range t.measured[n.first:n.last] {
			samples += m.samples
		}
		return fmt.Sprintf("measured %s, %d samples", n.prefix, samples)
	}
	p := t.places[place]
	if _, ok := pointOf(p); !ok {
		return "unknown place"
	}
	if state := p.Country + "-" + p.Subdivision; points()[state] != (point{}) {
		return "state " + state
	}
	return "country " + p.Country
}

// Order groups regions from the nearest of a row to the farthest. A group has
// the regions that are within 5 % or 2 ms of its first, in the order of their
// numbers if they are equal. A region that is given twice is there once.
func (t *Table) Order(row int, regions []Region) [][]Region {
	sorted := slices.Clone(regions)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	times := make([]float32, len(sites))
	for _, r := range sorted {
		times[r] = t.RTT(row, r)
	}
	slices.SortStableFunc(sorted, func(a, b Region) int {
		return int(math.Round(float64(times[a]-times[b]) * 10))
	})
	var groups [][]Region
	for i := 0; i < len(sorted); {
		first, j := times[sorted[i]], i+1
		for j < len(sorted) && times[sorted[j]] <= first+max(2, first/20) {
			j++
		}
		groups = append(groups, sorted[i:j:j])
		i = j
	}
	return groups
}
