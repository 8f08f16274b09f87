package dnslb

import (
	"encoding/binary"
	"fmt"
	"slices"

	"gatehouse/dnslb/geo"
)

// maxDivisions bounds how many divisions of the database, or of the table of
// latencies, a director has: each takes milliseconds at a reload and an eighth
// of a byte for each range, that is 77 KB with the built-in database. Profiles
// that tell the same places apart share one, nearly always. Those beyond, in the
// order of the configuration, go by places themselves: their scopes are as exact
// but longer than they must be.
const maxDivisions = 128

// partition divides the spots, which are the rows of the table of latencies if
// some profile of a tree goes by them and the places otherwise, into those
// that the tree cannot tell apart. That is a matter of the configuration alone:
// of which endpoints would answer a client of the spot in turn, whatever is
// known of them. So what is merged stays so when endpoints come and go, and a
// scope that was given stays right until the next reload; where an endpoint that
// is degraded makes two spots alike for a time, they are told apart still.
type partition struct {
	id     int
	rows   bool
	of     []uint32   // by spot: its class; classes count in the order in which they come first
	finder geo.Finder // of the widest prefixes within a class; nil until it is asked for
}

// at is the class of a row and its place.
func (x *partition) at(place, row int) uint32 {
	if x.rows {
		return x.of[row]
	}
	return x.of[place]
}

// part is one thing that a profile goes by.
type part struct {
	rows  bool
	class func(place, row int) uint32
}

// partitions are those of a director as it is compiled.
type partitions struct {
	director *Director
	made     map[string]*partition   // by what they were made of
	equal    map[uint64][]*partition // by a hash of the classes
	count    int
	divided  int
}

func newPartitions(d *Director) *partitions {
	return &partitions{director: d, made: map[string]*partition{}, equal: map[uint64][]*partition{}}
}

// of is the partition of a profile and those nested in it, which have theirs;
// nil if none goes by places or rows.
func (s *partitions) of(p *Profile) *partition {
	parts, key := p.parts()
	if len(parts) == 0 {
		return nil
	}
	if x := s.made[key]; x != nil {
		return x
	}
	x := &partition{rows: slices.ContainsFunc(parts, func(part part) bool { return part.rows })}
	n := 0
	if x.rows {
		n = s.director.latencies.Rows()
	} else {
		n = len(s.director.places.Places())
	}
	x.of = make([]uint32, n)
	for _, part := range parts {
		s.refine(x, part)
	}
	x = s.intern(x)
	s.made[key] = x
	return x
}

// refine splits the classes of a partition by those of a part.
func (s *partitions) refine(x *partition, by part) {
	known := map[[2]uint32]uint32{}
	for spot, class := range x.of {
		place := spot
		if x.rows {
			place = s.director.latencies.Place(spot)
		}
		pair := [2]uint32{class, by.class(place, spot)}
		n, ok := known[pair]
		if !ok {
			n = uint32(len(known))
			known[pair] = n
		}
		x.of[spot] = n
	}
}

// intern returns a partition that was there before, if one is equal.
func (s *partitions) intern(x *partition) *partition {
	h := uint64(0)
	for _, class := range x.of {
		h = mix(h ^ uint64(class))
	}
	for _, y := range s.equal[h] {
		if x.rows == y.rows && slices.Equal(x.of, y.of) {
			return y
		}
	}
	x.id = s.count
	s.count++
	s.equal[h] = append(s.equal[h], x)
	return x
}

// lay gives each profile what finds the spots of its tree, those first that
// have a name.
func (s *partitions) lay() {
	for _, named := range []bool{true, false} {
		for _, p := range s.director.Profiles {
			if x := p.tree.partition; x != nil && (p.conf.Zone != "") == named {
				p.tree.spots = s.finder(x)
			}
		}
	}
	for _, p := range s.director.Profiles { // they were needed for this
		p.tree.partition, p.tree.cuts = nil, nil
	}
}

func (s *partitions) finder(x *partition) geo.Finder {
	if x.finder != nil {
		return x.finder
	}
	var all interface {
		geo.Finder
		Divide(class []uint32) geo.Finder
	} = s.director.places
	if x.rows {
		all = s.director.latencies
	}
	x.finder = all
	if s.divided < maxDivisions {
		s.divided++
		x.finder = all.Divide(x.of)
	}
	return x.finder
}

// parts are what a profile goes by, and what those nested in it do; profiles
// with the same key have the same.
func (p *Profile) parts() (list []part, key string) {
	var b []byte
	var chains [][]int
	if p.places != nil {
		chains = p.chains()
		b = fmt.Appendf(b, "%p", p.places)
		for _, c := range chains {
			b = binary.AppendUvarint(b, uint64(len(c)))
			for _, i := range c {
				b = binary.AppendUvarint(b, uint64(i))
			}
		}
		list = append(list, p.byChain(chains))
	}
	if p.rows != nil {
		b = fmt.Appendf(b, "%p", p.rows)
		list = append(list, part{true, func(_, row int) uint32 { return p.rows.of[row] }})
	}
	for _, e := range p.Endpoints {
		if e.nested == nil || e.nested.tree.partition == nil {
			continue
		}
		below := e.nested.tree.partition
		if p.places == nil || len(e.conf.Subnets) > 0 { // reached from anywhere
			b = fmt.Appendf(b, " %d", below.id)
			list = append(list, part{below.rows, below.at})
			continue
		}
		b = fmt.Appendf(b, " %d at %d", below.id, e.index)
		list = append(list, p.behind(e, chains))
	}
	return list, string(b)
}

// chains are, by the class of a place, the endpoints that would answer in turn,
// each where it comes first: asked again it would say the same.
func (p *Profile) chains() [][]int {
	owner := p.mappedCodes()
	chains := make([][]int, len(p.places.codes))
	for class, codes := range p.places.codes {
		for _, code := range codes {
			if i := owner[code]; !slices.Contains(chains[class], i) {
				chains[class] = append(chains[class], i)
			}
		}
	}
	return chains
}

// byChain tells places apart whose chains differ.
func (p *Profile) byChain(chains [][]int) part {
	known := map[string]uint32{}
	number := make([]uint32, len(chains))
	for class, chain := range chains {
		name := fmt.Sprint(chain)
		n, ok := known[name]
		if !ok {
			n = uint32(len(known))
			known[name] = n
		}
		number[class] = n
	}
	return part{false, func(place, _ int) uint32 { return number[p.places.of[place]] }}
}

// behind tells apart what the profile does that is nested at an endpoint of a
// geographic one, where that is in the chain.
func (p *Profile) behind(e *Endpoint, chains [][]int) part {
	reached := make([]bool, len(chains))
	for class, chain := range chains {
		reached[class] = slices.Contains(chain, e.index)
	}
	below := e.nested.tree.partition
	return part{below.rows, func(place, row int) uint32 {
		if !reached[p.places.of[place]] {
			return 0
		}
		return below.at(place, row) + 1
	}}
}
