package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/daemon"
	"gatehouse/internal/testkit"
)

// respond is a Responder made of a function.
type respond func(out, query []byte, from *Peer) []byte

func (f respond) Respond(out, query []byte, from *Peer) []byte { return f(out, query, from) }

// echo answers with the query, as a response.
func echo(out, query []byte, _ *Peer) []byte {
	out = append(out, query...)
	out[flagsAt] |= responseQR
	return out
}

// always makes f the Responder of all.
func always(f respond) func() Responder { return func() Responder { return f } }

// query is one of n bytes, with that identifier.
func query(id uint16, n int) []byte {
	q := make([]byte, n)
	binary.BigEndian.PutUint16(q, id)
	for i := headerSize; i < n; i++ {
		q[i] = byte(i * 7)
	}
	return q
}

// start runs a Server until the test ends, which has called NoLeak.
func start(t testing.TB, address string, c Config) *Server {
	t.Helper()
	s, _ := run(t, address, c)
	return s
}

// run is start with the means to stop it, which waits for the end.
func run(t testing.TB, address string, c Config) (*Server, func()) {
	t.Helper()
	s, err := Listen(t.Context(), netip.MustParseAddrPort(address), c)
	if err != nil {
		t.Fatal(err)
	}
	return s, serve(t, s)
}

// serve runs what Listen has made. A client that has connected and sent before that is late for no time limit.
func serve(t testing.TB, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// dial opens a client's socket, with a deadline for all that is to come.
func dial(t testing.TB, network string, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func send1(t testing.TB, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// datagram reads one answer over UDP.
func datagram(t testing.TB, c net.Conn) []byte {
	t.Helper()
	p := make([]byte, 65536)
	n, err := c.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return p[:n]
}

// framed puts the length before each message.
func framed(messages ...[]byte) []byte {
	var p []byte
	for _, m := range messages {
		p = binary.BigEndian.AppendUint16(p, uint16(len(m)))
		p = append(p, m...)
	}
	return p
}

// readMessage reads one answer over TCP.
func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, p)
	return p, err
}

// wantEcho reads the answer to q over TCP.
func wantEcho(t testing.TB, r io.Reader, q []byte) {
	t.Helper()
	got, err := readMessage(r)
	if want := echo(nil, q, nil); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("answer %x, %v; want %x", got, err, want)
	}
}

// wantEnd wants the connection closed without more.
func wantEnd(t testing.TB, c net.Conn) {
	t.Helper()
	if p, err := io.ReadAll(c); len(p) > 0 || isTimeout(err) {
		t.Fatalf("read %x, %v; want the end", p, err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// counts waits until the statistics are as they should be.
func counts(t testing.TB, s *Server, what string, cond func(Stats) bool) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("statistics: %+v", s.Stats())
		}
	}()
	testkit.Eventually(t, 20*time.Second, what, func() bool { return cond(s.Stats()) })
}

// waitFor waits until n connections wait for their client: a connection does so only after its answer has been sent.
func waitFor(t testing.TB, b *Connections, n int) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "connections that wait", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		waiting := 0
		for p := b.longest; p != nil; p = p.younger {
			waiting++
		}
		return waiting == n
	})
}

func TestAnswersOverAllTransports(t *testing.T) {
	testkit.NoLeak(t)
	ca := testkit.NewCA(t)
	cert := ca.Server("dns.example")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			var mu sync.Mutex
			var peers []Peer
			c := Config{NewResponder: always(func(out, q []byte, from *Peer) []byte {
				mu.Lock()
				defer mu.Unlock()
				peers = append(peers, *from)
				return echo(out, q, from)
			})}
			plain := start(t, address, c)
			c.Transports, c.TLS = []Transport{TLS}, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
			secure := start(t, address, c)
			if plain.Addr(UDP) != plain.Addr(TCP) || plain.Addr(UDP).Port() == 0 || plain.Addr(TLS).IsValid() {
				t.Fatalf("addresses %v, %v, %v", plain.Addr(UDP), plain.Addr(TCP), plain.Addr(TLS))
			}
			host := netip.MustParseAddr("127.0.0.1")
			if strings.Contains(address, "::") {
				host = netip.IPv6Loopback()
			}
			port := func(s *Server, tr Transport) netip.AddrPort { return netip.AddrPortFrom(host, s.Addr(tr).Port()) }

			q := query(1, 40)
			u := dial(t, "udp", port(plain, UDP))
			send1(t, u, q)
			if got := datagram(t, u); !bytes.Equal(got, echo(nil, q, nil)) {
				t.Fatalf("over UDP %x", got)
			}
			tc := dial(t, "tcp", port(plain, TCP))
			send1(t, tc, framed(q))
			wantEcho(t, tc, q)
			conf := ca.ClientConfig("dns.example")
			conf.NextProtos = []string{"dot"}
			sc := tls.Client(dial(t, "tcp", port(secure, TLS)), conf)
			send1(t, sc, framed(q, q))
			wantEcho(t, sc, q)
			wantEcho(t, sc, q)
			if p := sc.ConnectionState().NegotiatedProtocol; p != "dot" {
				t.Errorf("ALPN %q", p)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, conn := range []net.Conn{u, tc, dial(t, "tcp", port(plain, TCP))} {
				if i > 1 {
					break
				}
				want := boundTo(conn.LocalAddr())
				p := peers[i]
				if p.Addr != want || p.Local != host || p.LocalPort != boundTo(conn.RemoteAddr()).Port() || p.Transport != []Transport{UDP, TCP}[i] || time.Since(p.Now).Abs() > 10*time.Second {
					t.Errorf("peer %+v, want %v asking %v", p, want, host)
				}
			}
			if p := peers[2]; p.Transport != TLS || p.LocalPort != boundTo(sc.RemoteAddr()).Port() {
				t.Errorf("peer %+v", p)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	address := netip.MustParseAddrPort("127.0.0.1:0")
	for name, c := range map[string]Config{
		"no responder":   {},
		"no certificate": {NewResponder: always(echo), Transports: []Transport{TLS}},
		"not ours":       {NewResponder: always(echo), Transports: []Transport{HTTPS}},
	} {
		if s, err := Listen(t.Context(), address, c); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestListenBindsEverythingOrNothing(t *testing.T) {
	testkit.NoLeak(t)
	c := Config{NewResponder: always(echo), Sockets: 3}
	// Not one of the ports that the kernel gives to anybody, for it is bound again.
	first, err := Listen(t.Context(), netip.MustParseAddrPort(testkit.FreeAddr(t)), Config{NewResponder: always(echo), Transports: []Transport{TCP}})
	if err != nil {
		t.Fatal(err)
	}
	at := first.Addr(TCP)
	if _, err := Listen(t.Context(), at, c); err == nil {
		t.Fatal("bound though TCP was taken")
	}
	first.Close()
	// Nothing of the failed attempt holds the UDP port.
	second, err := Listen(t.Context(), at, c)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	// Another process must not take a share of the queries unnoticed.
	c.Transports = []Transport{UDP}
	if s, err := Listen(t.Context(), at, c); err == nil {
		s.Close()
		t.Error("shared an address that was in use")
	}
}

func TestSocketsOfAnUpgraderServe(t *testing.T) {
	testkit.NoLeak(t)
	up, err := daemon.NewUpgrader()
	if err != nil {
		t.Fatal(err)
	}
	var packets, listeners int
	s := start(t, "127.0.0.1:0", Config{
		NewResponder: always(echo), Sockets: 2,
		ListenPacket: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
			packets++
			return up.ListenPacket(ctx, lc, network, address)
		},
		Listen: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
			listeners++
			return up.Listen(ctx, lc, network, address)
		},
	})
	if packets != 2*listeners || listeners < 1 { // again, where the port is taken for TCP
		t.Errorf("asked for %d packet sockets and %d listeners", packets, listeners)
	}
	q := query(1, 30)
	u, c := dial(t, "udp", s.Addr(UDP)), dial(t, "tcp", s.Addr(TCP))
	send1(t, u, q)
	datagram(t, u)
	send1(t, c, framed(q))
	wantEcho(t, c, q)
}

// No query is lost while a second server takes over the sockets of a first.
func TestTakingOverLosesNothing(t *testing.T) {
	testkit.NoLeak(t)
	first, stop := run(t, "127.0.0.1:0", Config{NewResponder: always(echo), Sockets: 2})
	u := dial(t, "udp", first.Addr(UDP))
	end := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
				paced(t, u, 1, 8)
			}
		}
	})
	var handed int
	second, stopSecond := run(t, first.Addr(UDP).String(), Config{
		NewResponder: always(echo), Sockets: 2,
		ListenPacket: func(context.Context, *net.ListenConfig, string, string) (net.PacketConn, error) {
			f, err := first.udp[handed].conn.(*net.UDPConn).File()
			if err != nil {
				return nil, err
			}
			defer f.Close()
			handed++
			return net.FilePacketConn(f)
		},
		Listen: func(context.Context, *net.ListenConfig, string, string) (net.Listener, error) {
			f, err := first.streams[0].listener.(*net.TCPListener).File()
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return net.FileListener(f)
		},
	})
	stop()
	counts(t, second, "queries for the second", func(st Stats) bool { return st.UDP.Queries > 100 })
	c := dial(t, "tcp", second.Addr(TCP))
	send1(t, c, framed(query(1, 20)))
	wantEcho(t, c, query(1, 20))
	close(end)
	client.Wait()
	stopSecond()
}

func TestRunIsCalledOnce(t *testing.T) {
	testkit.NoLeak(t)
	s, stop := run(t, "127.0.0.1:0", Config{NewResponder: always(echo)})
	counts(t, s, "running", func(Stats) bool { return s.ran.Load() })
	if err := s.Run(t.Context()); err == nil {
		t.Error("ran twice")
	}
	stop()
}

func TestServersComeAndGo(t *testing.T) {
	testkit.NoLeak(t)
	first := start(t, "127.0.0.1:0", Config{NewResponder: always(echo)})
	u := dial(t, "udp", first.Addr(UDP))
	for i := range 20 {
		second, stop := run(t, "127.0.0.1:0", Config{NewResponder: always(echo)})
		send1(t, u, query(uint16(i), 30))
		datagram(t, u)
		other := dial(t, "udp", second.Addr(UDP))
		send1(t, other, query(1, 30))
		datagram(t, other)
		stop()
	}
}

func TestPanicsEndOnlyTheQuery(t *testing.T) {
	testkit.NoLeak(t)
	var log bytes.Buffer
	var made atomic.Int32
	c := Config{
		NewResponder: func() Responder {
			made.Add(1)
			return respond(func(out, q []byte, from *Peer) []byte {
				if len(q) > 20 {
					panic("too clever")
				}
				return echo(out, q, from)
			})
		},
		Sockets: 1,
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	s, stop := run(t, "127.0.0.1:0", c)
	u, tc := dial(t, "udp", s.Addr(UDP)), dial(t, "tcp", s.Addr(TCP))
	began := time.Now()
	for range 50 {
		send1(t, u, query(1, 30))
	}
	send1(t, u, query(2, 12))
	datagram(t, u)
	send1(t, tc, framed(query(1, 30), query(2, 12)))
	wantEcho(t, tc, query(2, 12))
	got := s.Stats()
	if got.UDP.Dropped[DropPanic] != 50 || got.TCP.Dropped[DropPanic] != 1 {
		t.Errorf("statistics %+v", got)
	}
	if n := made.Load(); n < 51 {
		t.Errorf("%d responders made: those that panicked go on", n)
	}
	stop()
	// One a second.
	if n := strings.Count(log.String(), "too clever"); n < 1 || n > 1+int(time.Since(began)/time.Second) {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

func TestDropsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Drops() {
		if n := d.String(); n == "" || n == "invalid" || seen[n] {
			t.Errorf("%d is called %q", d, n)
		} else {
			seen[n] = true
		}
	}
	for _, tr := range []Transport{UDP, TCP, TLS, HTTPS} {
		if tr.String() == "invalid" {
			t.Errorf("%d has no name", tr)
		}
	}
}

func TestLimitsHaveDefaults(t *testing.T) {
	got := Defaults(config.DNSLimits{UDPSize: 100_000})
	want := config.DNSLimits{UDPSize: 4096, TCPConnections: 1000, TCPPerClient: 100, TCPIdle: 10 * time.Second, TCPQueries: 10000, WaitingForWriting: 65536}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Defaults(config.DNSLimits{}); got.UDPSize != 1232 {
		t.Errorf("UDP size %d", got.UDPSize)
	}
}

// option reads an option of a socket.
func option(t *testing.T, raw syscall.RawConn, level, name int) int {
	t.Helper()
	var v int
	if err := control(raw, func(fd int) (err error) {
		v, err = syscall.GetsockoptInt(fd, level, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return v
}
