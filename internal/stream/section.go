package stream

import "iter"

// A section keeps the poller's read section of a connection open from one
// message to the next. The poller tells of new bytes once, and each section
// begins by forgetting what it told: whoever begins one has to look before
// waiting, with a system call that mostly finds nothing, because the peer
// speaks only once it was answered. Inside a section nothing is forgotten, so
// that after a read that emptied the socket it is enough to wait.
//
// It is a coroutine that sits in syscall.RawConn.Read, and holds the poller's
// lock for readers: every other way of reading ends it first, and so does
// closing.
type section struct {
	f    func(uintptr) bool // what reads
	next func() (error, bool)
	stop func()
}

// stayFor is how long a connection may be idle in a section. An idle one
// should not pay for the coroutine's stack; and an end of the stream that came
// together with the bytes before it, or what follows TCP's urgent data, is not
// told again: it is found by looking.
const stayFor = int64(1e9)

// ReadNext is ReadLent for a peer that was just answered, at the time now, and
// is to speak next. What it saves is the look before the wait.
func (c *Conn) ReadNext(l Lender, now, deadline int64) (int, error) {
	p := c.polled.Load()
	if p == nil {
		return c.ReadLent(l, deadline)
	}
	until := now + stayFor
	if deadline != Never && deadline < until {
		until = deadline
	}
	if c.section == nil {
		c.section = newSection(c, p)
	}
	n, err := c.readStaying(l, until)
	if err == ErrTimeout && until != deadline {
		return c.ReadLent(l, deadline)
	}
	return n, err
}

// readStaying is ReadLent within the section.
func (c *Conn) readStaying(l Lender, deadline int64) (int, error) {
	if c.tls != nil {
		c.staying = true
		defer func() { c.staying = false }()
		return c.readLentTLS(l, deadline)
	}
	c.section.f, c.readLender = c.lentFn, l
	err := c.awaitIn(c.polled.Load(), nil, deadline)
	c.readLender = nil
	if err != nil {
		return 0, err
	}
	return c.readN, c.readErr
}

// readWireStaying is the read of a record's bytes below readStaying.
func (c *Conn) readWireStaying(p []byte, deadline int64) (int, error) {
	c.section.f, c.readBuf = c.readFn, p
	err := c.awaitIn(c.polled.Load(), nil, deadline)
	c.readBuf = nil
	if err != nil {
		return 0, err
	}
	return c.readN, c.readErr
}

func newSection(c *Conn, p *polled) *section {
	next, stop := iter.Pull(func(yield func(error) bool) { c.stay(p, yield) })
	return &section{next: next, stop: stop}
}

// stay is the coroutine: it yields once for each read that succeeds, with nil,
// or that the poller ended, with its error; the next one begins anew.
func (c *Conn) stay(p *polled, yield func(error) bool) {
	wanted := true
	for wanted {
		empty := false // the socket, when it was last read in this section
		err := p.raw.Read(func(fd uintptr) bool {
			for !empty && c.section.f(fd) {
				empty = c.readErr == nil && c.readShort
				if wanted = yield(nil); !wanted {
					return true
				}
			}
			empty = false // what comes from here on is told
			return false
		})
		wanted = wanted && yield(err)
	}
}

// Share ends the section before another goroutine begins to read: it belongs
// to one.
func (c *Conn) Share() { c.leave() }

// leave ends the section, if there is one.
func (c *Conn) leave() {
	if s := c.section; s != nil {
		c.section = nil
		s.stop()
	}
}
