package http2

import (
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// write is the goroutine that writes: what has gathered since it did last.
func (c *ClientConn) write() {
	defer close(c.wrote)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.out) == 0 && !c.dead {
			c.trim()
			c.work.Wait()
		}
		if len(c.out) == 0 {
			return
		}
		if !c.dead {
			c.mu.Unlock()
			runtime.Gosched() // others have something to say, too
			c.mu.Lock()
		}
		p := c.out
		c.out, c.spare, c.control = c.spare[:0], nil, 0
		c.mu.Unlock()
		err := c.stream.Write(p, nil, nil)
		c.mu.Lock()
		c.spare = p[:0]
		if err != nil {
			c.kill(err)
			c.stream.Cut()
			return
		}
		c.wakeSenders()
	}
}

// trim gives back what a connection without requests need not have. c.mu is
// held.
func (c *ClientConn) trim() {
	if c.taken == 0 {
		c.out, c.spare = trimmed(c.out), trimmed(c.spare)
		c.encoder.trim()
	}
}

// wakeSenders wakes the requests that wait to send. c.mu is held.
func (c *ClientConn) wakeSenders() {
	for _, u := range c.senders {
		u.wakeSender()
	}
}

// request makes the field block of a request head, valid until the next call.
// Fields that are about a connection were taken out by the gateway.
func (e *encoder) request(r *httpmsg.Request, scheme string, expect bool) []byte {
	e.begin()
	e.write(":method", text(r.Bytes(r.MethodText)))
	e.write(":scheme", scheme)
	if host, ok := r.Get(httpmsg.Host); ok {
		e.write(":authority", text(host))
	}
	e.lower = appendPath(e.lower[:0], r)
	e.write(":path", text(e.lower))
	for i := range r.Len() {
		id, name, value, ok := r.At(i)
		if ok && id != httpmsg.Host && id != httpmsg.TE && multiplex.MayPass(id) {
			e.field(knownNames[id], name, text(value))
		}
	}
	if r.TETrailers {
		e.write("te", "trailers")
	}
	if expect {
		e.write("expect", "100-continue")
	}
	return e.buf
}

// text is p as a string that lives no longer.
func text(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// appendPath appends :path, with the query (RFC 9113 8.3.1).
func appendPath(dst []byte, r *httpmsg.Request) []byte {
	switch {
	case r.Form == httpmsg.AsteriskForm:
		dst = append(dst, '*')
	case r.Path.Len > 0:
		dst = append(dst, r.Bytes(r.Path)...)
	default:
		dst = append(dst, r.Bytes(r.RawPath)...)
	}
	if r.HasQuery {
		dst = append(append(dst, '?'), r.Bytes(r.Query)...)
	}
	return dst
}

// appendBlock appends HEADERS, and CONTINUATION where it takes more.
func appendBlock(dst, block []byte, id uint32, end bool) []byte {
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		dst = appendFrameHead(dst, n, kind, flags, id)
		dst = append(dst, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return dst
		}
		kind, flags = http2.FrameContinuation, 0
	}
}

func appendWindowUpdate(dst []byte, id, increment uint32) []byte {
	dst = appendFrameHead(dst, 4, http2.FrameWindowUpdate, 0, id)
	return appendUint32(dst, increment)
}

func appendReset(dst []byte, id uint32, code http2.ErrCode) []byte {
	dst = appendFrameHead(dst, 4, http2.FrameRSTStream, 0, id)
	return appendUint32(dst, uint32(code))
}

func appendGoAway(dst []byte, last uint32, code http2.ErrCode) []byte {
	dst = appendFrameHead(dst, 8, http2.FrameGoAway, 0, 0)
	return appendUint32(appendUint32(dst, last), uint32(code))
}

// send appends a piece of a request body as the windows allow. It waits while
// they are shut, or too much waits to be written, for no longer than a write
// may stall. c.mu is held.
func (u *Upstream) send(p []byte, end bool) error {
	c := u.c
	deadline, progress := u.stallsAt(), 0
	for len(p) > 0 {
		n := int(min(int64(len(p)), u.window, c.window, maxFrame, int64(maxOut-len(c.out))))
		if err := u.mustWait(n <= 0, deadline); err != nil {
			return err
		}
		if n <= 0 {
			continue
		}
		last := end && n == len(p)
		u.ourEnd = u.ourEnd || last
		c.out = appendData(c.out, u.id, p[:n], last)
		p = p[n:]
		u.window -= int64(n)
		c.window -= int64(n)
		u.sent += int64(n)
		c.work.Signal()
		if progress += n; progress >= leastProgress {
			deadline, progress = u.stallsAt(), 0
		}
	}
	return nil
}

// mustWait is an error when nothing can be sent any more, and otherwise waits
// if it has to. c.mu is held.
func (u *Upstream) mustWait(wait bool, deadline int64) error {
	switch {
	case u.err != nil:
		return u.err
	case u.c.dead:
		return u.c.err
	case u.stopped:
		return errStopped
	case !wait:
		return nil
	case deadline != stream.Never && stream.Now() >= deadline:
		return stream.ErrTimeout
	}
	c := u.c
	c.senders = append(c.senders, u)
	u.wait(u.room, u.sendTimer, deadline)
	if i := slices.Index(c.senders, u); i >= 0 {
		c.senders = slices.Delete(c.senders, i, i+1)
	}
	return nil
}

// awaitRoom waits while too much waits to be written. c.mu is held.
func (u *Upstream) awaitRoom() error {
	for deadline := u.stallsAt(); ; {
		full := len(u.c.out) >= maxOut
		if err := u.mustWait(full, deadline); err != nil || !full {
			return err
		}
	}
}

func (u *Upstream) stallsAt() int64 {
	if u.c.stall <= 0 {
		return stream.Never
	}
	return stream.Now() + int64(u.c.stall)
}
