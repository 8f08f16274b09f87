//go:build linux

package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Streams is a load of bulk data: each stream sends as fast as it can, as
// iperf3 does.
type Streams struct {
	To       netip.AddrPort
	Streams  int
	Warmup   time.Duration // before anything counts
	Duration time.Duration // what counts
	PIDs     []int         // processes whose CPU time is measured
}

// Streamed is what Streams have found out. All of it is of the time that
// counts.
type Streamed struct {
	Bytes   uint64  `json:"bytes"` // that arrived
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_ms"`      // of PIDs, for each gigabyte (10^9)
	LoadCPU float64 `json:"load_cpu_ms"` // of the generator, likewise
}

const (
	// blockSize is how much one write sends.
	blockSize = 128 << 10
	// ackEvery is after how many bytes a Sink tells how many it has: seldom
	// enough to cost nothing beside what it counts.
	ackEvery = 1 << 20
)

// errNothing is of a load that was too short, or too slow.
var errNothing = errors.New("nothing arrived")

// Run makes the load. A stream that breaks is an error.
func (s Streams) Run() (Streamed, error) {
	if s.Streams < 1 || s.Streams > 1000 || s.Duration <= 0 || s.Warmup < 0 {
		return Streamed{}, fmt.Errorf("%d streams for %v: want 1 to 1000, and a time", s.Streams, s.Duration)
	}
	g := &streams{broken: make(chan error, 2*s.Streams)}
	defer g.close()
	for range s.Streams {
		if err := g.start(s.To); err != nil {
			return Streamed{}, err
		}
	}
	if err := g.wait(s.Warmup); err != nil {
		return Streamed{}, err
	}
	return g.measure(s)
}

// streams are those at work.
type streams struct {
	conns   []net.Conn
	arrived atomic.Uint64
	broken  chan error
	ending  atomic.Bool
	done    sync.WaitGroup
}

func (g *streams) measure(s Streams) (Streamed, error) {
	from, err := readMeter(s.PIDs)
	if err != nil {
		return Streamed{}, err
	}
	before := g.arrived.Load()
	if err := g.wait(s.Duration); err != nil {
		return Streamed{}, err
	}
	used, err := from.since(s.PIDs)
	if err != nil {
		return Streamed{}, err
	}
	r := Streamed{Bytes: g.arrived.Load() - before, Seconds: used.wall.Seconds()}
	if r.Bytes == 0 {
		return r, errNothing
	}
	r.CPU, r.LoadCPU = used.per(r.Bytes) // microseconds for a byte
	r.CPU, r.LoadCPU = r.CPU*1e6, r.LoadCPU*1e6
	return r, nil
}

func (g *streams) start(to netip.AddrPort) error {
	conn, err := net.DialTimeout("tcp4", to.String(), 5*time.Second)
	if err != nil {
		return err
	}
	g.conns = append(g.conns, conn)
	g.done.Go(func() { g.report(send(conn)) })
	g.done.Go(func() { g.report(g.count(conn)) })
	return nil
}

func (g *streams) report(err error) {
	if !g.ending.Load() {
		g.broken <- err
	}
}

// wait is for d, or until a stream breaks.
func (g *streams) wait(d time.Duration) error {
	select {
	case err := <-g.broken:
		return fmt.Errorf("a stream broke: %w", err)
	case <-time.After(d):
		return nil
	}
}

func (g *streams) close() {
	g.ending.Store(true)
	for _, conn := range g.conns {
		conn.Close()
	}
	g.done.Wait()
}

func send(conn net.Conn) error {
	block := make([]byte, blockSize)
	for i := range block {
		block[i] = letter(uint64(i))
	}
	for {
		if _, err := conn.Write(block); err != nil {
			return err
		}
	}
}

// letter is the i-th byte of a stream.
func letter(i uint64) byte { return byte(i % blockSize >> 3 * 7) }

// count reads how many bytes have arrived.
func (g *streams) count(conn net.Conn) error {
	var ack [8]byte
	for had := uint64(0); ; {
		if _, err := io.ReadFull(conn, ack[:]); err != nil {
			return err
		}
		has := binary.BigEndian.Uint64(ack[:])
		if has <= had || has > had+ackEvery+blockSize {
			return fmt.Errorf("the sink has %d bytes after %d", has, had)
		}
		g.arrived.Add(has - had)
		had = has
	}
}

// Sink is a server that takes all bytes, and tells the sender from time to
// time how many it has.
type Sink struct {
	l    net.Listener
	done sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// NewSink starts one.
func NewSink(at netip.AddrPort) (*Sink, error) {
	l, err := net.Listen("tcp4", at.String())
	if err != nil {
		return nil, err
	}
	s := &Sink{l: l, conns: make(map[net.Conn]struct{})}
	s.done.Go(s.run)
	return s, nil
}

// Addr is where it listens.
func (s *Sink) Addr() netip.AddrPort {
	addr, _ := s.l.Addr().(*net.TCPAddr)
	return addr.AddrPort()
}

// Close ends it and its connections.
func (s *Sink) Close() {
	s.l.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

func (s *Sink) run() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return
		}
		if s.keep(conn) {
			s.done.Go(func() {
				defer s.drop(conn)
				take(conn)
			})
		}
	}
}

func (s *Sink) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Sink) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	conn.Close()
}

// take reads to the end. The first block and one in each ackEvery are
// compared with what Streams send: of others the count is enough.
func take(conn net.Conn) {
	block := make([]byte, blockSize)
	var ack [8]byte
	for has, told := uint64(0), uint64(0); ; {
		n, err := conn.Read(block)
		if n > 0 && (has < blockSize || has-told < blockSize) && !right(block[:n], has) {
			return
		}
		has += uint64(n)
		if has-told >= ackEvery {
			told = has
			binary.BigEndian.PutUint64(ack[:], has)
			if _, err := conn.Write(ack[:]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// right tells whether these are the bytes of a stream from some place on.
func right(block []byte, from uint64) bool {
	for i, b := range block {
		if b != letter(from+uint64(i)) {
			return false
		}
	}
	return true
}

// CheckSink sends the bytes of a stream by way of something to a [Sink], and
// fails if they do not arrive as they are: the sink compares the first block,
// and then each in which it reports.
func CheckSink(at netip.AddrPort, limit time.Duration) error {
	conn, err := net.DialTimeout("tcp4", at.String(), limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	g := &streams{broken: make(chan error, 1)}
	g.done.Go(func() { g.report(send(conn)) })
	var ack [8]byte
	_, err = io.ReadFull(conn, ack[:])
	g.ending.Store(true)
	conn.Close()
	g.done.Wait()
	if has := binary.BigEndian.Uint64(ack[:]); err == nil && (has < ackEvery || has > ackEvery+blockSize) {
		return fmt.Errorf("the sink reports %d bytes, want about %d", has, ackEvery)
	}
	return err
}
