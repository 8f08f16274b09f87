package bot

import (
	"net/netip"
	"time"
)

// cache remembers a bounded number of addresses. When it is full, one that
// nobody asked for since the hand last passed makes room (the clock
// algorithm): crawlers that come again stay, addresses made up to fill it go.
type cache struct {
	size  int
	slots []entry
	at    map[netip.Addr]int32
	hand  int
}

// entry is one address.
type entry struct {
	finding
	addr    netip.Addr
	learned time.Time // when finding was
	due     time.Time // from when on it is looked up again
	queued  bool      // it is being looked up
	used    bool      // it was asked for since the hand last passed
}

// find gives the entry of an address, nil if there is none. It is good until
// the next add.
func (c *cache) find(a netip.Addr) *entry {
	if i, ok := c.at[a]; ok {
		return &c.slots[i]
	}
	return nil
}

// add makes an entry for an address that has none.
func (c *cache) add(a netip.Addr) *entry {
	i := len(c.slots)
	if i < c.size {
		c.slots = append(c.slots, entry{})
	} else {
		i = c.free()
	}
	if c.at == nil {
		c.at = map[netip.Addr]int32{}
	}
	c.at[a] = int32(i)
	c.slots[i] = entry{addr: a}
	return &c.slots[i]
}

// free finds a slot whose address can be forgotten.
func (c *cache) free() int {
	for c.slots[c.hand].used {
		c.slots[c.hand].used = false
		c.step()
	}
	i := c.hand
	delete(c.at, c.slots[i].addr)
	c.step()
	return i
}

func (c *cache) step() {
	c.hand = (c.hand + 1) % len(c.slots)
}
