package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// hour is a time that no test waits for.
var hour = config.DNSLimits{TCPIdle: time.Hour}

func TestAShorterIdleTimeEndsThoseThatWait(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), hour))
	silent, used := dial(t, "tcp", s.Addr(TCP)), dial(t, "tcp", s.Addr(TCP))
	send1(t, used, framed(query(1, 20)))
	wantEcho(t, used, query(1, 20))
	counts(t, s, "both", func(st Stats) bool { return st.TCP.Accepted == 2 })
	s.SetLimits(config.DNSLimits{TCPIdle: 50 * time.Millisecond})
	wantEnd(t, silent)
	wantEnd(t, used)
	wantEnd(t, dial(t, "tcp", s.Addr(TCP)))
	counts(t, s, "the ends", func(st Stats) bool { return st.TCP.TimedOut == 3 && st.TCP.Connections == 0 })
}

func TestALongerIdleTimeHoldsFromTheNextWait(t *testing.T) {
	testkit.NoLeak(t)
	const short = 200 * time.Millisecond
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{TCPIdle: short}))
	s.SetLimits(hour)
	c := dial(t, "tcp", s.Addr(TCP))
	counts(t, s, "it", func(st Stats) bool { return st.TCP.Accepted == 1 })
	time.Sleep(2 * short) // real time: it is the kernel that would wake the server
	send1(t, c, framed(query(1, 20)))
	wantEcho(t, c, query(1, 20))
}

func TestAShorterIdleTimeEndsHandshakes(t *testing.T) {
	testkit.NoLeak(t)
	cert := testkit.NewCA(t).Server("dns.example").TLS
	s := start(t, "127.0.0.1:0", Config{NewResponder: always(echo), Transports: []Transport{TLS}, Limits: hour,
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	began := time.Now() // before the time of the handshake
	c := dial(t, "tcp", s.Addr(TLS))
	counts(t, s, "it", func(st Stats) bool { return st.TLS.Accepted == 1 })
	s.SetLimits(config.DNSLimits{TCPIdle: 50 * time.Millisecond})
	wantEnd(t, c)
	if d := time.Since(began); d >= handshakeTime {
		t.Errorf("it took %v", d)
	}
}

func TestTheNumberOfQueriesChangesForConnectionsThereAre(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, "127.0.0.1:0", onTCP(always(echo), config.DNSLimits{}))
	c := dial(t, "tcp", s.Addr(TCP))
	for i := range 3 {
		if i == 2 {
			s.SetLimits(config.DNSLimits{TCPQueries: 3})
		}
		send1(t, c, framed(query(1, 20)))
		wantEcho(t, c, query(1, 20))
	}
	wantEnd(t, c)
}

func TestTheSendBufferChangesForConnectionsToCome(t *testing.T) {
	testkit.NoLeak(t)
	var ln net.Listener
	c := onTCP(always(echo), config.DNSLimits{WaitingForWriting: 128 << 10})
	c.Listen = func(ctx context.Context, lc *net.ListenConfig, network, address string) (l net.Listener, err error) {
		ln, err = lc.Listen(ctx, network, address)
		return ln, err
	}
	s := start(t, "127.0.0.1:0", c)
	before := sendBufferOf(t, ln)
	s.SetLimits(config.DNSLimits{WaitingForWriting: 64 << 10})
	if now := sendBufferOf(t, ln); now != before/2 {
		t.Errorf("%d bytes, before %d", now, before)
	}
}

// Limits may change at any time, and as often as anybody likes.
func TestLimitsChangeWhileConnectionsComeAndGo(t *testing.T) {
	testkit.NoLeak(t)
	s, stop := run(t, "127.0.0.1:0", onTCP(always(echo), hour))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			s.SetLimits(config.DNSLimits{TCPIdle: time.Duration(1+i%2) * time.Minute})
		}
	}()
	for range 20 {
		c := dial(t, "tcp", s.Addr(TCP))
		send1(t, c, framed(query(1, 20)))
		wantEcho(t, c, query(1, 20))
	}
	<-done
	began := time.Now()
	stop()
	if d := time.Since(began); d >= defaultDrain {
		t.Errorf("it took %v to stop", d)
	}
}

func TestTheTimeToDrainChanges(t *testing.T) {
	testkit.NoLeak(t)
	enter, leave := make(chan struct{}), make(chan struct{})
	c := onTCP(always(func(out, q []byte, from *Peer) []byte {
		enter <- struct{}{}
		<-leave
		return echo(out, q, from)
	}), config.DNSLimits{})
	c.Drain = time.Hour
	s, stop := run(t, "127.0.0.1:0", c)
	client := dial(t, "tcp", s.Addr(TCP))
	send1(t, client, framed(query(1, 20)))
	<-enter
	s.SetDrain(10 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	wantEnd(t, client) // by force, while the Responder is still at work
	close(leave)
	<-stopped
}

// closing is a Responder that tells of its end.
type closing struct {
	respond
	closed chan<- struct{}
}

func (c *closing) Close() error {
	c.closed <- struct{}{}
	return nil
}

func TestRespondersOfSocketsAreClosed(t *testing.T) {
	testkit.NoLeak(t)
	const sockets = 3
	closed := make(chan struct{}, 100)
	made := func() Responder {
		return &closing{func(out, q []byte, from *Peer) []byte {
			if len(q) == 99 {
				panic("odd")
			}
			return echo(out, q, from)
		}, closed}
	}
	c := Config{NewResponder: made, Transports: []Transport{UDP}, Sockets: sockets}
	s, stop := run(t, "127.0.0.1:0", c)
	client := dial(t, "udp", s.Addr(UDP))
	send1(t, client, query(1, 99))
	counts(t, s, "the panic", func(st Stats) bool { return st.UDP.Dropped[DropPanic] == 1 })
	if n := len(closed); n != 1 {
		t.Errorf("%d were closed after one has panicked", n)
	}
	stop()
	s.Close() // changes nothing
	if n := len(closed); n != 1+sockets {
		t.Errorf("%d were closed, want %d", n, 1+sockets)
	}
	never, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), c)
	if err != nil {
		t.Fatal(err)
	}
	never.Close()
	if n := len(closed); n != 1+2*sockets {
		t.Errorf("%d were closed, want %d: those of a server that never ran, too", n, 1+2*sockets)
	}
}

func sendBufferOf(t testing.TB, ln net.Listener) (n int) {
	t.Helper()
	raw, err := rawConn(ln)
	if err != nil {
		t.Fatal(err)
	}
	err = control(raw, func(fd int) error {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
