//go:build linux

package load

import (
	"crypto/tls"
	"io"
	"time"

	"gatehouse/bench/sock"

	"golang.org/x/sys/unix"
)

const (
	maxReplyHead = 8 << 10
	replyTimeout = 5 * time.Second
	// retryDelay keeps a proxy that refuses connections from being flooded.
	retryDelay = 10 * time.Millisecond
)

// conn is one connection of an event loop and the request on it.
type conn struct {
	t     *thread
	token int32
	fd    int // -1: closed
	plain plain
	s     stream

	busy    bool          // a request is under way
	started time.Duration // when it was sent, or due
	expires time.Duration // when it, or the pause after a failure, has lasted too long
	out     []byte        // what is left to send of it

	head  []byte // buffer for the reply's head
	n     int    // bytes of it filled
	reply replyHead
	body  bool // the head is complete
	left  int  // bytes of the body still to come
	parts chunks
}

// open connects; for TLS it also does the handshake, and blocks meanwhile.
func (c *conn) open() error {
	fd, err := sock.Connect(c.t.opts.Addr, c.t.source())
	if err != nil {
		return err
	}
	c.fd, c.plain = fd, plain{fd: fd}
	c.s = &c.plain
	if c.t.tls != nil {
		if err := c.handshake(); err != nil {
			c.close()
			return err
		}
	}
	if c.t.opts.Message > 0 {
		if err := c.switchProtocols(); err != nil {
			c.close()
			return err
		}
	}
	return c.t.poll.Add(fd, c.token)
}

func (c *conn) handshake() error {
	if err := sock.Await(c.fd, true, socketTimeout); err != nil {
		return err
	}
	under := &socket{fd: c.fd, blocking: true}
	client := tls.Client(under, c.t.tls)
	if err := client.Handshake(); err != nil {
		return err
	}
	under.blocking = false
	c.s = &secure{conn: client, scratch: c.t.scratch}
	c.t.agreed = describeTLS(client.ConnectionState())
	return nil
}

func (c *conn) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
	c.fd, c.busy, c.s = -1, false, nil
}

// send starts a request that counts from the given time.
func (c *conn) send(request []byte, started, now time.Duration) error {
	c.out, c.busy, c.started, c.expires = request, true, started, now+replyTimeout
	c.n, c.body, c.left = 0, false, 0
	if c.t.opts.Message > 0 { // what comes back has no head
		c.body, c.left, c.reply = true, len(request), replyHead{status: c.t.want.status, length: c.t.want.length}
	}
	return c.flush()
}

func (c *conn) flush() error {
	for len(c.out) > 0 {
		n, err := c.s.write(c.out)
		c.out = c.out[n:]
		if err == sock.ErrAgain {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ready goes on after an event; done says that the reply is complete and as
// expected.
func (c *conn) ready() (done bool, err error) {
	c.plain.drained = false
	if !c.busy {
		return false, c.idle()
	}
	if err := c.flush(); err != nil {
		return false, err
	}
	if !c.body {
		if err := c.readHead(); err != nil || !c.body {
			return false, again(err)
		}
	}
	if err := c.readBody(); err != nil {
		return false, again(err)
	}
	return true, c.verify()
}

func again(err error) error {
	if err == sock.ErrAgain {
		return nil
	}
	return err
}

// idle looks at a connection without a request: nothing may come but its end.
func (c *conn) idle() error {
	var one [1]byte
	n, err := c.s.read(one[:])
	if n > 0 {
		return errExtra
	}
	return again(err)
}

func (c *conn) readHead() error {
	for {
		n, err := c.s.read(c.head[c.n:])
		if err != nil {
			return err
		}
		c.n += n
		head, size, err := parseReply(c.head[:c.n])
		switch {
		case err != nil:
			return err
		case size > 0:
			c.reply, c.body, c.left = head, true, head.length-(c.n-size)
			if head.chunked {
				c.parts = chunks{}
				return c.readChunks(c.head[size:c.n])
			}
			return nil
		case c.n == len(c.head):
			return errLongHead
		}
	}
}

// readChunks looks at a piece of a chunked body; left is negative if there is
// something behind its end.
func (c *conn) readChunks(p []byte) error {
	rest, err := c.parts.pass(p)
	c.left = -len(rest)
	return err
}

func (c *conn) readBody() error {
	for c.reply.chunked && c.parts.state != allDone {
		n, err := c.s.read(c.head)
		if err == nil {
			err = c.readChunks(c.head[:n])
		}
		if err != nil {
			return err
		}
	}
	for c.left > 0 {
		n, err := c.s.discard(c.left)
		if err != nil {
			return err
		}
		c.left -= n
	}
	return nil
}

func (c *conn) verify() error {
	if c.left < 0 {
		return errExtra
	}
	return c.t.want.check(c.reply)
}

// label names an error without what differs from one occurrence to the next.
func label(err error) string {
	if err == io.EOF {
		return "connection closed"
	}
	return err.Error()
}
