// Package cidr looks addresses up in sets of prefixes: a radix tree per
// address family.
package cidr

import "net/netip"

// Table maps prefixes to values. The zero Table is empty. It is built once
// and then only read; reads may run in parallel.
type Table[V any] struct {
	v4, v6 *node[V]
	n      int
}

type node[V any] struct {
	prefix netip.Prefix
	values []V
	child  [2]*node[V]
}

// Len is the number of inserted values.
func (t *Table[V]) Len() int { return t.n }

// Insert adds a value under a prefix. A prefix may have several values.
// IPv4-mapped IPv6 prefixes count as IPv4.
func (t *Table[V]) Insert(p netip.Prefix, v V) {
	p = unmap(p).Masked()
	t.n++
	at := &t.v6
	if p.Addr().Is4() {
		at = &t.v4
	}
	for {
		n := *at
		if n == nil {
			*at = &node[V]{prefix: p, values: []V{v}}
			return
		}
		switch shared := commonBits(n.prefix, p); {
		case shared == n.prefix.Bits() && shared == p.Bits():
			n.values = append(n.values, v)
			return
		case shared == n.prefix.Bits():
			at = &n.child[bit(p.Addr(), shared)]
		default:
			*at = split(n, shared)
		}
	}
}

// split puts a node for the first shared bits above n.
func split[V any](n *node[V], shared int) *node[V] {
	up := &node[V]{prefix: netip.PrefixFrom(n.prefix.Addr(), shared).Masked()}
	up.child[bit(n.prefix.Addr(), shared)] = n
	return up
}

// Visit calls f with each value whose prefix contains the address, shortest
// prefix first, until f returns false.
func (t *Table[V]) Visit(a netip.Addr, f func(V) bool) {
	a = a.Unmap()
	n := t.v6
	if a.Is4() {
		n = t.v4
	}
	for n != nil && n.prefix.Contains(a) {
		for _, v := range n.values {
			if !f(v) {
				return
			}
		}
		if n.prefix.Bits() == a.BitLen() {
			return
		}
		n = n.child[bit(a, n.prefix.Bits())]
	}
}

// Contains reports whether any prefix contains the address.
func (t *Table[V]) Contains(a netip.Addr) bool {
	if t == nil || t.n == 0 {
		return false
	}
	found := false
	t.Visit(a.WithZone(""), func(V) bool { found = true; return false })
	return found
}

// Set makes a table that only answers Contains.
func Set(prefixes []netip.Prefix) *Table[struct{}] {
	t := &Table[struct{}]{}
	for _, p := range prefixes {
		t.Insert(p, struct{}{})
	}
	return t
}

func unmap(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// bit is the i-th bit of an address, the highest first.
func bit(a netip.Addr, i int) int {
	if a.Is4() {
		b := a.As4()
		return int(b[i/8]>>(7-i%8)) & 1
	}
	b := a.As16()
	return int(b[i/8]>>(7-i%8)) & 1
}

// commonBits is how many leading bits two prefixes of a family share.
func commonBits(p, q netip.Prefix) int {
	n := min(p.Bits(), q.Bits())
	for i := range n {
		if bit(p.Addr(), i) != bit(q.Addr(), i) {
			return i
		}
	}
	return n
}
