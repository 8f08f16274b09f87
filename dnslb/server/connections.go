package server

import (
	"net/netip"
	"sync"

	"gatehouse/config"
)

// Connections bounds the connections of all Servers that share it, and of
// those who serve others in the same way, and knows which of them wait for
// their client, the longest first.
//
// A connection waits from its last answer until the next query has arrived
// whole: one that sends a query byte by byte is no more in use than a silent
// one.
type Connections struct {
	mu              sync.Mutex // guards what follows, and the list's part of each place
	max, perClient  int
	open            int
	clients         map[netip.Prefix]int
	longest, newest *place // the ends of the list of those that wait
}

// place is a connection's part of Connections.
type place struct {
	owner          evictable
	client         netip.Prefix
	older, younger *place
	waiting        bool // in the list
	gone           bool // no longer counted
}

// evictable is a connection that can be ended from outside.
type evictable interface{ evict() }

// NewConnections makes the bounds TCPConnections and TCPPerClient.
func NewConnections(l config.DNSLimits) *Connections {
	c := &Connections{clients: make(map[netip.Prefix]int)}
	c.SetLimits(l)
	return c
}

// SetLimits changes the bounds, for connections to come.
func (c *Connections) SetLimits(l config.DNSLimits) {
	l = Defaults(l)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.perClient = l.TCPConnections, l.TCPPerClient
}

// clientOf is what counts as one client: an IPv4 address, or the network that
// one IPv6 subscriber has to himself.
func clientOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // only an invalid address has none, and those are one client
	return p
}

// admit counts a new connection, which waits from now on. If there are too
// many, the one that has waited longest has to go. It returns false if none
// does, or if this client has enough.
func (c *Connections) admit(n *place) bool {
	c.mu.Lock()
	if c.clients[n.client] >= c.perClient {
		c.mu.Unlock()
		return false
	}
	var victim *place
	if c.open >= c.max {
		if victim = c.longest; victim == nil {
			c.mu.Unlock()
			return false
		}
		c.remove(victim)
	}
	c.open++
	c.clients[n.client]++
	c.enlist(n)
	c.mu.Unlock()
	if victim != nil {
		victim.owner.evict()
	}
	return true
}

// wait notes that a connection has nothing to do, since now unless it waits
// already. It returns false if the connection has been evicted.
func (c *Connections) wait(n *place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !n.gone && !n.waiting {
		c.enlist(n)
	}
	return !n.gone
}

// begin notes that a connection has a query to answer. It returns false if the
// connection has been evicted.
func (c *Connections) begin(n *place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delist(n)
	return !n.gone
}

// leave ends the counting of a connection.
func (c *Connections) leave(n *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !n.gone {
		c.remove(n)
	}
}

// remove takes a connection out of the count. The caller holds mu.
func (c *Connections) remove(n *place) {
	c.delist(n)
	n.gone = true
	c.open--
	if c.clients[n.client]--; c.clients[n.client] == 0 {
		delete(c.clients, n.client)
	}
}

// enlist puts a connection at the end of those that wait. The caller holds mu.
func (c *Connections) enlist(n *place) {
	n.waiting, n.older, n.younger = true, c.newest, nil
	if c.newest == nil {
		c.longest = n
	} else {
		c.newest.younger = n
	}
	c.newest = n
}

// delist takes a connection out of those that wait. The caller holds mu.
func (c *Connections) delist(n *place) {
	if !n.waiting {
		return
	}
	if n.older == nil {
		c.longest = n.younger
	} else {
		n.older.younger = n.younger
	}
	if n.younger == nil {
		c.newest = n.older
	} else {
		n.younger.older = n.older
	}
	n.waiting, n.older, n.younger = false, nil, nil
}
