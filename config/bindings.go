package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// binding is some ports of an address that something is to be bound to.
type binding struct {
	udp         bool
	wide        bool // every port that nobody else binds
	addr        netip.Addr
	first, last int
	ports       int    // how many of them need a socket
	path, what  string // for messages
}

func (b binding) String() string {
	protocol := "tcp"
	if b.udp {
		protocol = "udp"
	}
	ports := fmt.Sprint(b.first)
	if b.last != b.first {
		ports = fmt.Sprintf("%d-%d", b.first, b.last)
	}
	if b.wide {
		ports = "every port"
	}
	return fmt.Sprintf("%s/%s %s", protocol, b.addr, ports)
}

// maxSockets is how many descriptors Linux lets a process have at most
// (fs.nr_open), unless it was told otherwise.
const maxSockets = 1 << 20

// bindings finds out which of many bindings collide, in little more time than
// it takes to sort them.
type bindings struct {
	*report
	all      []binding
	sockets  int
	reported map[[2]string]bool // pairs of paths
}

func (bs *bindings) add(b binding) {
	bs.sockets += b.ports
	if bs.sockets <= maxSockets {
		bs.all = append(bs.all, b)
	}
}

// bindingKey is what can collide: bindings of two keys do not, unless one has
// an unspecified address.
type bindingKey struct {
	udp, wide bool
	addr      netip.Addr
}

// check reports each binding that collides with one before it; those of all
// addresses come last.
func (bs *bindings) check() {
	if bs.sockets > maxSockets {
		bs.errorf("", "rules and frontends together bind %d ports of addresses; at most %d are possible", bs.sockets, maxSockets)
		return
	}
	byKey := map[bindingKey][]int{}
	var keys []bindingKey
	for i, b := range bs.all {
		k := bindingKey{b.udp, b.wide, b.addr}
		if byKey[k] == nil {
			keys = append(keys, k)
		}
		byKey[k] = append(byKey[k], i)
	}
	for _, k := range keys {
		byKey[k] = bs.apart(byKey[k])
	}
	for _, k := range keys {
		for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if k.addr != ip && overlap(k.addr, ip) {
				all := bindingKey{k.udp, k.wide, ip}
				byKey[all] = bs.beside(byKey[k], byKey[all])
			}
		}
	}
}

// apart reports those of one key that overlap, and returns the others by
// port. Of two that overlap, the later one of the file is wrong.
func (bs *bindings) apart(list []int) (kept []int) {
	slices.SortFunc(list, func(i, j int) int { return cmp.Or(cmp.Compare(bs.all[i].first, bs.all[j].first), cmp.Compare(i, j)) })
	for _, i := range list {
		last := len(kept) - 1
		switch {
		case last < 0 || bs.all[kept[last]].last < bs.all[i].first:
			kept = append(kept, i)
		case kept[last] < i:
			bs.collide(i, kept[last])
		default:
			bs.collide(kept[last], i)
			kept[last] = i
		}
	}
	return kept
}

// beside reports which bindings of all addresses overlap with those of one,
// and returns the others. Both are apart.
func (bs *bindings) beside(one, all []int) []int {
	return slices.DeleteFunc(slices.Clone(all), func(i int) bool {
		at, _ := slices.BinarySearchFunc(one, bs.all[i].first, func(j, port int) int { return cmp.Compare(bs.all[j].last, port) })
		if at == len(one) || bs.all[one[at]].first > bs.all[i].last {
			return false
		}
		bs.collide(i, one[at])
		return true
	})
}

// collide reports that two collide, once: they may on many addresses. What
// one collides with itself in is wrong in its frontend, and reported there.
func (bs *bindings) collide(wrong, with int) {
	b, other := bs.all[wrong], bs.all[with]
	pair := [2]string{b.path, other.path}
	if bs.full() || b.path == other.path || bs.reported[pair] {
		return
	}
	if bs.reported == nil {
		bs.reported = map[[2]string]bool{}
	}
	bs.reported[pair] = true
	bs.errorf(b.path, "%s is what %s has already (%s); use another port or address", b, other.what, other)
}
