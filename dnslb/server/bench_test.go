package server

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
)

// fixed answers with 50 bytes.
func fixed(out, q []byte, _ *Peer) []byte {
	out = append(out, q[:headerSize]...)
	out[flagsAt] |= responseQR
	return append(out, make([]byte, 50-headerSize)...)
}

// blaster is a client with a socket of its own, as sparing as the server.
type blaster struct {
	conn *net.UDPConn
	udp  *udpSocket
}

func newBlaster(t testing.TB, to netip.AddrPort) *blaster {
	t.Helper()
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	u, err := newUDPSocket(pc, netip.MustParseAddr("127.0.0.1"), newGuard(always(echo), nil), 512)
	if err != nil {
		t.Fatal(err)
	}
	for i := range batchSize {
		in4 := (*unix.RawSockaddrInet4)(nameOf(u.batch, i))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
		putPort(&in4.Port, to.Port())
	}
	return &blaster{conn: pc, udp: u}
}

// round sends n queries, at most batchSize, and takes the answers. It tells how
// many came.
func (b *blaster) round(n int) int {
	u := b.udp
	for i := range n {
		room := u.batch.room(i)[:headerSize+20]
		binary.BigEndian.PutUint16(room, uint16(i))
		u.batch.in[i].header.Namelen = unix.SizeofSockaddrInet4
		u.batch.reply(i, i, room)
	}
	u.sent, u.pending = 0, n
	u.send()
	_ = b.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := 0
	for got < u.sent && u.raw.Read(u.onReadable) == nil && u.errno == 0 {
		got += u.got
		u.batch.reset(u.got) // the names are now the server's again
	}
	return got
}

// A query costs no memory, whatever becomes of it.
func TestQueriesOverUDPDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the calls made under the race detector allocate")
	}
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		s := start(t, address, Config{NewResponder: always(fixed), Transports: []Transport{UDP}})
		b := newBlaster(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr(UDP).Port()))
		failed := 0
		perRun := testing.AllocsPerRun(10_000/batchSize, func() { failed += batchSize - b.round(batchSize) })
		if failed > 0 {
			t.Fatalf("%d queries without an answer", failed)
		}
		if perRun > 0 {
			t.Errorf("%s: %v allocations for %d queries", address, perRun, batchSize)
		}
	}
}

// BenchmarkUDPEcho has clients in the same process, which take their share of
// the time: b.N queries, with 32 under way at each of four clients.
func BenchmarkUDPEcho(b *testing.B) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		b.Run(address, func(b *testing.B) {
			testkit.NoLeak(b)
			s := start(b, address, Config{NewResponder: always(fixed), Transports: []Transport{UDP}})
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr(UDP).Port())
			const clients = 4
			var all [clients]*blaster
			for i := range all {
				all[i] = newBlaster(b, to)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, c := range all {
				wg.Go(func() {
					for left := (b.N + i) / clients; left > 0; {
						n := min(left, batchSize)
						if got := c.round(n); got != n {
							b.Errorf("%d answers of %d", got, n)
							return
						}
						left -= n
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
		})
	}
}

// BenchmarkUDPAnswer is the server's own work for a query beside the system
// calls.
func BenchmarkUDPAnswer(b *testing.B) {
	s := lonely(b, Config{NewResponder: always(fixed)})
	s.got = batchSize
	for i := range batchSize {
		copy(s.batch.queries[i*querySize:], query(1, 40))
		s.batch.in[i].n = 40
		in4 := (*unix.RawSockaddrInet4)(nameOf(s.batch, i))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: 1}
	}
	b.ReportAllocs()
	for range b.N/batchSize + 1 {
		s.answer()
	}
}

// BenchmarkTCPPipelined has 16 queries under way on one connection.
func BenchmarkTCPPipelined(b *testing.B) {
	testkit.NoLeak(b)
	c := onTCP(always(fixed), Defaults(Config{}.Limits))
	c.Limits.TCPQueries = 1 << 30
	s := start(b, "127.0.0.1:0", c)
	conn := dial(b, "tcp", s.Addr(TCP))
	_ = conn.SetDeadline(time.Time{})
	q := query(1, 40)
	p := framed(q, q, q, q, q, q, q, q, q, q, q, q, q, q, q, q)
	answers := make([]byte, 16*52)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N/16 + 1 {
		send1(b, conn, p)
		for n := 0; n < len(answers); {
			k, err := conn.Read(answers[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += k
		}
	}
}
