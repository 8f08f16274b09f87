package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// onTCP is a configuration for TCP alone.
func onTCP(r func() Responder, l config.DNSLimits) Config {
	return Config{NewResponder: r, Transports: []Transport{TCP}, Limits: l}
}

func TestPipelinedQueriesAreAnsweredInOrder(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{}))
	c := dial(t, "tcp", s.Addr(TCP))
	var queries [][]byte
	for i := range 300 {
		queries = append(queries, query(uint16(i), headerSize+i*40%3000))
	}
	queries = append(queries, query(1000, maxMessage), query(1001, headerSize))
	go func() { _, _ = c.Write(framed(queries...)) }()
	for _, q := range queries {
		wantEcho(t, c, q)
	}
	counts(t, s, "all counted", func(st Stats) bool {
		return st.TCP.Queries == 302 && st.TCP.Responses == 302 && st.TCP.Connections == 1
	})
}

// writes counts what is written to connections.
type writes struct {
	net.Listener
	n atomic.Int32
}

func (l *writes) SyscallConn() (syscall.RawConn, error) {
	return l.Listener.(syscall.Conn).SyscallConn()
}

func (l *writes) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c.(*net.TCPConn), l}, nil
}

type countedConn struct {
	*net.TCPConn
	l *writes
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.l.n.Add(1)
	return c.TCPConn.Write(p)
}

func TestAnswersToQueriesReadTogetherAreWrittenTogether(t *testing.T) {
	testkit.NoLeak(t)
	counted := &writes{}
	c := onTCP(always(echo), config.DNSLimits{})
	c.Listen = func(ctx context.Context, lc *net.ListenConfig, network, address string) (l net.Listener, err error) {
		counted.Listener, err = lc.Listen(ctx, network, address)
		return counted, err
	}
	s := start(t, "127.0.0.1:0", c)
	conn := dial(t, "tcp", s.Addr(TCP))
	q := query(1, 50)
	send1(t, conn, framed(q, q, q, q, q, q, q, q))
	for range 8 {
		wantEcho(t, conn, q)
	}
	if n := counted.n.Load(); n != 1 {
		t.Errorf("%d writes", n)
	}
}

// byByte makes connections of which each read gets one byte.
type byByte struct{ net.Listener }

func (l byByte) SyscallConn() (syscall.RawConn, error) {
	return l.Listener.(syscall.Conn).SyscallConn()
}

func (l byByte) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{c.(*net.TCPConn)}, nil
}

type slowConn struct{ *net.TCPConn }

func (c *slowConn) Read(p []byte) (int, error) { return c.TCPConn.Read(p[:min(len(p), 1)]) }

func TestQueriesMayComeByteByByte(t *testing.T) {
	testkit.NoLeak(t)
	conf := onTCP(always(echo), config.DNSLimits{})
	conf.Listen = func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
		l, err := lc.Listen(ctx, network, address)
		return byByte{l}, err
	}
	s := start(t, "127.0.0.1:0", conf)
	c := dial(t, "tcp", s.Addr(TCP))
	q := query(1, 20)
	send1(t, c, framed(q, q))
	wantEcho(t, c, q)
	wantEcho(t, c, q)
}

func TestWhatIsNoQueryEndsTheConnection(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{}))
	response := query(1, 40)
	response[flagsAt] = responseQR
	for _, bad := range [][]byte{{}, query(1, 11), response} {
		c := dial(t, "tcp", s.Addr(TCP))
		send1(t, c, framed(query(7, 20), bad))
		wantEcho(t, c, query(7, 20)) // what came before is answered
		wantEnd(t, c)
	}
	counts(t, s, "the drops", func(st Stats) bool {
		return st.TCP.Dropped[DropShort] == 2 && st.TCP.Dropped[DropResponse] == 1 && st.TCP.Connections == 0
	})
}

func TestSilentAndTooLongAnswersOverTCP(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(func(out, q []byte, from *Peer) []byte {
		switch len(q) {
		case 13:
			return out
		case 14:
			return make([]byte, maxMessage+1)
		}
		return echo(out, q, from)
	}), config.DNSLimits{}))
	c := dial(t, "tcp", s.Addr(TCP))
	send1(t, c, framed(query(1, 13), query(2, 14), query(3, 15)))
	wantEcho(t, c, query(3, 15))
	counts(t, s, "the drops", func(st Stats) bool {
		return st.TCP.Dropped[DropSilent] == 1 && st.TCP.Dropped[DropLongAnswer] == 1 && st.TCP.Responses == 1
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	testkit.NoLeak(t)
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), onTCP(always(echo), config.DNSLimits{TCPIdle: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	never, once := dial(t, "tcp", s.Addr(TCP)), dial(t, "tcp", s.Addr(TCP))
	send1(t, once, framed(query(1, 20)))
	serve(t, s)
	wantEcho(t, once, query(1, 20))
	wantEnd(t, never)
	wantEnd(t, once)
	counts(t, s, "both timed out", func(st Stats) bool { return st.TCP.TimedOut == 2 && st.TCP.Connections == 0 })
}

// A byte now and then does not keep a connection.
func TestSlowSendersAreCutOff(t *testing.T) {
	testkit.NoLeak(t)
	const idle = 200 * time.Millisecond
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{TCPIdle: idle}))
	begin := time.Now()
	var loris sync.WaitGroup
	for range 20 {
		c := dial(t, "tcp", s.Addr(TCP))
		loris.Go(func() {
			for _, b := range framed(query(1, 1000)) {
				if _, err := c.Write([]byte{b}); isTimeout(err) {
					t.Errorf("not cut off: %v", err)
				} else if err != nil {
					return
				}
				time.Sleep(idle / 10)
			}
			t.Error("a query was taken that took 20 s")
		})
	}
	loris.Wait()
	if took := time.Since(begin); took > 40*idle {
		t.Errorf("it took %v", took)
	}
	counts(t, s, "all timed out", func(st Stats) bool { return st.TCP.TimedOut == 20 && st.TCP.Queries == 0 })
}

// Who does not read has his connection closed, and no more of his queries are
// answered than fit the buffers.
func TestSlowReadersAreCutOff(t *testing.T) {
	testkit.NoLeak(t)
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), onTCP(always(func(out, q []byte, _ *Peer) []byte {
		out = echo(out, q, nil)
		return append(out, make([]byte, 30_000)...)
	}), config.DNSLimits{TCPIdle: time.Second, WaitingForWriting: 32 << 10, TCPQueries: 1 << 30}))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "tcp", s.Addr(TCP))
	_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
	p := framed(query(1, headerSize), query(2, headerSize), query(3, headerSize), query(4, headerSize))
	send1(t, c, bytes.Repeat(p, 100)) // more than fits, so that it is never idle
	serve(t, s)
	for {
		if _, err := c.Write(p); err != nil {
			break
		}
	}
	counts(t, s, "cut off", func(st Stats) bool {
		return st.TCP.TimedOut == 1 && st.TCP.Connections == 0 && st.TCP.Dropped[DropUnsent] > 0
	})
	// The socket's buffers at both ends take some 100 kB.
	if st := s.Stats().TCP; st.Queries > 200 {
		t.Errorf("%d answers of 30 kB for a client that reads nothing", st.Queries)
	}
}

// Answers beyond WaitingForWriting are not collected, however many queries
// were read together.
func TestAnswersAreNotPiledUp(t *testing.T) {
	w := newWorker(newGuard(always(func(out, q []byte, _ *Peer) []byte { return append(out, make([]byte, 5000)...) }), &panicLog{}))
	near, far := net.Pipe()
	defer near.Close()
	longest := make(chan int, 1)
	go func() {
		n, p := 0, make([]byte, 1<<20)
		for {
			k, err := far.Read(p)
			if err != nil {
				longest <- n
				return
			}
			n = max(n, k)
		}
	}()
	s := &streams{stats: new(counters)}
	s.limits.Store(&config.DNSLimits{WaitingForWriting: 20_000, TCPIdle: time.Hour, TCPQueries: 1000})
	c := &conn{streams: s, raw: near, rw: near}
	w.begin(c)
	many := framed(bytes.Split(bytes.Repeat(append(query(1, headerSize), '|'), 100), []byte("|"))[:100]...)
	w.in.buf, w.in.start, w.in.end = many, 0, len(many)
	if !w.answerAll() {
		t.Fatal("ended")
	}
	near.Close()
	if n := <-longest; n < 20_000 || n > 20_000+5002 {
		t.Errorf("a write of %d bytes", n)
	}
	if n := s.stats.responses.Load(); n != 100 {
		t.Errorf("%d responses", n)
	}
}

func TestQueriesOnOneConnectionAreBounded(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{TCPQueries: 3}))
	c := dial(t, "tcp", s.Addr(TCP))
	q := query(1, 1000)
	send1(t, c, framed(q, q, q, q, q, q, q, q))
	// The queries that are not answered must not cost those that are, not
	// even once the server has closed its side.
	counts(t, s, "the end", func(st Stats) bool { return st.TCP.Connections == 0 })
	for range 3 {
		wantEcho(t, c, q)
	}
	if p, err := io.ReadAll(c); len(p) > 0 || err != nil {
		t.Errorf("read %x, %v; want an orderly end", p, err)
	}
}

func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{TCPPerClient: 2}))
	first, second := dial(t, "tcp", s.Addr(TCP)), dial(t, "tcp", s.Addr(TCP))
	counts(t, s, "two connections", func(st Stats) bool { return st.TCP.Connections == 2 })
	wantEnd(t, dial(t, "tcp", s.Addr(TCP)))
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	third, err := other.Dial("tcp", s.Addr(TCP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	for _, c := range []net.Conn{first, second, third} {
		send1(t, c, framed(query(1, 20)))
		wantEcho(t, c, query(1, 20))
	}
	first.Close()
	counts(t, s, "one place free", func(st Stats) bool { return st.TCP.Connections == 2 && st.TCP.Refused == 1 })
	fourth := dial(t, "tcp", s.Addr(TCP))
	send1(t, fourth, framed(query(1, 20)))
	wantEcho(t, fourth, query(1, 20))
}

func TestTheLongestIdleMakesWay(t *testing.T) {
	testkit.NoLeak(t)
	enter, leave := make(chan struct{}), make(chan struct{})
	r := always(func(out, q []byte, from *Peer) []byte {
		if len(q) == 99 {
			enter <- struct{}{}
			<-leave
		}
		return echo(out, q, from)
	})
	limits := config.DNSLimits{TCPConnections: 3}
	shared := NewConnections(limits)
	conf := onTCP(r, limits)
	conf.Connections = shared
	one, two := start(t, "127.0.0.1:0", conf), start(t, "127.0.0.1:0", conf)

	ask := func(c net.Conn) {
		t.Helper()
		send1(t, c, framed(query(1, 20)))
		wantEcho(t, c, query(1, 20))
	}
	a := dial(t, "tcp", one.Addr(TCP))
	ask(a)
	waitFor(t, shared, 1)
	b := dial(t, "tcp", two.Addr(TCP))
	ask(b)
	waitFor(t, shared, 2)
	c := dial(t, "tcp", one.Addr(TCP))
	ask(c)
	waitFor(t, shared, 3)
	ask(a) // b is idle for longest now
	waitFor(t, shared, 3)
	send1(t, b, []byte{0}) // which part of a query does not change
	d := dial(t, "tcp", one.Addr(TCP))
	ask(d)
	wantEnd(t, b)
	counts(t, two, "evicted", func(st Stats) bool { return st.TCP.Evicted == 1 && st.TCP.Connections == 0 })

	// All three are in use: there is nobody to make way.
	for _, x := range []net.Conn{a, c, d} {
		send1(t, x, framed(query(1, 99)))
		<-enter
	}
	wantEnd(t, dial(t, "tcp", two.Addr(TCP)))
	counts(t, two, "refused", func(st Stats) bool { return st.TCP.Refused == 1 })
	for _, x := range []net.Conn{a, c, d} {
		leave <- struct{}{}
		_ = x
	}
	for _, x := range []net.Conn{a, c, d} {
		wantEcho(t, x, query(1, 99))
	}
}

func TestConnectionsAreCountedByNetwork(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"192.0.2.1", "192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:1"},
	} {
		if clientOf(netip.MustParseAddr(c.a)) != clientOf(netip.MustParseAddr(c.b)) {
			t.Errorf("%s and %s are two clients", c.a, c.b)
		}
	}
	for _, c := range []struct{ a, b string }{
		{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"},
	} {
		if clientOf(netip.MustParseAddr(c.a)) == clientOf(netip.MustParseAddr(c.b)) {
			t.Errorf("%s and %s are one client", c.a, c.b)
		}
	}
}

func TestLimitsOfConnectionsCanChange(t *testing.T) {
	b := NewConnections(config.DNSLimits{TCPConnections: 1, TCPPerClient: 1})
	first, second := &place{}, &place{}
	if !b.admit(first) || b.admit(second) {
		t.Fatal("one connection is not the bound")
	}
	b.SetLimits(config.DNSLimits{TCPConnections: 2, TCPPerClient: 2})
	if !b.admit(second) {
		t.Error("the new bounds do not count")
	}
	b.leave(first)
	b.leave(second)
	b.leave(second)
	if b.open != 0 || len(b.clients) != 0 || b.longest != nil || b.newest != nil {
		t.Errorf("left over: %+v", b)
	}
}

func TestHandshakesAreBounded(t *testing.T) {
	testkit.NoLeak(t)
	cert := testkit.NewCA(t).Server("dns.example")
	s := start(t, "127.0.0.1:0", Config{
		NewResponder: always(echo), Transports: []Transport{TLS},
		TLS:    &tls.Config{Certificates: []tls.Certificate{cert.TLS}},
		Limits: hour,
	})
	odd := dial(t, "tcp", s.Addr(TLS))
	send1(t, odd, framed(query(1, 100)))
	if _, err := io.ReadAll(odd); isTimeout(err) {
		t.Error("a client without TLS is waited for")
	}
	counts(t, s, "the odd one gone", func(st Stats) bool { return st.TLS.Connections == 0 && st.TLS.SocketErrors == 1 })
	s.SetLimits(config.DNSLimits{TCPIdle: 200 * time.Millisecond})
	if _, err := io.ReadAll(dial(t, "tcp", s.Addr(TLS))); isTimeout(err) {
		t.Error("a silent client is waited for")
	}
	counts(t, s, "the silent one gone", func(st Stats) bool {
		return st.TLS.Connections == 0 && st.TLS.TimedOut == 1 && st.TLS.SocketErrors == 1
	})
	s.SetLimits(hour)
	web := tls.Client(dial(t, "tcp", s.Addr(TLS)), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := web.Handshake(); err == nil {
		t.Error("a client of another protocol was served")
	}
}

// transfers answers queries of 50 bytes with several messages.
type transfers struct{ respond }

func (transfers) Stream(q []byte, from *Peer, write func([]byte) error) (bool, error) {
	switch len(q) {
	case 50:
		for i := range 200 {
			if err := write(query(uint16(i), 2000)); err != nil {
				return true, err
			}
		}
		return true, nil
	case 51:
		return true, errors.New("no")
	case 52:
		panic("no")
	case 53:
		return true, write(make([]byte, maxMessage+1))
	}
	return false, nil
}

func TestStreamersAnswerWithSeveralMessages(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(func() Responder { return transfers{echo} }, config.DNSLimits{}))
	c := dial(t, "tcp", s.Addr(TCP))
	send1(t, c, framed(query(1, 20), query(2, 50), query(3, 21)))
	wantEcho(t, c, query(1, 20))
	for i := range 200 {
		if got, err := readMessage(c); err != nil || !bytes.Equal(got, query(uint16(i), 2000)) {
			t.Fatalf("message %d: %x, %v", i, got, err)
		}
	}
	wantEcho(t, c, query(3, 21))
	for _, n := range []int{51, 52, 53} {
		c := dial(t, "tcp", s.Addr(TCP))
		send1(t, c, framed(query(1, 20), query(2, n)))
		wantEcho(t, c, query(1, 20))
		wantEnd(t, c)
	}
	counts(t, s, "one panic", func(st Stats) bool { return st.TCP.Dropped[DropPanic] == 1 })
}

func TestQueriesInHandAreAnsweredAtTheEnd(t *testing.T) {
	testkit.NoLeak(t)
	entered, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s, stop := run(t, "127.0.0.1:0", onTCP(always(func(out, q []byte, from *Peer) []byte {
		once.Do(func() { close(entered); <-goOn })
		return echo(out, q, from)
	}), config.DNSLimits{}))
	idle, busy := dial(t, "tcp", s.Addr(TCP)), dial(t, "tcp", s.Addr(TCP))
	counts(t, s, "two connections", func(st Stats) bool { return st.TCP.Connections == 2 })
	send1(t, busy, framed(query(7, 30), query(8, 30)))
	<-entered
	begin := time.Now()
	go func() {
		wantEnd(t, idle) // those with nothing to do end at once
		close(goOn)
	}()
	go stop()
	wantEcho(t, busy, query(7, 30))
	wantEcho(t, busy, query(8, 30))
	wantEnd(t, busy)
	stop()
	if took := time.Since(begin); took >= defaultDrain {
		t.Errorf("stopping took %v", took)
	}
}

func TestDrainIsBounded(t *testing.T) {
	testkit.NoLeak(t)
	conf := onTCP(func() Responder { return transfers{echo} }, config.DNSLimits{TCPIdle: time.Minute})
	conf.Drain = 100 * time.Millisecond
	s, stop := run(t, "127.0.0.1:0", conf)
	c := dial(t, "tcp", s.Addr(TCP))
	for range 20 { // the answers are 8 MB, which nobody reads
		send1(t, c, framed(query(1, 50)))
	}
	counts(t, s, "a full connection", func(st Stats) bool { return st.TCP.Queries > 0 })
	time.Sleep(50 * time.Millisecond)
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 30*time.Second { // half of TCPIdle
		t.Errorf("stopping took %v", took)
	}
}

// Idle connections hold neither a buffer nor a Responder.
func TestIdleConnectionsBorrowNothing(t *testing.T) {
	testkit.NoLeak(t)
	var made atomic.Int32
	s := start(t, "127.0.0.1:0", onTCP(func() Responder { made.Add(1); return respond(echo) }, hour))
	for i := range 50 {
		c := dial(t, "tcp", s.Addr(TCP))
		send1(t, c, framed(query(1, 20)))
		wantEcho(t, c, query(1, 20))
		waitFor(t, s.streams[0].bounds, i+1)
		runtime.Gosched()
	}
	if n := made.Load(); n > 25 && !raceEnabled { // sync.Pool forgets at random under the race detector
		t.Errorf("%d responders for 50 connections that were in use one after the other", n)
	}
}

// A listener that fails for a while is asked again, not at full speed.
func TestAcceptGoesOnAfterErrors(t *testing.T) {
	l := &failingListener{left: 4}
	s := &streams{listener: l, stats: new(counters)}
	begin := time.Now()
	s.accept()
	if n := s.stats.socketErrors.Load(); n != 4 {
		t.Errorf("%d errors", n)
	}
	if took := time.Since(begin); took < 15*shortPause {
		t.Errorf("it took %v", took)
	}
}

type failingListener struct {
	net.Listener
	left int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.left == 0 {
		return nil, net.ErrClosed
	}
	l.left--
	return nil, syscall.EMFILE
}
