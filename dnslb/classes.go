package dnslb

import (
	"encoding/binary"
	"maps"
	"slices"

	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
)

// classes divides the places of a database, or the rows of a table, into
// those that a profile treats alike. Profiles with the same codes or regions
// share one.
type classes struct {
	of []uint32 // by the number of the place or row
	// codes are those that hold a class of places, the most specific first.
	codes [][]string
	// order are the regions of a class of rows, the nearest first; those of
	// a group are equally near.
	order [][][]latency.Region
}

// placeClasses divides places by which of the codes hold them.
func (d *Director) placeClasses(mapped map[string]int) *classes {
	key := signature(slices.Sorted(maps.Keys(mapped)))
	if c := d.geoClasses[key]; c != nil {
		return c
	}
	c := &classes{}
	known := map[string]uint32{}
	for _, regions := range d.regionsOfPlaces() {
		var chain []string
		for _, code := range regions {
			if _, ok := mapped[code]; ok {
				chain = append(chain, code)
			}
		}
		name := signature(chain)
		n, ok := known[name]
		if !ok {
			n = uint32(len(c.codes))
			known[name] = n
			c.codes = append(c.codes, chain)
		}
		c.of = append(c.of, n)
	}
	d.geoClasses[key] = c
	return c
}

// regionsOfPlaces are the codes that hold each place, the smallest first. They
// are found once: there may be many sets of codes that are mapped.
func (d *Director) regionsOfPlaces() [][]string {
	if d.regions == nil {
		for _, place := range d.places.Places() {
			d.regions = append(d.regions, geo.RegionsOf(place))
		}
	}
	return d.regions
}

// latencyClasses divides rows by the order of the regions.
func (d *Director) latencyClasses(regions []latency.Region) *classes {
	sorted := slices.Sorted(slices.Values(regions))
	key := string(regionBytes(nil, sorted))
	if c := d.rowClasses[key]; c != nil {
		return c
	}
	c := &classes{}
	known := map[string]uint32{}
	var name []byte
	for row := range d.latencies.Rows() {
		order := d.latencies.Order(row, sorted)
		name = name[:0]
		for _, group := range order {
			name = append(regionBytes(name, group), 0xff, 0xff)
		}
		n, ok := known[string(name)]
		if !ok {
			n = uint32(len(c.order))
			known[string(name)] = n
			c.order = append(c.order, order)
		}
		c.of = append(c.of, n)
	}
	d.rowClasses[key] = c
	return c
}

func regionBytes(b []byte, regions []latency.Region) []byte {
	for _, r := range regions {
		b = binary.BigEndian.AppendUint16(b, uint16(r))
	}
	return b
}
