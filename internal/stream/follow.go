package stream

// follower is a Follow in progress.
type follower struct {
	c    *Conn
	l    Lender
	each func(n int) error
	err  error // of each
}

// Follow reads whenever there is something, and hands each piece on: n bytes of
// what l lent. It returns when reading or each fails, the latter with the error
// of each, or when until, a point on the clock of Now that it is asked for
// again each time it comes, has come: ErrTimeout.
//
// It is for a plain connection in the middle of a conversation. The poller
// tells of new bytes once, and a ReadLent begins by forgetting what it told,
// and so has to look before it waits, with a system call that mostly finds
// nothing. Here nothing is forgotten in between. But an end of the stream that
// came together with the last bytes is not told again: it is found by the look
// of the next call, so that until should not be far away.
func (c *Conn) Follow(l Lender, each func(n int) error, until func() int64) error {
	p, err := c.poll()
	if err != nil {
		return err
	}
	c.leave()
	f := follower{c: c, l: l, each: each}
	read := f.read
	for deadline := until(); ; deadline = until() {
		if deadline != Never && Now() >= deadline {
			return ErrTimeout
		}
		c.armRead(p, deadline)
		if c.interrupted.Load() {
			return ErrInterrupted
		}
		err := p.raw.Read(read)
		switch {
		case f.err != nil:
			return f.err
		case err == nil:
			return c.readErr
		case !isDeadline(err):
			return closed(err)
		}
		c.readArmed = past // it has come, and may be an earlier call's
	}
}

// read runs inside the connection's read lock: until an error (true), or for as
// long as there is something to read.
func (f *follower) read(fd uintptr) bool {
	c := f.c
	for {
		if c.interrupted.Load() {
			f.err = ErrInterrupted
			return true
		}
		if done := c.readInto(fd, f.l.Lend()); !done || c.readErr != nil {
			f.l.Unlend()
			return done
		}
		emptied := c.readShort
		if f.err = f.each(c.readN); f.err != nil {
			return true
		}
		if emptied {
			return false // what comes from here on is told
		}
	}
}

// WasFull reports whether the last write on a plain connection had to wait for
// the peer. It is for the goroutine that wrote.
func (c *Conn) WasFull() bool { return c.fullSince != 0 }
