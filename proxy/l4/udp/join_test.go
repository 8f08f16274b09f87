package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// control does something with the descriptor of a socket.
func control(t testing.TB, c *net.UDPConn, do func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// joining has the kernel join what comes to a socket, and cut what it sends.
func joining(t testing.TB, c *net.UDPConn, segment int) {
	control(t, c, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
			t.Skipf("no UDP_GRO: %v", err)
		}
		return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, segment)
	})
}

// joined reads what the kernel has joined, and the size of its datagrams.
func joined(t testing.TB, c *net.UDPConn) (data []byte, segment int) {
	t.Helper()
	data, room := make([]byte, 1<<16), make([]byte, 64)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, controls, _, _, err := c.ReadMsgUDPAddrPort(data, room)
	if err != nil {
		t.Fatal(err)
	}
	list, err := unix.ParseSocketControlMessage(room[:controls])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Header.Level == unix.SOL_UDP && m.Header.Type == unix.UDP_GRO {
			segment = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return data[:n], segment
}

// What a client has the kernel cut arrives with the same boundaries; and
// between sockets that join it is never cut at all.
func TestJoinedDatagramsKeepTheirBoundaries(t *testing.T) {
	const segment, number = 700, 50
	data := pattern(segment*number-300, 3)
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain ", plain), func(t *testing.T) {
			m := newMember(t, "127.0.0.1:0", nil) // it gets them one by one
			l := newLab(t, setup{plain: plain, members: []netip.AddrPort{m.addr()}})
			c := newClient(t, l.bound)
			joining(t, c.UDPConn, segment)
			c.send(string(data))
			got := 0
			for got < len(data) {
				part, size := joined(t, c.UDPConn)
				if string(part) != string(data[got:min(got+len(part), len(data))]) || size == 0 && len(part) != min(segment, len(data)-got) || size != 0 && size != segment {
					t.Fatalf("at %d: %d bytes of datagrams of %d", got, len(part), size)
				}
				got += len(part)
			}
			f := l.log.flow(0)
			if f.SentPackets.Load() != number || f.ReceivedPackets.Load() != number || f.Sent.Load() != uint64(len(data)) || f.Received.Load() != uint64(len(data)) {
				t.Errorf("counted %d and %d datagrams, %d and %d bytes", f.SentPackets.Load(), f.ReceivedPackets.Load(), f.Sent.Load(), f.Received.Load())
			}
		})
	}
}

func TestDatagramsAreJoinedAllTheWay(t *testing.T) {
	const segment, number = 700, 50
	c2, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	joining(t, c2, segment)
	at := c2.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, door := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		l := newLab(t, setup{at: door, members: []netip.AddrPort{at}})
		c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.bound.Port()))
		joining(t, c.UDPConn, segment)
		data := pattern(segment*number, 3)
		c.send(string(data))
		got, size := joined(t, c2)
		if string(got) != string(data) || size != segment && !raceEnabled {
			t.Errorf("the member got %d bytes of datagrams of %d", len(got), size)
		}
		if _, err := c2.WriteToUDPAddrPort(data, l.server.table.all()[0].local()); err != nil {
			t.Fatal(err)
		}
		got, size = joined(t, c.UDPConn)
		if string(got) != string(data) || size != segment {
			t.Errorf("the client got %d bytes of datagrams of %d", len(got), size)
		}
	}
}

// local is where the member of a flow sends to.
func (f *flow) local() netip.AddrPort {
	sa, _ := unix.Getsockname(f.fd)
	in4, _ := sa.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
}

// Datagrams that are larger than the packets on the way to the member cannot
// be joined: they go one by one, in fragments.
func TestDatagramsTooLargeToJoin(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing is joined")
	}
	const segment, number = 1400, 20
	m := newMember(t, "[::1]:0", nil)
	l := newLab(t, setup{at: "[::1]:0", members: []netip.AddrPort{m.addr()}})
	c := newClient(t, l.bound)
	joining(t, c.UDPConn, segment)
	c.ask("begin")
	f := l.server.table.all()[0]
	f.mu.Lock()
	if err := unix.SetsockoptInt(f.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU, 1280); err != nil {
		t.Fatal(err)
	}
	f.mu.Unlock()
	for range 2 {
		data := pattern(segment*number, 3)
		c.send(string(data))
		for got := 0; got < len(data); {
			part, _ := joined(t, c.UDPConn)
			if string(part) != string(data[got:min(got+len(part), len(data))]) {
				t.Fatalf("at %d: other bytes", got)
			}
			got += len(part)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.joinable[toMember] != segment-1 || f.joinable[toClient] != slotSize-1 {
		t.Errorf("joinable up to %v bytes", f.joinable)
	}
	if n := f.SentPackets.Load(); n != 2*number+1 {
		t.Errorf("%d datagrams counted", n)
	}
}

// On a device that does no checksums nothing is joined from then on.
func TestDeviceWithoutChecksums(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	c := newClient(t, l.bound)
	c.ask("begin")
	o := &outbox{engine: l.engine, toward: toMember}
	f := l.server.table.all()[0]
	if !o.unjoin(&part{flow: f, size: 100, number: 2}, unix.EIO) || o.joinable(f) != 0 {
		t.Error("still joined")
	}
	for i := range 10 {
		c.send(string(pattern(100, i)))
	}
	for i := range 10 {
		if got := c.receive(); got != string(pattern(100, i)) {
			t.Fatalf("got %q", got)
		}
	}
}
