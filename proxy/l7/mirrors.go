package l7

import (
	"context"
	"io"
	"sync"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

const (
	// maxMirroring is how many copies are sent at a time, and maxMirrorQueue
	// how many wait for that.
	maxMirroring   = 32
	maxMirrorQueue = 256
	// mirrorStall is how long a write of a copy may make no progress.
	mirrorStall = 5 * time.Second
	// mirrorLook is how often who waits for a response to a copy looks whether
	// it is to stop.
	mirrorLook = int64(500 * time.Millisecond)
	// maxMirrorBody is how much of a response is read for the sake of the
	// connection.
	maxMirrorBody = 4 << 20
)

// mirrors sends copies of requests: by goroutines that there are only while
// there is something to send.
type mirrors struct {
	mu      sync.Mutex
	queue   []*copied
	senders int
	closed  bool
	working sync.WaitGroup
}

// take sends a copy as soon as somebody is free, or drops it. It never waits.
func (m *mirrors) take(g *Gateway, c *copied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.queue) >= maxMirrorQueue {
		c.drop(g)
		return
	}
	m.queue = append(m.queue, c)
	if m.senders < maxMirroring {
		m.senders++
		m.working.Go(func() { m.send(g) })
	}
}

// send sends copies until there are none.
func (m *mirrors) send(g *Gateway) {
	up := http1.NewUpstream()
	for c := m.first(); c != nil; c = m.first() {
		m.sendOne(g, up, c)
	}
}

// first takes the first of the queue; nil, and one sender less, if it is empty.
func (m *mirrors) first() *copied {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		m.senders--
		return nil
	}
	c := m.queue[0]
	m.queue = append(m.queue[:0], m.queue[1:]...)
	return c
}

// sendOne sends a copy, and counts what came of it.
func (m *mirrors) sendOne(g *Gateway, up *http1.Upstream, c *copied) {
	answered := false
	defer g.survive(func() {})
	defer func() {
		c.body.release(&g.held)
		if answered {
			c.mirror.Counts.Answered.Add(1)
		} else {
			c.mirror.Counts.Failed.Add(1)
		}
	}()
	b, err := c.mirror.Pool.AcquireFor(c.key, nil)
	if err != nil {
		return
	}
	defer b.End()
	answered = m.ask(up, c, b)
}

// stopping reports whether no more is to be waited for.
func (m *mirrors) stopping() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// close drops what waits and ends what is under way.
func (m *mirrors) close(g *Gateway) {
	m.mu.Lock()
	m.closed = true
	for _, c := range m.queue {
		c.drop(g)
	}
	m.queue = nil
	m.mu.Unlock()
	m.working.Wait()
}

// ask sends a copy to a member and reads the response.
func (m *mirrors) ask(up *http1.Upstream, c *copied, b *proxy.Backend) (answered bool) {
	t := b.Attached().(*Transport)
	if c.mirror.Settings.PickHostFromBackend {
		c.putHost(hostInField(b.Target()))
	} else if _, has := c.req.Get(httpmsg.Host); !has {
		c.putHost(b.Name())
	}
	deadline := c.mirror.deadline()
	conn := t.get(c.shard, !c.req.Method.Idempotent())
	for {
		if conn == nil {
			if conn = m.dial(t, c, b); conn == nil {
				return false
			}
		}
		conn.Stream.Stall = mirrorStall
		up.Bind(conn, c.headBytes)
		err := up.Start(&c.req, c.body.bytes, true, min(stream.Now()+mirrorLook, deadline))
		if err == stream.ErrStale && conn.Uses > 0 {
			m.giveUp(up, t, conn)
			conn = nil
			continue
		}
		answered = err == nil && m.read(up, c, b, deadline)
		break
	}
	if !answered || !up.Reusable() {
		m.giveUp(up, t, conn)
		return answered
	}
	up.Release()
	conn.Uses++
	t.put(c.shard, conn, stream.Now())
	return true
}

func (m *mirrors) giveUp(up *http1.Upstream, t *Transport, conn *http1.ClientConn) {
	up.Release()
	t.discard(conn)
}

// dial opens a connection for a copy; nil if that fails.
func (m *mirrors) dial(t *Transport, c *copied, b *proxy.Backend) *http1.ClientConn {
	ctx, cancel := context.WithTimeout(context.Background(), min(c.mirror.Settings.ConnectTimeout, mirrorStall))
	defer cancel()
	conn, err := t.dial(ctx)
	switch {
	case err == nil:
		b.ConnectOK()
		return conn
	case !isOurs(err):
		b.ConnectFailed(err)
	}
	return nil
}

// read awaits the response to a copy and reads it to its end, if that is near.
func (m *mirrors) read(up *http1.Upstream, c *copied, b *proxy.Backend, deadline int64) (answered bool) {
	sent := stream.Now()
	for {
		err := up.ReadHead(min(stream.Now()+mirrorLook, deadline))
		if err == nil && up.Response.Status >= 200 {
			break
		}
		if err != nil && !m.goOn(err, deadline) {
			return false
		}
	}
	b.Answered(stream.Now(), stream.Now()-sent)
	for n := 0; n <= maxMirrorBody; {
		p, err := up.ReadBody(min(stream.Now()+mirrorLook, deadline))
		if n += len(p); err == io.EOF || err != nil && !m.goOn(err, deadline) {
			break
		}
	}
	return true
}

// goOn reports whether an error of a wait is no reason to end it.
func (m *mirrors) goOn(err error, deadline int64) bool {
	return err == stream.ErrTimeout && stream.Now() < deadline && !m.stopping()
}
