package http2

import (
	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// Inform sends an informational response (1xx) other than 101.
func (x *Exchange) Inform(r *httpmsg.Response) error {
	if r.Status == 100 {
		x.mayContinue()
	}
	return x.writeHead(r.Status, &r.Fields, false)
}

// Respond sends the head of the final response with the first piece of its
// body; end says that the body ends with it. Framing fields are the exchange's
// to write, as with HTTP/1.1.
func (x *Exchange) Respond(r *httpmsg.Response, body []byte, end bool) error {
	if x.accept != "" && r.Status < 300 {
		return multiplex.ErrNoSwitch
	}
	if multiplex.Bodiless(&x.req, r.Status) {
		body, end = nil, true
	} else {
		multiplex.AddLength(r)
	}
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	x.started = true
	if err := x.awaitRoom(); err != nil {
		return err
	}
	last := end && len(body) == 0
	x.sent += int64(c.appendHead(x.id, r.Status, &r.Fields, last))
	x.ourEnd, x.finished = last, last
	if len(body) > 0 {
		if err := x.sendData(body, end); err != nil {
			return err
		}
	}
	c.tend()
	return nil
}

func (x *Exchange) writeHead(status int, f *httpmsg.Fields, end bool) error {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := x.awaitRoom(); err != nil {
		return err
	}
	x.sent += int64(c.appendHead(x.id, status, f, end))
	c.tend()
	return nil
}

// WriteBody sends a piece of the response body.
func (x *Exchange) WriteBody(p []byte) error {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := x.sendData(p, false); err != nil {
		return err
	}
	c.tend()
	return nil
}

// WriteLast sends the last piece of the response body.
func (x *Exchange) WriteLast(p []byte) error {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := x.sendData(p, true); err != nil {
		return err
	}
	c.tend()
	return nil
}

// Finish ends the response body; trailers may be nil.
func (x *Exchange) Finish(trailers *httpmsg.Fields) error {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.ourEnd {
		return nil
	}
	if err := x.awaitRoom(); err != nil {
		return err
	}
	if trailers == nil || trailers.Len() == 0 {
		c.out = appendFrameHead(c.out, 0, http2.FrameData, http2.FlagDataEndStream, x.id)
	} else {
		x.sent += int64(c.appendHead(x.id, 0, trailers, true))
	}
	x.ourEnd, x.finished = true, true
	c.tend()
	return nil
}

// sendData sends a piece of the body as the windows allow. It waits while they
// are shut, or it is not its turn, for no longer than a write may stall. c.mu is
// held, but not while it waits or writes.
func (x *Exchange) sendData(p []byte, end bool) error {
	c := x.c
	defer x.leaveLine()
	var w sendWait
	for len(p) > 0 {
		if x.reset || c.dead {
			return errGone
		}
		n, direct := x.maySend(len(p))
		if n <= 0 {
			if err := x.waitToSend(direct, &w); err != nil {
				return err
			}
			continue
		}
		last := end && n == len(p)
		if last {
			x.ourEnd, x.finished = true, true
		}
		x.window -= int64(n)
		c.window -= int64(n)
		c.sentData += int64(n)
		x.sent += int64(n)
		c.moved = true
		if direct {
			if x.writeDirect(p[:n], last); c.dead {
				return errGone
			}
		} else {
			c.out = appendData(c.out, x.id, p[:n], last)
		}
		p = p[n:]
		w.sent(n)
	}
	return nil
}

// maySend is how much of n bytes may be sent now, and whether from where they
// are: much is worth waiting until it is this stream's turn to write, and not
// copied. TLS wants it in one piece. c.mu is held.
func (x *Exchange) maySend(n int) (allowed int, direct bool) {
	c := x.c
	n = int(min(int64(n), x.window, c.window))
	direct = n >= leastDirect && c.stream.Plain()
	switch {
	case n <= 0 || !x.mayGo(direct):
		return 0, direct
	case direct:
		return min(n, c.turn()), true
	}
	return min(n, maxFrame, maxOut-len(c.out)), false
}

// leastDirect is what is written directly.
const leastDirect = maxFrame

// awaitRoom waits while too much waits to be written: heads need no window, and
// clients that do not read them can ask for many. Whoever writes meanwhile ends
// the connection if the client takes nothing. c.mu is held.
func (x *Exchange) awaitRoom() error {
	c := x.c
	for !x.reset && !c.dead {
		if len(c.out) < maxOut {
			return nil
		}
		c.tend()
		c.headsWait++
		c.room.Wait()
		c.headsWait--
	}
	return errGone
}

// Started reports whether the head of a final response was sent.
func (x *Exchange) Started() bool { return x.started }

// CloseAfter does nothing: a request that is not read to its end does not harm
// those beside it.
func (x *Exchange) CloseAfter() {}

// Retire has the client open a new connection for what comes next.
func (x *Exchange) Retire() { x.c.Drain() }

// Abort resets the stream.
func (x *Exchange) Abort() { x.aborted = true }

// Spoil resets the stream and keeps the exchange's memory from being used
// again.
func (x *Exchange) Spoil() { x.aborted, x.spoiled = true, true }

// Direct returns nil: the body needs framing.
func (x *Exchange) Direct() *stream.Conn { return nil }

// Moved is for Direct.
func (x *Exchange) Moved(int64) {}
