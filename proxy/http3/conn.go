package http3

import (
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// Conn is a client's connection. One goroutine runs Serve on it.
type Conn struct {
	Data any // the handler's

	handler Handler
	quic    *quic.Conn
	stall   time.Duration
	opened  int64
	running sync.WaitGroup // streams
	own     ownStreams     // the client's that are no requests

	mu       sync.Mutex
	control  *quic.SendStream
	budget   multiplex.Budget
	seen     int           // requests
	next     quic.StreamID // what the client opens next
	limit    quic.StreamID // requests from here on are refused
	serving  int
	lastEnd  int64 // when the last exchange ended, or the connection was opened
	draining bool  // the client was told to open no more streams
	drained  int64 // when
	checks   *time.Timer
	over     bool
}

// NewConn makes a connection of QUIC's. A write that makes no progress for
// stall ends its stream; zero: never.
func NewConn(q *quic.Conn, h Handler, stall time.Duration) *Conn {
	now := stream.Now()
	return &Conn{handler: h, quic: q, stall: stall, opened: now, lastEnd: now, limit: maxGoAway}
}

// RTT implements rewrite.RoundTripper.
func (c *Conn) RTT() (time.Duration, bool) {
	rtt := c.quic.ConnectionStats().SmoothedRTT
	return rtt, rtt > 0
}

// maxGoAway is the largest id of a request (RFC 9114 5.2).
const maxGoAway = 1<<62 - 4

// Serve runs the connection until it ends. It returns when the last exchange is
// over.
func (c *Conn) Serve() {
	if err := c.greet(); err != nil {
		c.closeWith(codeGeneral)
	}
	c.running.Go(c.acceptOwn)
	c.checkLater(c.handler.Options().HeadTimeout)
	for {
		s, err := c.quic.AcceptStream(c.quic.Context())
		if err != nil {
			break
		}
		c.request(s)
	}
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.checks != nil {
		c.checks.Stop()
	}
}

// Settings of ours and the client's (RFC 9114 7.2.4.1, RFC 9220 5). That we have
// no dynamic table needs no saying (RFC 9204 5).
const (
	settingMaxFieldSection = 0x6
	settingConnectProtocol = 0x8
)

// greet opens our control stream.
func (c *Conn) greet() error {
	s, err := c.quic.OpenUniStream()
	if err != nil {
		return err
	}
	settings := quicvarint.Append(nil, settingMaxFieldSection)
	settings = quicvarint.Append(settings, uint64(c.handler.Options().HeadBytes))
	settings = quicvarint.Append(settings, settingConnectProtocol)
	settings = quicvarint.Append(settings, 1)
	hello := quicvarint.Append(nil, streamControl)
	hello = appendFrameHead(hello, frameSettings, len(settings))
	_, err = s.Write(append(hello, settings...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = s
	if c.draining {
		c.goAway(maxGoAway) // it was told before there was a control stream
	}
	return err
}

// request begins a request, which a goroutine of the pool reads.
func (c *Conn) request(s *quic.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := s.StreamID()
	c.refuseLate()
	if id >= c.limit || c.over {
		s.CancelRead(quic.StreamErrorCode(codeRequestRejected))
		s.CancelWrite(quic.StreamErrorCode(codeRequestRejected))
		s.ReleaseStreamCredit()
		return
	}
	c.next = max(c.next, id+4)
	c.seen++
	c.serving++
	x := exchanges.Get().(*Exchange)
	x.begin(c, s)
	x.first, x.idleSince = c.seen == 1, c.lastEnd
	c.running.Add(1)
	pool.Do(task{x})
}

// ended notes the end of an exchange.
func (c *Conn) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving--
	c.lastEnd = stream.Now()
	if c.serving == 0 && c.draining {
		c.checkIn(c.lingers())
	}
}

// spend takes from the budget; when that is empty the connection ends.
func (c *Conn) spend(points int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.budget.Spend(points) {
		return nil
	}
	return connError{codeExcessiveLoad}
}

// failed ends the connection if an error says so.
func (c *Conn) failed(err error) {
	if e, ok := errors.AsType[connError](err); ok {
		c.closeWith(e.code)
	}
}

func (c *Conn) closeWith(why code) {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(why), "") // it does not fail
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
	c.goAway(maxGoAway) // requests may be on their way (RFC 9114 5.2)
	c.checkIn(http1.Linger)
}

// goAway says from which request on none is taken. c.mu is held.
func (c *Conn) goAway(id quic.StreamID) {
	if c.control == nil {
		return
	}
	p := quicvarint.Append(nil, uint64(id))
	p = append(appendFrameHead(nil, frameGoAway, len(p)), p...)
	// So little is only noted, unless the client takes nothing at all.
	_ = c.control.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, _ = c.control.Write(p) // a client that is gone learns nothing
}

// refuseLate ends what is allowed to a client that was told to open no more
// streams, and had time to hear of it. c.mu is held.
func (c *Conn) refuseLate() {
	if c.draining && c.limit > c.next && stream.Now()-c.drained > int64(http1.Linger) {
		c.limit = c.next
		c.goAway(c.next)
	}
}

// Leave ends the connection if it is idle, and otherwise as soon as it is.
func (c *Conn) Leave() {
	c.Drain()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkIn(0)
}

// Cut ends the connection, whatever is under way.
func (c *Conn) Cut() { c.closeWith(codeNo) }

// lingers is how long a connection is kept after its last exchange: for a
// request that is on its way, and for what was sent last to arrive.
func (c *Conn) lingers() time.Duration {
	rtt, _ := c.RTT()
	return http1.Linger + settle*min(rtt, time.Second)
}

func (c *Conn) checkLater(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkIn(wait)
}

// checkIn has the connection looked at after a while. c.mu is held.
func (c *Conn) checkIn(wait time.Duration) {
	switch {
	case c.over:
	case c.checks == nil:
		c.checks = time.AfterFunc(wait, c.check)
	default:
		c.checks.Reset(wait)
	}
}

// check ends the connection if it has nothing to do and is to go.
func (c *Conn) check() {
	if c.done() {
		c.closeWith(codeNo)
	}
}

// done reports whether the connection has nothing to do and is to go: because
// it was drained, or because no request ever came. If not yet, it will be asked
// again.
func (c *Conn) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.refuseLate()
	if c.serving > 0 {
		return false // its end asks again
	}
	now := stream.Now()
	if !c.draining {
		return c.seen == 0 && now-c.opened >= int64(c.handler.Options().HeadTimeout)
	}
	wait := c.lingers() - time.Duration(now-max(c.lastEnd, c.drained))
	if wait > 0 {
		c.checkIn(wait)
	}
	return wait <= 0
}
