package http2

import (
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// ClientConn is a connection to a backend that many requests share. One
// goroutine reads it and another writes; Close waits for both.
type ClientConn struct {
	stream *stream.Conn
	stall  time.Duration
	done   chan struct{} // closed when both goroutines have ended
	wrote  chan struct{} // closed when the one that writes has

	// Of the goroutine that reads.
	source  source
	framer  *http2.Framer
	decoder *hpack.Decoder
	head    headBlock
	budget  multiplex.Budget
	moved   bool // content or a head came since the last PING

	mu       sync.Mutex
	work     sync.Cond            // there is something to write, or it is over
	streams  map[uint32]*Upstream // requests whose end did not come
	nextID   uint32
	taken    int   // requests that have the connection, begun or not
	uses     int   // requests ever
	peerMost int   // SETTINGS_MAX_CONCURRENT_STREAMS of the backend
	leaving  bool  // no further requests: the backend said so, or we do
	dead     bool  // nothing goes on
	err      error // why
	lastEnd  int64 // when the last request ended
	lastRead int64 // when the last frame came
	suspect  bool  // a request was given up, and nothing had come since it began
	asked    int64 // when a PING of ours went out that was not answered; 0: none is out

	// Windows: how much may still be sent, and may still come.
	window     int64
	allowed    int64
	unreturned int64
	peerWindow int64 // SETTINGS_INITIAL_WINDOW_SIZE of the backend

	out     []byte      // to be written
	spare   []byte      // the other buffer
	control int         // frames in out that answer the backend's
	senders []*Upstream // they wait for room in out, or for a window
	encoder encoder
}

// What a backend may have of a connection, and we of one.
const (
	// maxShared is how many requests share a connection at most, however many
	// the backend allows: what breaks with it breaks for all of them.
	maxShared = 100
	// upstreamWindow is how much of a response may come ahead of its reader.
	upstreamWindow = 128 << 10
	// maxResponseHead is the largest response head (SETTINGS_MAX_HEADER_LIST_SIZE),
	// in bytes; each request may allow less.
	maxResponseHead = 64 << 10
	// maxResponseFields is how many fields a response head may have.
	maxResponseFields = 1000
	// lastStream is the highest stream that is opened on a connection.
	lastStream = 1 << 30
	// answerBy is how long a backend has to answer a PING. It is asked only when
	// a request got no answer: gRPC servers send away who asks often.
	answerBy = 10 * time.Second
)

// Errors of connections to backends.
var (
	errNotHTTP2  = errors.New("the backend does not speak HTTP/2")
	errNoAnswer  = errors.New("the backend does not answer PING")
	errConnEnded = errors.New("connection closed")
	// ErrUnavailable is the error of a request that a connection, or the
	// backend, does not take: it may be sent again, whatever its method (RFC
	// 9113 8.7).
	ErrUnavailable = errors.New("the backend has not taken the request")
)

// ResetError is the error of a request that the backend has given up, by code
// (RFC 9113 7).
type ResetError uint32

// Error implements error.
func (e ResetError) Error() string {
	return "the backend has reset the stream: " + http2.ErrCode(e).String()
}

// NewClientConn makes a connection of a stream on which nothing was sent yet;
// s.Stall must be set. Close must follow.
func NewClientConn(s *stream.Conn) *ClientConn {
	now := stream.Now()
	c := &ClientConn{stream: s, stall: s.Stall, done: make(chan struct{}), wrote: make(chan struct{}),
		streams: make(map[uint32]*Upstream), nextID: 1, peerMost: maxShared, lastEnd: now, lastRead: now,
		window: 65535, peerWindow: 65535, allowed: connWindow}
	c.work.L = &c.mu
	c.source.init(s)
	c.framer = http2.NewFramer(nil, &c.source)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.decoder = hpack.NewDecoder(4096, c.head.field)
	c.decoder.SetMaxStringLength(maxResponseHead)
	c.greet()
	go c.write()
	go c.read()
	return c
}

// greet sends the preface and our settings.
func (c *ClientConn) greet() {
	c.out = append(c.out, Preface...)
	settings := [...]http2.Setting{
		{ID: http2.SettingEnablePush, Val: 0},
		{ID: http2.SettingInitialWindowSize, Val: upstreamWindow},
		{ID: http2.SettingMaxHeaderListSize, Val: maxResponseHead},
	}
	c.out = appendFrameHead(c.out, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		c.out = append(c.out, byte(s.ID>>8), byte(s.ID))
		c.out = appendUint32(c.out, s.Val)
	}
	c.out = appendWindowUpdate(c.out, 0, connWindow-65535)
}

// Open has the connection carry u's next request; false if it takes no more.
// maxHead bounds the response head. Release must follow.
func (c *ClientConn) Open(u *Upstream, maxHead int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.usable() || c.taken >= c.peerMost {
		return false
	}
	u.begin(c, maxHead)
	c.taken++
	c.uses++
	return true
}

// usable reports whether the connection is there for further requests. c.mu is
// held.
func (c *ClientConn) usable() bool { return !c.dead && !c.leaving && c.nextID < lastStream }

// Usable reports whether the connection will take further requests, now or
// when others have ended.
func (c *ClientConn) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usable()
}

// Over reports whether the connection has ended.
func (c *ClientConn) Over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Tend looks after the connection, now and then: it ends one that had no
// request since the given time, and one whose backend has vanished.
func (c *ClientConn) Tend(now, idleSince int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead:
	case c.taken == 0 && (c.leaving || c.lastEnd < idleSince):
		c.leave()
	case c.asked != 0:
		if now-max(c.asked, c.lastRead) > int64(answerBy) {
			c.kill(errNoAnswer)
			c.stream.Cut()
		}
	case c.suspect:
		c.ask()
	}
}

// ask sends a PING. c.mu is held.
func (c *ClientConn) ask() {
	c.suspect = false
	c.asked = stream.Now()
	c.out = appendFrameHead(c.out, 8, http2.FramePing, 0, 0)
	c.out = append(c.out, "gatehous"...)
	c.work.Signal()
}

// leave ends the connection when the requests that it has are over. c.mu is
// held.
func (c *ClientConn) leave() {
	c.leaving = true
	if c.taken > 0 || c.dead {
		return
	}
	c.out = appendGoAway(c.out, 0, http2.ErrCodeNo)
	c.kill(errConnEnded)
}

// Close ends the connection, and what is under way on it, and waits for that.
func (c *ClientConn) Close() {
	c.Cut()
	<-c.done
}

// Cut is Close for those who do not wait.
func (c *ClientConn) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken == 0 {
		c.leave()
		return
	}
	c.kill(errConnEnded)
	c.stream.Cut()
}

// kill ends all requests; what is in out is still written. c.mu is held.
func (c *ClientConn) kill(err error) {
	if c.dead {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // of no body
	}
	c.dead, c.err = true, err
	for _, u := range c.streams {
		u.fail(err)
	}
	clear(c.streams)
	c.wakeSenders()
	c.work.Signal()
	c.stream.Interrupt()
}

// read is the goroutine that reads.
func (c *ClientConn) read() {
	defer close(c.done)
	err := c.readFrames()
	c.mu.Lock()
	if !c.dead {
		c.kill(err)
		if !errors.Is(err, errGoodbye) {
			c.stream.Cut() // whoever writes must not wait
		}
	}
	c.mu.Unlock()
	<-c.wrote
	c.source.release()
	c.stream.Close()
}

// errGoodbye is the end of a connection of which the backend is still told why.
var errGoodbye = errors.New("protocol error of the backend")

// readFrames reads until the connection ends.
func (c *ClientConn) readFrames() error {
	for first := true; ; first = false {
		if err := c.awaitFrame(); err != nil {
			return err
		}
		f, err := c.framer.ReadFrame()
		if first {
			if s, ok := f.(*http2.SettingsFrame); err != nil || !ok || s.IsAck() {
				return errNotHTTP2
			}
		}
		if err == nil {
			err = c.frame(f)
		}
		if err != nil {
			if err = c.failed(err); err != nil {
				return err
			}
		}
	}
}

// awaitFrame waits for the first byte of a frame.
func (c *ClientConn) awaitFrame() error {
	if err := c.ended(); err != nil {
		return err
	}
	for c.source.buffered() == 0 {
		if err := c.source.await(stream.Never); err != nil {
			return err
		}
	}
	now := stream.Now()
	c.source.deadline = now + int64(frameTime)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastRead, c.suspect = now, false
	return c.err
}

// ended is why the connection has ended; nil: it has not.
func (c *ClientConn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
