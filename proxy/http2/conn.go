package http2

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// Conn is a client's connection. One goroutine runs Serve on it.
type Conn struct {
	Data any // the handler's

	handler Handler
	stream  *stream.Conn
	stall   time.Duration

	// Of the goroutine that reads.
	source  source
	framer  *http2.Framer
	decoder *hpack.Decoder
	block   block
	budget  multiplex.Budget
	seen    int         // requests
	active  int64       // when the last frame came
	large   atomic.Bool // a large frame was read

	mu       sync.Mutex
	room     sync.Cond // the buffer was written, or the connection's window has grown
	streams  map[uint32]*Exchange
	last     uint32 // the highest stream of the client's
	serving  int    // exchanges whose handler runs
	lastEnd  int64  // when the last exchange ended
	draining bool
	drained  int64 // when the client was told to open no more streams
	leaving  bool  // it is to end when it is idle
	goneAway bool  // the last word on which streams are served was sent
	dead     bool  // nothing more can be written
	resets   ring  // streams that we have reset: frames may still come
	ticking  bool
	ticker   *time.Timer
	running  sync.WaitGroup // exchanges and the writer

	// Windows: how much may still be sent, and is yet to be allowed.
	window     int64
	sentData   int64
	unread     int64 // bytes of bodies that were not taken
	unreturned int64 // bytes that are, of which the client was not told
	peerWindow int64 // SETTINGS_INITIAL_WINDOW_SIZE of the client

	out       []byte  // to be written
	spare     []byte  // the other buffer
	queued    bool    // somebody is about to write it
	writing   bool    // somebody does
	vector    *vector // nil: nothing was written directly
	control   int     // frames in out that answer the client's
	moved     bool    // content came or went since the last PING
	line      line
	headsWait int // streams that wait for room for a head
	encoder   encoder
}

// Connection errors that are not the Framer's.
var (
	errPreface = errors.New("no HTTP/2 preface")
	errGone    = errors.New("client is gone")
)

// Preface is what a client begins a connection with (RFC 9113 3.4).
const Preface = http2.ClientPreface

// NewConn makes a connection of a stream, on which nothing has been read.
func NewConn(s *stream.Conn, h Handler) *Conn {
	c := &Conn{handler: h, stream: s, stall: s.Stall, streams: make(map[uint32]*Exchange), window: 65535, peerWindow: 65535}
	c.room.L = &c.mu
	c.source.init(s)
	c.newFramer()
	c.decoder = hpack.NewDecoder(4096, c.block.field)
	return c
}

func (c *Conn) newFramer() {
	c.framer = http2.NewFramer(nil, &c.source)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
}

// Stream is what the connection is on.
func (c *Conn) Stream() *stream.Conn { return c.stream }

// Peer is the other end as the stream knows it.
func (c *Conn) Peer() netip.AddrPort { return c.stream.RemoteAddr() }

// Serve runs the connection until it ends, and closes it. It returns when the
// last exchange is over.
func (c *Conn) Serve() {
	c.serve()
	c.die()
	c.source.release()
	_ = c.stream.CloseWrite() // the client need not wait for those who are still to notice
	c.running.Wait()
	c.mu.Lock()
	if c.ticker != nil {
		c.ticker.Stop()
	}
	c.mu.Unlock()
	c.stream.Close()
}

func (c *Conn) serve() {
	o := c.handler.Options()
	c.active = stream.Now()
	if err := c.readPreface(c.active + int64(o.HeadTimeout)); err != nil {
		return
	}
	c.greet(o)
	first := true
	for {
		if !c.awaitFrame() {
			return
		}
		f, err := c.framer.ReadFrame()
		if err == nil && first {
			if _, ok := f.(*http2.SettingsFrame); !ok {
				err = http2.ConnectionError(http2.ErrCodeProtocol)
			}
		}
		first = false
		if err == nil {
			err = c.frame(f)
		}
		if err != nil && !c.failed(err) {
			return
		}
	}
}

func (c *Conn) readPreface(deadline int64) error {
	var got [len(Preface)]byte
	for n := 0; n < len(got); {
		m, err := c.source.read(got[n:], deadline)
		if err != nil {
			return err
		}
		n += m
		if !bytes.Equal(got[:n], []byte(Preface)[:n]) {
			return errPreface
		}
	}
	return nil
}

// greet sends our settings.
func (c *Conn) greet(o *http1.Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: MaxStreams},
		{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(o.HeadBytes)},
		{ID: http2.SettingEnableConnectProtocol, Val: 1},
		{ID: http2.SettingNoRFC7540Priorities, Val: 1},
	}
	c.out = appendFrameHead(c.out, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		c.out = append(c.out, byte(s.ID>>8), byte(s.ID))
		c.out = appendUint32(c.out, s.Val)
	}
	c.appendWindowUpdate(0, connWindow-65535)
	c.tend()
}

// awaitFrame waits for the first byte of a frame; false ends the connection.
func (c *Conn) awaitFrame() bool {
	for {
		if c.source.buffered() > 0 {
			c.source.deadline = c.frameDeadline()
			return true
		}
		c.rest()
		err := c.source.await(c.idleDeadline())
		switch err {
		case nil:
			c.active = stream.Now()
			continue
		case stream.ErrInterrupted:
			c.stream.Resume()
		case stream.ErrTimeout:
		default:
			return false
		}
		if c.over() {
			return false
		}
	}
}

// frameDeadline is when the frame that begins must be there.
func (c *Conn) frameDeadline() int64 {
	deadline := stream.Now() + int64(frameTime)
	if c.block.id != 0 {
		deadline = min(deadline, c.block.began+int64(c.handler.Options().HeadTimeout))
	}
	return deadline
}

// idleDeadline is when there must be a frame, or a reason that there is none.
func (c *Conn) idleDeadline() int64 {
	o := c.handler.Options()
	if c.block.id != 0 {
		return c.block.began + int64(o.HeadTimeout)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := o.IdleTimeout
	switch {
	case c.seen == 0:
		wait = o.HeadTimeout
	case c.draining:
		wait = min(wait, http1.Linger)
	}
	from := c.quietSince()
	if len(c.streams) > 0 || c.serving > 0 {
		from = stream.Now()
	}
	return from + int64(wait)
}

// quietSince is since when the connection has nothing to do. PING and the like
// keep it open, but not one that is to end. c.mu is held.
func (c *Conn) quietSince() int64 {
	if c.draining {
		return max(c.lastEnd, c.drained)
	}
	return max(c.lastEnd, c.active)
}

// rest gives back what a connection that waits need not have.
func (c *Conn) rest() {
	if c.block.id != 0 {
		return
	}
	c.block = block{section: c.block.section}
	c.block.section.Trim(maxIdleBuffer)
	c.mu.Lock()
	idle := c.serving == 0
	c.trim()
	c.mu.Unlock()
	if idle && c.large.Load() {
		c.large.Store(false)
		c.newFramer() // it keeps the largest frame's memory
	}
}

// trim gives back what an idle connection need not have to write. c.mu is held.
func (c *Conn) trim() {
	if c.serving == 0 && !c.writing && len(c.out) == 0 {
		c.out, c.spare, c.vector = trimmed(c.out), trimmed(c.spare), nil
		c.encoder.trim()
	}
}

// over tells, when nothing came in time, whether the connection is to end.
func (c *Conn) over() bool {
	if c.block.id != 0 {
		c.closeWith(http2.ErrCodeEnhanceYourCalm)
		return true
	}
	o := c.handler.Options()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return true
	}
	if len(c.streams) > 0 || c.serving > 0 {
		return false
	}
	now := stream.Now()
	since := now - c.quietSince()
	wait := o.IdleTimeout
	if c.seen == 0 {
		wait = o.HeadTimeout
	}
	if c.leaving || since >= int64(wait) || c.draining && since >= int64(http1.Linger) {
		c.lastGoAway(http2.ErrCodeNo)
		return true
	}
	return false
}

// frame handles one frame. Errors are those of the Framer, for failed.
func (c *Conn) frame(f http2.Frame) error {
	h := f.Header()
	if h.Length > 4<<10 {
		c.large.Store(true)
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.HeadersFrame:
		return c.headers(f)
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
	case *http2.PriorityFrame:
		return c.priority(f)
	case *http2.GoAwayFrame:
		return nil // the client opens no more; its requests are still answered
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return c.spend(multiplex.CostUnknown)
}

// spend takes from the budget, and is an error when that is empty.
func (c *Conn) spend(points int64) error {
	if c.budget.Spend(points) {
		return nil
	}
	return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
}

// failed deals with an error of reading; false ends the connection.
func (c *Conn) failed(err error) bool {
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		if c.spend(multiplex.CostError) != nil {
			c.closeWith(http2.ErrCodeEnhanceYourCalm)
			return false
		}
		c.resetStream(e.StreamID, e.Code)
		return true
	}
	code := http2.ErrCodeNo
	if e, ok := errors.AsType[http2.ConnectionError](err); ok {
		code = http2.ErrCode(e)
	} else if errors.Is(err, http2.ErrFrameTooLarge) {
		code = http2.ErrCodeFrameSize
	} else {
		return false // the client is gone, or too slow
	}
	c.closeWith(code)
	return false
}

// closeWith says why the connection ends.
func (c *Conn) closeWith(code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastGoAway(code)
}

// lastGoAway says which requests were taken. c.mu is held.
func (c *Conn) lastGoAway(code http2.ErrCode) {
	if c.goneAway {
		return
	}
	c.goneAway, c.draining = true, true
	c.appendGoAway(c.last, code)
	c.tend()
}

// Drain asks the client to open no more streams on the connection, and ends it
// when those that are open are done. It may be called from any goroutine.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return
	}
	c.draining, c.drained = true, stream.Now()
	c.appendGoAway(1<<31-1, http2.ErrCodeNo) // requests may be on their way (RFC 9113 6.8)
	c.tend()
	c.stream.Interrupt()
}

// refuseLate ends what is allowed to a client that was told to open no more
// streams, and had time to hear of it. c.mu is held.
func (c *Conn) refuseLate() {
	if c.draining && !c.goneAway && stream.Now()-c.drained > int64(http1.Linger) {
		c.lastGoAway(http2.ErrCodeNo)
	}
}

// Leave ends the connection if it is idle, and otherwise as soon as it is.
func (c *Conn) Leave() {
	c.Drain()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.stream.Interrupt()
}

// Idle reports whether the connection has no request under way.
func (c *Conn) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serving == 0
}

// die ends what is under way, after what was said last is out.
func (c *Conn) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := stream.Now() + int64(time.Second)
	for (c.queued || c.writing) && !c.dead && stream.Now() < until {
		c.tick()
		c.room.Wait()
	}
	c.kill()
}

// kill ends all streams. c.mu is held.
func (c *Conn) kill() {
	if c.dead {
		return
	}
	c.dead = true
	for _, x := range c.streams {
		x.leave()
	}
	c.room.Broadcast()
}

// tick has streams look at their deadlines while there are any. c.mu is held.
func (c *Conn) tick() {
	if c.ticking {
		return
	}
	c.ticking = true
	if c.ticker == nil {
		c.ticker = time.AfterFunc(tickEvery, c.ticked)
		return
	}
	c.ticker.Reset(tickEvery)
}

func (c *Conn) ticked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticking = false
	waits := (c.queued || c.writing) && c.goneAway
	now := stream.Now()
	for _, x := range c.streams {
		for _, deadline := range [...]int64{x.deadline, x.sendBy} {
			if deadline != 0 && deadline <= now {
				x.cond.Broadcast()
			}
			waits = waits || deadline != 0
		}
	}
	c.room.Broadcast()
	if waits {
		c.tick()
	}
}
