package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	testkit.NoLeak(t)
	for _, address := range []string{"0.0.0.0:0", "[::]:0"} {
		var local atomic.Value
		s := start(t, address, Config{Sockets: 2, Transports: []Transport{UDP}, NewResponder: always(func(out, q []byte, from *Peer) []byte {
			local.Store(from.Local)
			return echo(out, q, from)
		})})
		for _, asked := range []string{"127.0.0.1", "127.0.0.2", "127.77.0.9", "::1"} {
			to := netip.AddrPortFrom(netip.MustParseAddr(asked), s.Addr(UDP).Port())
			// Not connected: a connected socket would drop what comes from elsewhere.
			network, from := "udp4", "127.0.0.1:0"
			if to.Addr().Is6() {
				network, from = "udp6", "[::1]:0"
			}
			pc, err := net.ListenPacket(network, from)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { pc.Close() })
			_ = pc.SetDeadline(time.Now().Add(5 * time.Second))
			for range 3 {
				if _, err := pc.WriteTo(query(1, 40), net.UDPAddrFromAddrPort(to)); err != nil {
					t.Fatal(err)
				}
				_, src, err := pc.ReadFrom(make([]byte, 512))
				if err != nil {
					t.Fatalf("%s asking %s: %v", address, asked, err)
				}
				if got := boundTo(src); got != to {
					t.Errorf("%s: asked %v, answered by %v", address, to, got)
				}
				if got := local.Load(); got != to.Addr() {
					t.Errorf("%s: asked %v, the peer says %v", address, to, got)
				}
			}
		}
	}
}

func TestDatagramsThatAreNotAnswered(t *testing.T) {
	testkit.NoLeak(t)
	var calls atomic.Int32
	s := start(t, "127.0.0.1:0", Config{
		Transports: []Transport{UDP}, Sockets: 1, Limits: config.DNSLimits{UDPSize: 600},
		NewResponder: always(func(out, q []byte, from *Peer) []byte {
			calls.Add(1)
			switch len(q) {
			case 13:
				return out
			case 14:
				return append(out, make([]byte, 601)...)
			}
			if cap(out) != 600 || len(out) != 0 {
				t.Errorf("room for %d bytes with %d in it", cap(out), len(out))
			}
			return echo(out, q, from)
		}),
	})
	response := query(1, 40)
	response[flagsAt] = responseQR
	u := dial(t, "udp", s.Addr(UDP))
	for _, p := range [][]byte{{}, query(1, 11), response, query(1, 4097), query(1, 13), query(1, 14), query(9, 12)} {
		send1(t, u, p)
	}
	if got := datagram(t, u); !bytes.Equal(got, echo(nil, query(9, 12), nil)) {
		t.Errorf("answer %x", got)
	}
	want := TransportStats{Queries: 7, Responses: 1}
	want.Dropped = [drops]uint64{DropShort: 2, DropResponse: 1, DropLong: 1, DropSilent: 1, DropLongAnswer: 1}
	counts(t, s, "the drops", func(st Stats) bool { return st.UDP == want })
	if n := calls.Load(); n != 3 {
		t.Errorf("the responder was asked %d times", n)
	}
}

func TestALongQueryFitsTheBuffer(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", Config{Transports: []Transport{UDP}, NewResponder: always(func(out, q []byte, _ *Peer) []byte {
		return binary.BigEndian.AppendUint16(out, uint16(len(q)))
	})})
	u := dial(t, "udp", s.Addr(UDP))
	send1(t, u, query(1, querySize))
	if got := datagram(t, u); int(binary.BigEndian.Uint16(got)) != querySize {
		t.Errorf("the responder saw %x", got)
	}
}

func TestQueriesFromPortZeroAreDropped(t *testing.T) {
	s := lonely(t, Config{NewResponder: always(echo)})
	s.got = 1
	s.batch.in[0].n = 12
	s.batch.names[0].Family = unix.AF_INET
	s.answer()
	if s.stats.dropped[DropPort].Load() != 1 || s.pending != 0 {
		t.Errorf("%d dropped, %d to send", s.stats.dropped[DropPort].Load(), s.pending)
	}
}

// lonely is a socket that nobody serves.
func lonely(t testing.TB, c Config) *udpSocket {
	t.Helper()
	c.Sockets, c.Transports = 1, []Transport{UDP}
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.udp[0]
}

func TestSocketOptions(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		s, err := Listen(t.Context(), netip.MustParseAddrPort(address), Config{NewResponder: always(echo), Transports: []Transport{UDP}, Sockets: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, u := range s.udp {
			if got := option(t, u.raw, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); got != unix.IP_PMTUDISC_OMIT {
				t.Errorf("%s: IP_MTU_DISCOVER is %d", address, got)
			}
			if got := option(t, u.raw, unix.SOL_SOCKET, unix.SO_REUSEPORT); got != 1 {
				t.Errorf("%s: SO_REUSEPORT is %d", address, got)
			}
			if got := option(t, u.raw, unix.SOL_SOCKET, unix.SO_RCVBUF); got <= 212992 {
				t.Errorf("%s: SO_RCVBUF is %d", address, got)
			}
			if address == "127.0.0.1:0" {
				continue
			}
			if got := option(t, u.raw, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER); got != unix.IPV6_PMTUDISC_OMIT {
				t.Errorf("%s: IPV6_MTU_DISCOVER is %d", address, got)
			}
		}
	}
}

// An answer that cannot be sent costs itself, not those behind it.
func TestFailedSendsAreCountedAndPassedOver(t *testing.T) {
	s := lonely(t, Config{NewResponder: always(echo)})
	client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	to := client.LocalAddr().(*net.UDPAddr).AddrPort()
	s.got = 5
	for i := range s.got {
		copy(s.batch.queries[i*querySize:], query(uint16(i), 30))
		s.batch.in[i].n = 30
		in4 := (*unix.RawSockaddrInet4)(nameOf(s.batch, i))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
		if i == 0 || i == 2 || i == 4 {
			in4.Addr = [4]byte{255, 255, 255, 255} // not without a route, or not allowed
		}
		putPort(&in4.Port, to.Port())
		s.batch.in[i].header.Namelen = unix.SizeofSockaddrInet4
	}
	// Broadcasts need a permission that package net asks for.
	if err := control(s.raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 0) }); err != nil {
		t.Fatal(err)
	}
	s.answer()
	s.send()
	_ = client.SetDeadline(time.Now().Add(5 * time.Second))
	for _, id := range []uint16{1, 3} {
		p := make([]byte, 512)
		n, err := client.Read(p)
		if err != nil || !bytes.Equal(p[:n], echo(nil, query(id, 30), nil)) {
			t.Fatalf("read %x, %v", p[:n], err)
		}
	}
	if r, u, e := s.stats.responses.Load(), s.stats.dropped[DropUnsent].Load(), s.stats.socketErrors.Load(); r != 2 || u != 3 || e != 3 {
		t.Errorf("%d responses, %d unsent, %d errors", r, u, e)
	}
}

// Errors of receiving are counted, and cost no processor if they stay.
func TestFailedReceivesEndNothing(t *testing.T) {
	testkit.NoLeak(t)
	s := lonely(t, Config{NewResponder: always(echo)})
	// A socket that listens to another port alone: its own stays taken, and refuses.
	nobody, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	// A connected socket is told that nobody listens there.
	c, err := net.DialUDP("udp4", nil, nobody.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.conn.Close()
	s.conn, s.raw = c, mustRaw(t, c)
	var serving sync.WaitGroup
	serving.Go(s.serve)
	begin, refused := time.Now(), uint64(2*patience)
	// An error that a write runs into is lost to the reader.
	testkit.Eventually(t, 30*time.Second, "many errors", func() bool {
		_, _ = c.Write([]byte{1})
		return s.stats.socketErrors.Load() >= refused
	})
	if took := time.Since(begin); took < errorPause*(patience-2) {
		t.Errorf("%d errors in %v", refused, took)
	}
	s.stop()
	serving.Wait()
}

// A send buffer that stays full ends neither the batch nor the socket.
func TestFullSendBufferIsWaitedForBriefly(t *testing.T) {
	s := lonely(t, Config{NewResponder: always(echo)})
	a, b := stuckPair(t)
	s.conn.Close()
	s.conn, s.raw = a, mustRaw(t, a)
	s.got = 3
	for i := range s.got {
		s.batch.in[i].n = 30
		in4 := (*unix.RawSockaddrInet4)(nameOf(s.batch, i))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: 1}
	}
	s.answer()
	for i := range s.pending { // a connected pair has no names
		s.batch.out[i].header.Name, s.batch.out[i].header.Namelen = nil, 0
	}
	begin := time.Now()
	s.send()
	if took := time.Since(begin); took < sendWait || took > 100*sendWait {
		t.Errorf("waited for %v", took)
	}
	if got := s.stats.dropped[DropUnsent].Load(); got != 3 {
		t.Errorf("%d unsent", got)
	}
	// Once there is room the next batch goes out.
	if _, err := b.Read(make([]byte, 65536)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _ = b.Read(make([]byte, 65536))
	}
	s.sent, s.pending = 0, 1
	s.send()
	if got := s.stats.responses.Load(); got != 1 {
		t.Errorf("%d responses after there was room", got)
	}
}

// stuckPair is a pair of datagram sockets of which the first cannot send.
func stuckPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		pc, err := net.FilePacketConn(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		ends[i] = pc.(*net.UnixConn)
		t.Cleanup(func() { ends[i].Close() })
	}
	raw := mustRaw(t, ends[0])
	for full := false; !full; {
		_ = raw.Control(func(fd uintptr) {
			full = unix.Send(int(fd), make([]byte, 1000), unix.MSG_DONTWAIT) != nil
		})
	}
	return ends[0], ends[1]
}

func mustRaw(t *testing.T, socket any) syscall.RawConn {
	t.Helper()
	raw, err := rawConn(socket)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// toldToStop is a socket that tells of the deadline which ends its serving.
type toldToStop struct {
	*net.UDPConn
	told chan struct{}
}

func (c *toldToStop) SetReadDeadline(at time.Time) error {
	defer close(c.told)
	return c.UDPConn.SetReadDeadline(at)
}

func TestTheBatchInHandIsAnsweredAtTheEnd(t *testing.T) {
	testkit.NoLeak(t)
	entered, goOn, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	c := Config{Transports: []Transport{UDP}, Sockets: 1, NewResponder: always(func(out, q []byte, from *Peer) []byte {
		once.Do(func() { close(entered); <-goOn })
		return echo(out, q, from)
	})}
	c.ListenPacket = func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
		conn, err := lc.ListenPacket(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &toldToStop{conn.(*net.UDPConn), told}, nil
	}
	s, stop := run(t, "127.0.0.1:0", c)
	u := dial(t, "udp", s.Addr(UDP))
	send1(t, u, query(7, 30))
	<-entered
	go func() {
		<-told
		close(goOn)
	}()
	stop()
	if got := datagram(t, u); !bytes.Equal(got, echo(nil, query(7, 30), nil)) {
		t.Errorf("answer %x", got)
	}
}

func TestStopsUnderLoad(t *testing.T) {
	testkit.NoLeak(t)
	s, stop := run(t, "127.0.0.1:0", Config{Transports: []Transport{UDP}, NewResponder: always(echo)})
	u := dial(t, "udp", s.Addr(UDP))
	end := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				_, _ = u.Write(query(1, 30))
			}
		}
	})
	counts(t, s, "some queries", func(st Stats) bool { return st.UDP.Queries > 1000 })
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Error("still running")
	}
	close(end)
	flood.Wait()
}

// With as many queries under way as fit the receive buffers none is lost.
func TestFloodWithoutLoss(t *testing.T) {
	testkit.NoLeak(t)
	const clients, window = 4, 64
	rounds := 200_000 / clients / window
	if raceEnabled {
		rounds /= 20
	}
	s := start(t, "127.0.0.1:0", Config{Transports: []Transport{UDP}, NewResponder: always(echo)})
	var flood sync.WaitGroup
	for range clients {
		u := dial(t, "udp", s.Addr(UDP))
		flood.Go(func() { paced(t, u, rounds, window) })
	}
	flood.Wait()
	total := uint64(clients * rounds * window)
	// The last batch is counted when its system call has come back.
	counts(t, s, "a response for each query", func(st Stats) bool { return st.UDP.Queries == total && st.UDP.Responses == total })
}

// paced sends queries by the window and reads all answers to one before the next.
func paced(t *testing.T, u net.Conn, rounds, window int) {
	_ = u.SetDeadline(time.Now().Add(60 * time.Second))
	p := make([]byte, 512)
	for range rounds {
		for i := range window {
			if _, err := u.Write(query(uint16(i), 40)); err != nil {
				t.Error(err)
				return
			}
		}
		seen := make([]bool, window)
		for range window {
			n, err := u.Read(p)
			if err != nil || n != 40 {
				t.Errorf("read %d bytes: %v", n, err)
				return
			}
			id := binary.BigEndian.Uint16(p)
			if int(id) >= window || seen[id] {
				t.Errorf("answer %d is none or the second", id)
				return
			}
			seen[id] = true
		}
	}
}
