package relay

import (
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

const (
	// sweepShare is in how many ticks all flows are looked at.
	sweepShare = 5
	// looks is how often in its idle timeout a flow without traffic is asked
	// for signs of life.
	looks = 8
	// leastSweep is how many are looked at in a tick in any case.
	leastSweep = 1024
)

// sweep ends flows without traffic: a share of all in each tick, so that many
// do not hold up others.
func (l *loop) sweep() {
	n := min(len(l.slots), max(leastSweep, len(l.slots)/sweepShare+1))
	for range n {
		if l.swept >= len(l.slots) {
			l.swept = 0
		}
		if c := l.slots[l.swept].c; c != nil && c.phase == relaying {
			c.look()
		}
		l.swept++
	}
}

// look ends the flow if it has been without traffic for too long.
func (c *conn) look() {
	now := c.loop.now
	if step := c.idle / looks; now-c.active >= step && now-c.looked >= step {
		// Segments that come while there is no byte to be acknowledged are
		// keep-alives, which the kernel answers without telling us.
		n, settled := c.segments()
		if settled && c.seen != 0 && n != c.seen && c.looked > c.active {
			c.active = now
		}
		c.looked, c.seen = now, n
	}
	if now-c.active >= c.idle {
		c.stop(l4.EndIdle)
	}
}

// segments is how many both sides have sent; settled says that neither owes
// us an acknowledgement, so that who reads nothing is not taken to be alive
// for answering the kernel.
func (c *conn) segments() (n uint32, settled bool) {
	for i := range c.sides {
		info, err := unix.GetsockoptTCPInfo(c.sides[i].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || c.sides[i].blocked || info.Unacked > 0 || info.Notsent_bytes > 0 {
			return 0, false
		}
		n += info.Segs_in
	}
	return n, true
}
