package l7

import (
	"cmp"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
)

// tunnelLinger is how long the other side of a tunnel may be silent once one
// side has ended. Many backends do not mind that their client has left, and
// would keep the tunnel until the idle timeout.
const tunnelLinger = 30 * time.Second

// tunnel gives an upgraded connection to two copiers, until one side is done
// and the other follows, or both are silent for too long.
func (f *flow) tunnel(t *Transport) {
	r := f.up.Head()
	protocol := f.req.Bytes(f.req.UpgradeTo)
	f.prepareResponse(r)
	backend, early := f.one.Tunnel() // upgrades are of HTTP/1.1
	tn := newTunnel(f.snap, isWebSocket(protocol))
	client, sent, err := f.x.Switch(r, protocol)
	f.rec.Status = r.Status
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received()+int64(len(early)), f.up.Sent()
	if err == nil && len(early) > 0 {
		f.x.Moved(int64(len(early)))
		tn.down.pass(early)
		err = client.Write(early, nil, nil)
	}
	switch {
	case err != nil:
		f.notResponded(err)
	case f.sendAhead(backend, sent):
		tn.up.pass(sent)
		f.runTunnel(tn, client, backend)
	}
	f.rec.BackendOut += f.tunneled
	client.Close()
	f.drop(t)
}

// sendAhead sends what the client already sent behind its request; false when
// the backend does not take it.
func (f *flow) sendAhead(backend *stream.Conn, sent []byte) bool {
	if len(sent) == 0 {
		return true
	}
	f.tunneled += int64(len(sent))
	err := backend.Write(sent, nil, nil)
	if err != nil {
		f.tunnelFailed(&tunnelFailure{'S', err})
	}
	return err == nil
}

// runTunnel relays until both directions have ended. The snapshot is not held
// meanwhile: tunnels outlive configurations.
func (f *flow) runTunnel(tn *tunnel, client stream.Tunnel, backend *stream.Conn) {
	l := f.listener
	l.Metrics.TunnelOpened(f.shard)
	defer l.Metrics.TunnelClosed(f.shard)
	f.endStages()
	f.letGo()
	tn.active.Store(stream.Now())
	tn.client, tn.backend = client, backend
	up := &copier{tn: tn, dst: backend, src: client, to: 'S', from: 'C'}
	down := &copier{tn: tn, dst: client, src: backend, to: 'C', from: 'S'}
	if tn.framed {
		up.frames, down.frames = &tn.up, &tn.down
	}
	f.gw.tunnels.add(tn, f.frontend)
	defer f.gw.tunnels.remove(tn)
	tn.carry(f.gw.carrier, up, down)
	upEnded, downEnded, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer f.gw.survive(func() { up.cut(io.ErrUnexpectedEOF, 'C') })
		up.run(upEnded, downEnded)
	}()
	down.run(downEnded, upEnded)
	<-done
	tn.hearOut(client, backend)
	f.tunneled += up.n
	f.rec.BackendIn += down.n
	f.x.Moved(down.n)
	f.rec.Termination = tunnelEnd(up.err, down.err)
	f.noteTunnelEnd(tn)
}

// noteTunnelEnd says in the record why a tunnel ended, if not by itself.
func (f *flow) noteTunnelEnd(tn *tunnel) {
	why, failed := tn.reason(), tn.failure.Load()
	switch {
	case failed != nil:
		f.tunnelFailed(failed)
	case tn.leaving.Load():
		f.rec.Termination = telemetry.Termination{'P', 'D'}
		f.rec.Reason = "tunnel ended: its listener stops"
	case why != "":
		f.rec.Reason = why
		f.listener.Metrics.LimitHit(f.shard, telemetry.LimitTunnelIdleTimeout)
	}
}

// tunnelFailure is what a tunnel broke off for first: what it does to the other
// direction is no failure of that.
type tunnelFailure struct {
	side byte // whose connection failed: C the client's, S the backend's
	err  error
}

// text says it for people.
func (why *tunnelFailure) text() string {
	if why.side == 'S' {
		return "tunnel: backend: " + shortError(why.err)
	}
	return "tunnel: client: " + shortError(why.err)
}

// tunnelFailed notes whose connection ended a tunnel.
func (f *flow) tunnelFailed(why *tunnelFailure) {
	f.rec.ErrorInfo = telemetry.ErrorInfoClientClosed
	if why.side == 'S' {
		f.rec.ErrorInfo = telemetry.ErrorInfoUpstreamClosed
	}
	f.rec.Termination, f.rec.Reason = telemetry.Termination{why.side, 'D'}, why.text()
}

// tunnelEnd says who was waited for when a tunnel was ended from here.
func tunnelEnd(client, backend error) telemetry.Termination {
	switch {
	case client != nil:
		return telemetry.Termination{'C', 'D'}
	case backend != nil:
		return telemetry.Termination{'S', 'D'}
	}
	return telemetry.Termination{'-', '-'}
}

// tunnel is what the two copiers share.
type tunnel struct {
	idle     int64 // both directions silent; 0: for ever
	linger   int64 // the other direction silent after the end of one
	active   atomic.Int64
	writing  atomic.Int32 // copiers that write; bounded by the write stall, no silence
	timedOut atomic.Bool
	lingered atomic.Bool
	leaving  atomic.Bool                   // its frontend stops
	failure  atomic.Pointer[tunnelFailure] // nil: none

	client, backend stream.Tunnel

	framed   bool // WebSocket
	up, down frames
	goodbyes atomic.Int32 // close frames that were put in from here
}

func newTunnel(s *Snapshot, framed bool) *tunnel {
	return &tunnel{framed: framed, idle: int64(s.Limits.TunnelIdleTimeout), linger: int64(cmp.Or(s.tunnelLinger, tunnelLinger))}
}

// leave ends the tunnel from outside.
func (tn *tunnel) leave() {
	tn.leaving.Store(true)
	tn.client.Interrupt()
	tn.backend.Interrupt()
}

// await waits, for a direction that has ended, until the other has, too; it
// ends the other, which reads src, once that is silent for too long.
func (tn *tunnel) await(other <-chan struct{}, src stream.Tunnel) {
	tn.active.Store(stream.Now()) // an end is a sign of life
	for {
		left := tn.active.Load() + tn.linger - stream.Now()
		if tn.writing.Load() > 0 {
			left = tn.linger
		}
		if left <= 0 {
			break
		}
		select {
		case <-other:
			return
		case <-time.After(time.Duration(left)):
		}
	}
	tn.lingered.Store(true)
	src.Interrupt()
	<-other
}

// reason says why a tunnel was ended from here; empty if it was not.
func (tn *tunnel) reason() string {
	switch {
	case tn.lingered.Load():
		return "one side of the tunnel ended, the other was silent for " + time.Duration(tn.linger).String()
	case tn.timedOut.Load():
		return "tunnel idle for " + time.Duration(tn.idle).String()
	}
	return ""
}

// copier moves one direction of a tunnel. Its buffer is lent only while there
// is something to move.
type copier struct {
	tn       *tunnel
	dst, src stream.Tunnel
	to, from byte    // whose they are, as in tunnelFailure
	frames   *frames // nil: none
	buf      *[]byte
	left     stream.Left // by the carrier
	n        int64
	err      error
}

var tunnelBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Lend implements stream.Lender.
func (c *copier) Lend() []byte {
	if c.buf == nil {
		c.buf = tunnelBuffers.Get().(*[]byte)
	}
	return *c.buf
}

// Unlend implements stream.Lender.
func (c *copier) Unlend() {
	if c.buf != nil {
		tunnelBuffers.Put(c.buf)
		c.buf = nil
	}
}

// run copies, and sees to it that the other direction follows.
func (c *copier) run(ended chan<- struct{}, other <-chan struct{}) {
	func() {
		defer close(ended)
		c.copyTunnel()
	}()
	if c.err == nil {
		c.tn.await(other, c.dst)
	}
}

// copyTunnel copies until src ends, and then ends dst's side; any error ends
// both directions.
func (c *copier) copyTunnel() {
	defer c.Unlend()
	for err := c.resume(); ; err = c.converse() {
		switch {
		case err == nil:
		case err == errPeer:
			return
		case err == io.EOF:
			c.sayGoodbye() // who was told that it ends may end at once
			if c.dst.CloseWrite() != nil {
				c.src.Interrupt()
			}
			return
		case errors.Is(err, stream.ErrTimeout) && c.tn.idle > 0 && stream.Now() < c.tn.active.Load()+c.tn.idle:
			continue // the other direction is alive
		case errors.Is(err, stream.ErrTimeout):
			c.tn.timedOut.Store(true)
			c.sayGoodbye()
			c.end(err)
			return
		case errors.Is(err, stream.ErrInterrupted):
			c.sayGoodbye()
			c.end(err)
			return
		default:
			c.sayGoodbye()
			c.cut(err, c.from)
			return
		}
	}
}

// inConversation is how long the next message of a side is waited for in the
// way that is cheap for many.
const inConversation = int64(100 * time.Millisecond)

// errPeer says that the tunnel has been cut because dst failed.
var errPeer = errors.New("the other side failed")

// converse waits for src, and passes on what it says until it is silent for a
// while.
func (c *copier) converse() error {
	n, err := c.src.ReadLent(c, c.deadline())
	if err != nil {
		return err
	}
	if err = c.pass(n); err != nil {
		return err
	}
	src := plainConn(c.src)
	if src == nil {
		return nil
	}
	err = src.Follow(c, c.pass, func() int64 { return c.tn.active.Load() + inConversation })
	if err == stream.ErrTimeout {
		return nil // it is not in conversation any more
	}
	return err
}

// pass passes on n bytes of the buffer.
func (c *copier) pass(n int) error {
	err := c.write((*c.buf)[:n])
	if err == nil {
		c.Unlend()
	}
	return err
}

func (c *copier) write(b []byte) error {
	c.tn.active.Store(stream.Now())
	c.tn.writing.Add(1)
	err := c.dst.Write(b, nil, nil)
	if c.waited() {
		c.tn.active.Store(stream.Now())
	}
	c.tn.writing.Add(-1)
	if err != nil {
		c.cut(err, c.to)
		return errPeer
	}
	c.passed(b)
	return nil
}

// passed notes what dst has taken.
func (c *copier) passed(b []byte) {
	if c.frames != nil {
		c.frames.pass(b)
	}
	c.n += int64(len(b))
}

// waited reports whether the last write may have taken long.
func (c *copier) waited() bool {
	dst := plainConn(c.dst)
	return dst == nil || dst.WasFull()
}

// cut ends both directions because one side's connection failed.
func (c *copier) cut(err error, side byte) {
	c.tn.failure.CompareAndSwap(nil, &tunnelFailure{side, err})
	c.end(err)
}

// end ends both directions.
func (c *copier) end(err error) {
	c.err = err
	c.src.Interrupt()
	c.dst.Interrupt()
	c.dst.CloseWrite()
}

func (c *copier) deadline() int64 {
	if c.tn.idle == 0 {
		return stream.Never
	}
	return c.tn.active.Load() + c.tn.idle
}
