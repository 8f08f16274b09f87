//go:build linux

package origin

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"gatehouse/bench/sock"
)

// maxHead is the size of a connection's buffer and so of the largest head.
const maxHead = 16 << 10

var (
	errHeadTooLarge = errors.New("head too large")
	errLastReply    = errors.New("last reply of the connection sent")
)

// conn is one connection from a proxy.
type conn struct {
	fd      int
	in      []byte
	n       int    // bytes of in that are filled
	skip    int    // bytes of a request body still to be read
	owed    []byte // the reply due once the body has been read
	out     []byte // what is left of the reply being sent
	last    bool   // close after out
	echo    bool   // a WebSocket: what comes goes back
	echoed  []byte // memory for that
	drained bool   // the last read emptied the socket: the next edge will tell
}

// serve does all that can be done without blocking; any error closes the
// connection.
func (c *conn) serve(replies map[string][]byte) error {
	c.drained = false
	for {
		if err := c.flush(); err != nil {
			return ignoreAgain(err)
		}
		if c.advance(replies) {
			continue
		}
		if c.drained {
			return nil
		}
		if err := c.fill(); err != nil {
			return ignoreAgain(err)
		}
	}
}

func ignoreAgain(err error) error {
	if err == sock.ErrAgain {
		return nil
	}
	return err
}

func (c *conn) flush() error {
	for len(c.out) > 0 {
		n, err := sock.Send(c.fd, c.out)
		if err != nil {
			return err
		}
		c.out = c.out[n:]
		if len(c.out) == 0 && c.last {
			return errLastReply
		}
	}
	return nil
}

// advance takes the next step that the bytes at hand allow.
func (c *conn) advance(replies map[string][]byte) bool {
	if c.owed == nil && c.echo {
		c.echoed = append(c.echoed[:0], c.in[:c.n]...)
		c.out, c.n = c.echoed, 0
		return len(c.out) > 0
	}
	if c.owed == nil {
		return c.begin(replies)
	}
	if c.skip > 0 {
		return false
	}
	c.out, c.owed = c.owed, nil
	return true
}

// begin reads a request head, if a whole one is buffered, and chooses the
// reply.
func (c *conn) begin(replies map[string][]byte) bool {
	end := bytes.Index(c.in[:c.n], []byte("\r\n\r\n"))
	if end < 0 {
		return false
	}
	req, ok := parseRequest(c.in[:end+2])
	reply := replies[string(req.path)]
	switch {
	case !ok:
		reply, c.last = render("400 Bad Request", 0), true
	case reply == nil:
		reply = render("404 Not Found", 0)
	}
	c.owed, c.echo = reply, ok && string(req.path) == echoPath
	c.last = c.last || req.close
	c.skip = req.length
	c.n = copy(c.in, c.in[end+4:c.n])
	c.dropBody()
	return true
}

func (c *conn) fill() error {
	room := c.in[c.n:]
	if len(room) == 0 {
		return errHeadTooLarge
	}
	n, err := sock.Recv(c.fd, room)
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	c.drained = n < len(room)
	c.n += n
	c.dropBody()
	return nil
}

// dropBody forgets the bytes at the front of the buffer that belong to the
// body of the request being read.
func (c *conn) dropBody() {
	drop := min(c.skip, c.n)
	if drop > 0 {
		c.skip -= drop
		c.n = copy(c.in, c.in[drop:c.n])
	}
}

// request is what the origin needs to know of a head.
type request struct {
	path   []byte
	length int
	close  bool
}

// parseRequest reads a head whose last line still has its CRLF. It refuses
// what it cannot frame: a transfer coding, or a method whose reply has no
// body.
func parseRequest(head []byte) (request, bool) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	method, target, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(target, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte("?"))
	req := request{path: path, close: !bytes.Equal(version, []byte("HTTP/1.1"))}
	ok := string(method) == "GET" || string(method) == "POST"
	for len(rest) > 0 && ok {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		ok = req.field(name, bytes.TrimSpace(value))
	}
	return req, ok
}

func (r *request) field(name, value []byte) bool {
	switch len(name) {
	case len("connection"):
		if bytes.EqualFold(name, []byte("connection")) {
			r.close = r.close || bytes.EqualFold(value, []byte("close"))
		}
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			n, err := strconv.ParseUint(string(value), 10, 31)
			r.length = int(n)
			return err == nil
		}
	case len("transfer-encoding"):
		return !bytes.EqualFold(name, []byte("transfer-encoding"))
	}
	return true
}
