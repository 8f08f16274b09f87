package http2

import (
	"slices"

	"gatehouse/internal/stream"
)

// line has the streams of a connection that wait to send data: until its window
// opens, there is room in what waits to be written, or nobody else writes. They
// take turns in the order in which they came; otherwise those that always have
// the next piece at hand would keep the connection to themselves.
type line struct {
	next    *Exchange   // whose turn it is; nil: nobody waits
	waiting []*Exchange // those behind it
}

// mayGo reports whether it is a stream's turn to send, and the connection lets
// it. c.mu is held.
func (x *Exchange) mayGo(direct bool) bool {
	l := &x.c.line
	return (l.next == nil || l.next == x) && x.c.ready(direct)
}

// ready reports whether data can be sent. c.mu is held.
func (c *Conn) ready(direct bool) bool {
	if direct {
		return c.window > 0 && !c.writing
	}
	return c.window > 0 && len(c.out) < maxOut
}

// lineUp is called when x has to wait; what it waited for before stays its
// place. c.mu is held.
func (x *Exchange) lineUp() {
	l := &x.c.line
	switch {
	case l.next == x || x.inLine:
	case l.next == nil:
		l.next = x
	default:
		x.inLine = true
		l.waiting = append(l.waiting, x)
	}
}

// leaveLine gives up a place in the line, or the turn. c.mu is held.
func (x *Exchange) leaveLine() {
	c := x.c
	if x.inLine {
		x.inLine = false
		c.line.waiting = slices.DeleteFunc(c.line.waiting, func(o *Exchange) bool { return o == x })
	}
	if c.line.next == x {
		c.line.next = nil
		c.passOn()
		c.tend() // what x would have written with its own
	}
}

// passOn tells whoever is next that there may be room, and the heads that wait
// for it. c.mu is held.
func (c *Conn) passOn() {
	if c.headsWait > 0 && len(c.out) < maxOut {
		c.room.Broadcast()
	}
	l := &c.line
	if l.next == nil && len(l.waiting) > 0 {
		l.next = l.waiting[0]
		l.next.inLine = false
		l.waiting = slices.Delete(l.waiting, 0, 1)
	}
	if l.next != nil && c.ready(l.next.direct) {
		l.next.cond.Broadcast()
	}
}

// turn is how much a stream may write at a time: less where many wait for it.
// c.mu is held.
func (c *Conn) turn() int {
	if len(c.line.waiting) > crowd {
		return crowdedTurn
	}
	return maxFrames * maxFrame
}

const (
	crowd       = 20
	crowdedTurn = 2 * maxFrame
)

// directNext reports whether the next to send writes itself, and what waits to
// be written with it. c.mu is held.
func (c *Conn) directNext() bool {
	next := c.line.next
	return next != nil && next.direct && c.ready(true)
}

// sendWait bounds how long a piece waits to be sent.
type sendWait struct {
	deadline int64 // 0: none yet
	seen     int64 // Conn.sentData then
	progress int
}

// sent notes progress: windows of a byte are none.
func (w *sendWait) sent(n int) {
	if w.progress += n; w.progress >= leastProgress {
		w.deadline, w.progress = 0, 0
	}
}

// expired reports whether a stream has waited for too long: for its own window,
// or while the connection has sent nothing. While somebody writes, the write
// has an end. c.mu is held.
func (w *sendWait) expired(x *Exchange) bool {
	c := x.c
	if c.stall <= 0 {
		return false
	}
	now := stream.Now()
	goesOn := x.window > 0 && (c.writing || c.sentData-w.seen >= leastProgress)
	if w.deadline == 0 || goesOn {
		w.deadline, w.seen = now+int64(c.stall), c.sentData
	}
	return now >= w.deadline
}

// waitToSend waits for the stream's window, or else for its turn. c.mu is held.
func (x *Exchange) waitToSend(direct bool, w *sendWait) error {
	c := x.c
	if w.expired(x) {
		return stream.ErrTimeout
	}
	if x.direct = direct; x.window > 0 {
		x.lineUp()
	} else {
		x.leaveLine()
	}
	c.tend()
	if x.sendBy = w.deadline; x.sendBy != 0 {
		c.tick()
	}
	x.cond.Wait()
	x.sendBy = 0
	return nil
}
