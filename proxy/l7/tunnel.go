package l7

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
)

// tunnel gives an upgraded connection to two copiers, until one side is done
// and the other follows, or both are silent for too long.
func (f *flow) tunnel(t *Transport) {
	r := &f.up.Response
	protocol := f.req.Bytes(f.req.UpgradeTo)
	f.prepareResponse(r)
	backend, early := f.up.Tunnel()
	client, sent, err := f.x.Switch(r, protocol)
	f.rec.Status = r.Status
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received()+int64(len(early)), f.up.Sent()
	if err == nil && len(sent) > 0 {
		f.tunneled += int64(len(sent))
		err = backend.Write(sent, nil, nil)
	}
	if err == nil && len(early) > 0 {
		f.x.Moved(int64(len(early)))
		err = client.Write(early, nil, nil)
	}
	if err == nil {
		f.runTunnel(client, backend)
	} else {
		f.clientLeft('D')
	}
	f.rec.BackendOut += f.tunneled
	client.Close()
	f.drop(t)
}

// runTunnel relays until both directions have ended. The snapshot is not held
// meanwhile: tunnels outlive configurations.
func (f *flow) runTunnel(client, backend *stream.Conn) {
	l := f.listener
	l.Metrics.TunnelOpened(f.shard)
	defer l.Metrics.TunnelClosed(f.shard)
	tn := &tunnel{idle: int64(f.snap.Limits.TunnelIdleTimeout)}
	f.endStages()
	f.letGo()
	tn.active.Store(stream.Now())
	up := &copier{tn: tn, dst: backend, src: client}
	down := &copier{tn: tn, dst: client, src: backend}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.gw.survive(func() { up.cut(io.ErrUnexpectedEOF) })
		up.copyTunnel()
	}()
	down.copyTunnel()
	<-done
	f.tunneled += up.n
	f.rec.BackendIn += down.n
	f.x.Moved(down.n)
	f.rec.Termination = tunnelEnd(up.err, down.err)
	if tn.timedOut.Load() {
		f.rec.Reason = "tunnel idle for " + time.Duration(tn.idle).String()
		l.Metrics.LimitHit(f.shard, telemetry.LimitTunnelIdleTimeout)
	}
}

// tunnelEnd says who ended a tunnel.
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
	active   atomic.Int64
	timedOut atomic.Bool
}

// copier moves one direction of a tunnel. Its buffer is lent only while there
// is something to move.
type copier struct {
	tn       *tunnel
	dst, src *stream.Conn
	buf      *[]byte
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

// copyTunnel copies until src ends, and then ends dst's side; any error ends
// both directions.
func (c *copier) copyTunnel() {
	defer c.Unlend()
	for {
		n, err := c.src.ReadLent(c, c.deadline())
		switch {
		case err == io.EOF:
			if c.dst.CloseWrite() != nil {
				c.src.Interrupt()
			}
			return
		case errors.Is(err, stream.ErrTimeout) && c.tn.idle > 0 && stream.Now() < c.tn.active.Load()+c.tn.idle:
			continue // the other direction is alive
		case errors.Is(err, stream.ErrTimeout):
			c.tn.timedOut.Store(true)
			c.cut(err)
			return
		case err != nil:
			c.cut(err)
			return
		}
		c.tn.active.Store(stream.Now())
		if err := c.dst.Write((*c.buf)[:n], nil, nil); err != nil {
			c.cut(err)
			return
		}
		c.n += int64(n)
		c.Unlend()
	}
}

// cut ends both directions.
func (c *copier) cut(err error) {
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
