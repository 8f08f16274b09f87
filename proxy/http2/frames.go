package http2

import (
	"golang.org/x/net/http2"

	"gatehouse/proxy/multiplex"
)

// maxWindow is the largest window there is (RFC 9113 6.9.1).
const maxWindow = 1<<31 - 1

// data takes a piece of a request body.
func (c *Conn) data(f *http2.DataFrame) error {
	payload, size := f.Data(), int64(f.Length)
	if len(payload) == 0 && !f.StreamEnded() {
		if err := c.spend(multiplex.CostEmpty); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Padding counts, too, and is done with at once.
	if size > c.bodyRoom() {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	defer c.filled(c.bodyRoom())
	x := c.streams[f.StreamID]
	if x == nil || x.theirEnd {
		c.giveBack(size)
		return c.unexpected(f.StreamID, x)
	}
	if size > x.allowed {
		c.giveBack(size)
		return streamError(f.StreamID, http2.ErrCodeFlowControl)
	}
	x.allowed -= size
	x.got += size
	c.giveBack(size - int64(len(payload)))
	x.giveBack(size - int64(len(payload)))
	if x.reset {
		c.giveBack(int64(len(payload)))
		return nil
	}
	x.came += int64(len(payload))
	if x.length >= 0 && (x.came > x.length || f.StreamEnded() && x.came < x.length) {
		c.giveBack(int64(len(payload)))
		return streamError(f.StreamID, http2.ErrCodeProtocol) // row 28
	}
	x.body = append(x.body, payload...)
	c.moved = c.moved || len(payload) > 0
	c.unread += int64(len(payload))
	if f.StreamEnded() {
		x.theirEnd = true
	}
	x.cond.Broadcast()
	return nil
}

// bodyRoom is how much of bodies the client may send as things are. c.mu is
// held.
func (c *Conn) bodyRoom() int64 { return connWindow - c.unreturned - c.unread }

// filled wakes those who hold bodies when they have become so much that the
// client cannot go on: each would wait for more of its own. was is the room
// that there was before. c.mu is held.
func (c *Conn) filled(was int64) {
	if was < maxFrame || c.bodyRoom() >= maxFrame {
		return
	}
	for _, x := range c.streams {
		x.cond.Broadcast()
	}
}

// unexpected is what a frame is that belongs to no open stream; x is the
// stream if the client has ended it. c.mu is held.
func (c *Conn) unexpected(id uint32, x *Exchange) error {
	switch {
	case x == nil && (id > c.last || id%2 == 0):
		return http2.ConnectionError(http2.ErrCodeProtocol) // idle
	case x == nil && c.resets.has(id), x != nil && x.reset:
		return nil
	}
	return streamError(id, http2.ErrCodeStreamClosed)
}

func streamError(id uint32, code http2.ErrCode) error {
	return http2.StreamError{StreamID: id, Code: code}
}

func (c *Conn) settings(f *http2.SettingsFrame) error {
	if err := c.spend(multiplex.CostSettings); err != nil {
		return err
	}
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			return c.setPeerWindow(int64(s.Val))
		case http2.SettingHeaderTableSize:
			c.encoder.told = false
		}
		return nil // the others bound what we never send, or may be ignored
	})
	if err != nil {
		return err
	}
	c.out = appendFrameHead(c.out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	return c.answered()
}

// setPeerWindow changes what may be sent of each response (RFC 9113 6.9.2).
// c.mu is held.
func (c *Conn) setPeerWindow(size int64) error {
	more := size - c.peerWindow
	c.peerWindow = size
	for _, x := range c.streams {
		if x.window += more; x.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		x.cond.Broadcast()
	}
	return nil
}

func (c *Conn) ping(f *http2.PingFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// One with content costs nothing: clients of gRPC measure by it how much
	// may be on the way.
	free := c.moved
	c.moved = false
	if !free {
		if err := c.spend(multiplex.CostPing); err != nil {
			return err
		}
	}
	if f.IsAck() {
		return nil
	}
	c.out = appendFrameHead(c.out, len(f.Data), http2.FramePing, http2.FlagPingAck, 0)
	c.out = append(c.out, f.Data[:]...)
	return c.answered()
}

// answered counts an answer to a frame of the client's, which is in out. c.mu
// is held.
func (c *Conn) answered() error {
	if c.control++; c.control > maxControl {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	c.tend()
	return nil
}

func (c *Conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if f.Increment < smallIncrement {
		if err := c.spend(multiplex.CostWindow); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.passOn()
		return nil
	}
	x := c.streams[f.StreamID]
	if x == nil {
		if f.StreamID > c.last || f.StreamID%2 == 0 {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	if x.window += int64(f.Increment); x.window > maxWindow {
		return streamError(f.StreamID, http2.ErrCodeFlowControl)
	}
	x.cond.Broadcast()
	return nil
}

// reset is the client giving up a request.
func (c *Conn) reset(f *http2.RSTStreamFrame) error {
	if err := c.spend(multiplex.CostReset); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.streams[f.StreamID]
	if x == nil {
		if f.StreamID > c.last || f.StreamID%2 == 0 {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil
	}
	delete(c.streams, f.StreamID)
	x.leave()
	return nil
}

func (c *Conn) priority(f *http2.PriorityFrame) error {
	if f.StreamDep == f.StreamID {
		return streamError(f.StreamID, http2.ErrCodeProtocol)
	}
	return c.spend(multiplex.CostPriority)
}

// resetStream ends a stream because of an error of the client's.
func (c *Conn) resetStream(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.streams[id]; x != nil {
		delete(c.streams, id)
		x.leave()
	}
	if id > c.last {
		c.last = id // it counts as one that was seen
	}
	c.appendReset(id, code)
	c.tend()
}

// giveBack returns bytes of the connection's window to the client, some at a
// time. c.mu is held.
func (c *Conn) giveBack(n int64) {
	if c.unreturned += n; c.unreturned >= connWindow/4 {
		c.appendWindowUpdate(0, uint32(c.unreturned))
		c.unreturned = 0
		c.tend()
	}
}
