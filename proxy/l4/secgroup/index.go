package secgroup

import (
	"math/bits"
	"net/netip"
)

// The dimensions of a packet beside its protocol.
const (
	bySource = iota
	bySourcePort
	byDestination
	byDestinationPort
	dimensions
)

// index finds the first rule that matches.
type index struct {
	blocks    int      // words of a summary: one for 4 096 rules
	protocols [2]dense // the rules for TCP and for UDP
	open      []uint64 // summary of the rules that only ask for the protocol
	by        [dimensions]dimension
	exact     bool // whether what all sets have in common matches
}

// dimension is the rules that take any value, and tables of the others.
type dimension struct {
	any    dense
	v4, v6 table // ports are in v4
}

// dense is a set of ranks with its empty words, and its summary.
type dense struct{ words, summary []uint64 }

func newDense(blocks int) dense {
	return dense{make([]uint64, 64*blocks), make([]uint64, blocks)}
}

func (d dense) add(rank int) {
	d.words[rank/64] |= 1 << (rank % 64)
	d.summary[rank/4096] |= 1 << (rank / 64 % 64)
}

func trailing(x uint64) int { return bits.TrailingZeros64(x) }

func indexOf(rules []Rule, budget int) index {
	x := index{blocks: (len(rules) + 4095) / 4096}
	x.protocols = [2]dense{newDense(x.blocks), newDense(x.blocks)}
	open := newDense(x.blocks)
	for rank := range rules {
		c := &rules[rank].when
		for i := range x.protocols {
			if passesProtocol(c.protocol, i == 1) {
				x.protocols[i].add(rank)
			}
		}
		if c.source.any && c.sourcePorts.any && c.destination.any && c.destinationPorts.any {
			open.add(rank)
		}
	}
	x.open = open.summary
	address := func(f func(*condition) *addressTest) dimension { return addressDimension(rules, f, x.blocks, budget) }
	port := func(f func(*condition) *portTest) dimension { return portDimension(rules, f, x.blocks, budget) }
	x.by[bySource] = address(func(c *condition) *addressTest { return &c.source })
	x.by[byDestination] = address(func(c *condition) *addressTest { return &c.destination })
	x.by[bySourcePort] = port(func(c *condition) *portTest { return &c.sourcePorts })
	x.by[byDestinationPort] = port(func(c *condition) *portTest { return &c.destinationPorts })
	x.exact = true
	for i := range x.by {
		x.exact = x.exact && x.by[i].v4.exact && x.by[i].v6.exact
	}
	return x
}

func addressDimension(rules []Rule, of func(*condition) *addressTest, blocks, budget int) dimension {
	d := dimension{any: newDense(blocks)}
	wanted := map[*addresses][]uint32{}
	var order []*addresses
	for rank := range rules {
		test := of(&rules[rank].when)
		if test.any {
			d.any.add(rank)
		}
		for _, a := range test.of {
			if wanted[a] == nil {
				order = append(order, a)
			}
			wanted[a] = append(wanted[a], uint32(rank))
		}
	}
	var v4, v6 []interest
	for _, a := range order {
		v4, v6 = append(v4, interest{a.v4, wanted[a]}), append(v6, interest{a.v6, wanted[a]})
	}
	d.v4, d.v6 = tableOf(v4, top4, blocks, budget), tableOf(v6, top6, blocks, budget)
	return d
}

func portDimension(rules []Rule, of func(*condition) *portTest, blocks, budget int) dimension {
	d := dimension{any: newDense(blocks)}
	var list []interest
	for rank := range rules {
		test := of(&rules[rank].when)
		if test.any {
			d.any.add(rank)
		} else {
			list = append(list, interest{test.in, []uint32{uint32(rank)}})
		}
	}
	d.v4 = tableOf(list, topPort, blocks, budget)
	d.v6.exact = true
	return d
}

func (d *dimension) address(a netip.Addr, blocks int) row {
	switch {
	case a.Is4():
		return d.v4.row(d.v4.findNarrow(uint32(keyOf(a).lo)), blocks)
	case a.IsValid():
		return d.v6.row(d.v6.findWide(keyOf(a)), blocks)
	}
	return d.v4.row(0, blocks)
}

func (d *dimension) port(port uint16, blocks int) row {
	return d.v4.row(d.v4.findNarrow(uint32(port)), blocks)
}

// Decide says what becomes of a packet. It allocates nothing. A packet without
// a valid address is matched by rules for any address.
func (g *Group) Decide(p Packet) Decision {
	p = p.unmapped()
	r := g.first(&p)
	return Decision{r.Allow, r}
}

// first is the rule that decides on a packet.
func (g *Group) first(p *Packet) *Rule {
	x := &g.index
	rows := [dimensions]row{
		bySource:          x.by[bySource].address(p.Source.Addr(), x.blocks),
		bySourcePort:      x.by[bySourcePort].port(p.Source.Port(), x.blocks),
		byDestination:     x.by[byDestination].address(p.Destination.Addr(), x.blocks),
		byDestinationPort: x.by[byDestinationPort].port(p.Destination.Port(), x.blocks),
	}
	protocol := &x.protocols[0]
	if p.UDP {
		protocol = &x.protocols[1]
	}
	for block := range x.blocks {
		for left := x.candidates(&rows, block) & protocol.summary[block]; left != 0; left &= left - 1 {
			bit := trailing(left)
			word := 64*block + bit
			found := protocol.words[word]
			for d := range rows {
				found &= x.by[d].any.words[word] | rows[d].word(block, bit)
			}
			for ; found != 0; found &= found - 1 {
				r := &g.rules[64*word+trailing(found)]
				if x.exact || r.when.met(p) {
					return r
				}
			}
		}
	}
	return &g.rules[len(g.rules)-1] // not reached: it is about everything
}

// candidates are the words of a block in which a rule may match: every
// dimension has a rule there, and one has a rule that is not for any value,
// or there is a rule that is for any value of all.
func (x *index) candidates(rows *[dimensions]row, block int) uint64 {
	all, some := ^uint64(0), x.open[block]
	for d := range rows {
		s := rows[d].summary[block]
		all &= s | x.by[d].any.summary[block]
		some |= s
	}
	return all & some
}
