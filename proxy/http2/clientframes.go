package http2

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"

	"gatehouse/proxy/multiplex"
)

// frame handles one frame of a backend's.
func (c *ClientConn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.HeadersFrame:
		c.moved = true
		c.head.begin(f.StreamID, f.StreamEnded())
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.reset(f)
	case *http2.GoAwayFrame:
		return c.goAway(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // we have forbidden it
	}
	return c.spend(multiplex.CostUnknown)
}

func (c *ClientConn) spend(points int64) error {
	if c.budget.Spend(points) {
		return nil
	}
	return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
}

// failed deals with an error of reading; nil: it was that of one request.
func (c *ClientConn) failed(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		if c.spend(multiplex.CostError) == nil {
			c.refuse(e.StreamID, e.Code)
			return nil
		}
		err = http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	code, ok := errors.AsType[http2.ConnectionError](err)
	if errors.Is(err, http2.ErrFrameTooLarge) {
		code, ok = http2.ConnectionError(http2.ErrCodeFrameSize), true
	}
	if !ok {
		return err // the backend is gone, or too slow
	}
	c.out = appendGoAway(c.out, 0, http2.ErrCode(code))
	return fmt.Errorf("%w: %v", errGoodbye, http2.ErrCode(code))
}

// refuse ends a request because of an error of the backend's. c.mu is held.
func (c *ClientConn) refuse(id uint32, code http2.ErrCode) {
	if u := c.streams[id]; u != nil {
		delete(c.streams, id)
		u.fail(invalid("stream error: " + code.String()))
	}
	c.out = appendReset(c.out, id, code)
	c.work.Signal()
}

// unknown judges a frame for a stream that is not open: one that was is
// nothing to speak of. c.mu is held.
func (c *ClientConn) unknown(id uint32) error {
	if id%2 == 0 || id >= c.nextID {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// data takes a piece of a response body. The connection's window is given back
// at once, so that a client who reads slowly holds up nobody else: what is kept
// is bounded by the windows of streams.
func (c *ClientConn) data(f *http2.DataFrame) error {
	payload, size := f.Data(), int64(f.Length)
	if len(payload) == 0 && !f.StreamEnded() {
		if err := c.spend(multiplex.CostEmpty); err != nil {
			return err
		}
	}
	c.moved = true
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.allowed -= size; c.allowed < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.giveBack(size)
	u := c.streams[f.StreamID]
	if u == nil {
		return c.unknown(f.StreamID)
	}
	return u.take(payload, size, f.StreamEnded())
}

// giveBack returns bytes of the connection's window, some at a time. c.mu is
// held.
func (c *ClientConn) giveBack(n int64) {
	if c.unreturned += n; c.unreturned >= connWindow/4 {
		c.out = appendWindowUpdate(c.out, 0, uint32(c.unreturned))
		c.allowed += c.unreturned
		c.unreturned = 0
		c.work.Signal()
	}
}

func (c *ClientConn) settings(f *http2.SettingsFrame) error {
	if err := c.spend(multiplex.CostSettings); err != nil || f.IsAck() {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingMaxConcurrentStreams:
			c.peerMost = int(min(s.Val, maxShared))
		case http2.SettingInitialWindowSize:
			return c.setPeerWindow(int64(s.Val))
		case http2.SettingHeaderTableSize:
			c.encoder.told = false
		}
		return nil // the others bound what we never send
	})
	if err != nil {
		return err
	}
	c.out = appendFrameHead(c.out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
	return c.answered()
}

// setPeerWindow changes what may be sent of each request (RFC 9113 6.9.2). c.mu
// is held.
func (c *ClientConn) setPeerWindow(size int64) error {
	more := size - c.peerWindow
	c.peerWindow = size
	for _, u := range c.streams {
		if u.window += more; u.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		u.wakeSender()
	}
	return nil
}

// answered counts an answer to a frame of the backend's. c.mu is held.
func (c *ClientConn) answered() error {
	if c.control++; c.control > maxControl {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	c.work.Signal()
	return nil
}

// ping answers. One that comes with content costs nothing: that is how some
// measure how much may be on the way.
func (c *ClientConn) ping(f *http2.PingFrame) error {
	if f.IsAck() {
		return c.ponged()
	}
	if !c.moved {
		if err := c.spend(multiplex.CostPing); err != nil {
			return err
		}
	}
	c.moved = false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendFrameHead(c.out, len(f.Data), http2.FramePing, http2.FlagPingAck, 0)
	c.out = append(c.out, f.Data[:]...)
	return c.answered()
}

// ponged is the answer to our PING.
func (c *ClientConn) ponged() error {
	if err := c.spend(multiplex.CostPing); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = 0
	return nil
}

func (c *ClientConn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if f.Increment < smallIncrement && !c.moved {
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
		c.wakeSenders()
		return nil
	}
	u := c.streams[f.StreamID]
	if u == nil {
		return c.unknown(f.StreamID)
	}
	if u.window += int64(f.Increment); u.window > maxWindow {
		return streamError(f.StreamID, http2.ErrCodeFlowControl)
	}
	u.wakeSender()
	return nil
}

// reset is the backend giving up a request, or not wanting the rest of it.
func (c *ClientConn) reset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.streams[f.StreamID]
	if u == nil {
		if err := c.spend(multiplex.CostReset); err != nil {
			return err
		}
		return c.unknown(f.StreamID)
	}
	delete(c.streams, f.StreamID)
	switch {
	case u.theirEnd: // the response is whole (RFC 9113 8.1)
		u.stop()
	case f.ErrCode == http2.ErrCodeRefusedStream && u.heads == 0:
		u.refused = true
		u.fail(ErrUnavailable)
	default:
		u.fail(ResetError(f.ErrCode))
	}
	return nil
}

// goAway ends the requests that the backend has not looked at; the others go
// on (RFC 9113 6.8).
func (c *ClientConn) goAway(f *http2.GoAwayFrame) error {
	if err := c.spend(multiplex.CostSettings); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	for id, u := range c.streams {
		if id > f.LastStreamID {
			delete(c.streams, id)
			u.refused = u.heads == 0
			u.fail(ErrUnavailable)
		}
	}
	c.leave()
	return nil
}
