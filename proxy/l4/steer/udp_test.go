package steer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// replySocket makes one in the balancer.
func (l *lab) replySocket(local string) {
	l.Helper()
	var fd int
	l.balancer.Must(func() (err error) {
		fd, err = ReplySocket(netip.MustParseAddrPort(local))
		return err
	})
	l.Cleanup(func() { unix.Close(fd) })
}

// Whoever had datagrams before a reply socket was made has them afterwards:
// the sockets of a door, made before or after, those that are steered to, or
// nobody.
func TestReplySocketsGetNothing(t *testing.T) {
	l := newLab(t)
	s := l.open()
	for _, vip := range []string{vip4, vip6} {
		at := func(port string) string { return net.JoinHostPort(vip, port) }
		serve := func(port, name string) *net.UDPConn {
			c := l.udp(at(port))
			go l.balancer.Do(func() error { udpAnswer(c, name); return nil })
			return c
		}
		all := serve("0", "all")
		serve("53", "older")
		for _, port := range []string{"53", "54", "55", "56"} {
			l.replySocket(at(port))
			l.replySocket(at(port)) // another process has one too
		}
		serve("54", "younger")
		l.set(s, Target{door(vip, 0, l4.UDP), all}, own(vip, 53, l4.UDP), own(vip, 54, l4.UDP), own(vip, 55, l4.UDP))
		if got := l.askUDP(at("55")); !strings.Contains(got, refused) { // once, as the kernel says so but seldom
			t.Errorf("a door without sockets answers %q", got)
		}
		for range 20 { // from other ports each time
			for port, want := range map[string]string{"53": "older " + at("53"), "54": "younger " + at("54"), "56": "all " + at("56")} {
				if got := l.askUDP(at(port)); !strings.HasSuffix(got, want) {
					t.Fatalf("%s answers %q, want %q", at(port), got, want)
				}
			}
		}
	}
}

// A door whose sockets say only that addresses are used again may have the
// port as well.
func TestReplySocketsBesideReuseAddress(t *testing.T) {
	l := newLab(t)
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return err
	}}
	l.balancer.Must(func() error {
		c, err := lc.ListenPacket(context.Background(), "udp", vip4+":53")
		if err == nil {
			l.Cleanup(func() { c.Close() })
		}
		return err
	})
	l.replySocket(vip4 + ":53")
}

func TestAPortThatAnotherProgramHasIsNotTaken(t *testing.T) {
	l := newLab(t)
	l.balancer.ListenUDP(vip4 + ":53")
	err := l.balancer.Do(func() error {
		_, err := ReplySocket(netip.MustParseAddrPort(vip4 + ":53"))
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestAGroupSharesDatagrams(t *testing.T) {
	l := newLab(t)
	s := l.open()
	first := l.udp(vip4 + ":0")
	group := []*net.UDPConn{first, l.udp(first.LocalAddr().String()), l.udp(first.LocalAddr().String())}
	for i, c := range group {
		go l.balancer.Do(func() error { udpAnswer(c, fmt.Sprint(i)); return nil })
	}
	l.set(s, Target{door(vip4, 0, l4.UDP), first})
	who := map[string]int{}
	for range 90 {
		name, _, _ := strings.Cut(l.askUDP(vip4+":4000"), " ")
		who[name]++
	}
	for i := range group {
		if n := who[fmt.Sprint(i)]; n < 10 {
			t.Errorf("socket %d had %d of 90 datagrams: %v", i, n, who)
		}
	}
}

// What is in fragments has its port in the first alone; and a datagram may be
// empty.
func TestDatagramsOfEverySize(t *testing.T) {
	l := newLab(t)
	s := l.open()
	all := l.udp(vip4 + ":0")
	l.set(s, Target{door(vip4, 0, l4.UDP), all})
	c, err := l.client.Dial("udp", vip4+":4000", soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = all.SetDeadline(time.Now().Add(soon))
	buf, control := make([]byte, 1<<16), make([]byte, ControlSpace)
	for _, size := range []int{0, 1, 1472, 1473, 65507} {
		want := bytes.Repeat([]byte("x"), size)
		if _, err := c.Write(want); err != nil {
			t.Fatal(err)
		}
		n, oobn, flags, _, err := all.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			t.Fatal(err)
		}
		if to, ok := Destination(control[:oobn]); !ok || to != netip.MustParseAddrPort(vip4+":4000") || flags&^unix.MSG_CMSG_CLOEXEC != 0 {
			t.Errorf("%d bytes: sent to %s, flags %#x", size, to, flags)
		}
		if !bytes.Equal(buf[:n], want) {
			t.Errorf("%d bytes arrived of %d", n, size)
		}
	}
}

// Datagrams that arrive joined say in one message that they are, and in another
// where they were sent to.
func TestJoinedDatagrams(t *testing.T) {
	l := newLab(t)
	s := l.open()
	all := l.udp(vip4 + ":0")
	l.set(s, Target{door(vip4, 0, l4.UDP), all})
	setOption(t, all, unix.UDP_GRO, 1)
	c, err := l.client.Dial("udp", vip4+":4000", soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	setOption(t, c.(*net.UDPConn), unix.UDP_SEGMENT, 500)
	if _, err := c.Write(make([]byte, 2200)); err != nil {
		t.Fatal(err)
	}
	_ = all.SetDeadline(time.Now().Add(soon))
	buf, control := make([]byte, 1<<16), make([]byte, ControlSpace+unix.CmsgSpace(4))
	n, oobn, _, _, err := all.ReadMsgUDPAddrPort(buf, control)
	if err != nil || n != 2200 {
		t.Fatalf("%d bytes at once, want 2200: %v", n, err)
	}
	to, _ := Destination(control[:oobn])
	if to != netip.MustParseAddrPort(vip4+":4000") || oobn <= unix.CmsgSpace(sizeAddr4) {
		t.Errorf("sent to %s, %d bytes of control messages", to, oobn)
	}
}

func setOption(t *testing.T, c *net.UDPConn, option, value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, option, value) })
	if err != nil {
		t.Skipf("option %d: %v", option, err)
	}
}

// A socket of IPv6 that takes IPv4 too is told of both.
func TestADestinationOfTheOtherFamily(t *testing.T) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, _ := c.SyscallConn()
	_ = raw.Control(func(fd uintptr) { err = RecordDestination(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	buf, control := make([]byte, 16), make([]byte, 2*ControlSpace)
	for _, address := range []string{"127.0.0.1", "::1"} {
		want := netip.AddrPortFrom(netip.MustParseAddr(address), port)
		client, err := net.Dial("udp", want.String())
		if err != nil {
			t.Logf("no %s here: %v", address, err)
			continue
		}
		fmt.Fprint(client, "x")
		_ = c.SetDeadline(time.Now().Add(soon))
		_, n, _, _, err := c.ReadMsgUDPAddrPort(buf, control)
		if got, _ := Destination(control[:n]); err != nil || got != want {
			t.Errorf("sent to %s, is said to be to %s: %v", want, got, err)
		}
		client.Close()
	}
}

func FuzzDestination(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 53, 192, 0, 2, 1})
	f.Add([]byte{32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 53, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 74, 0, 0, 0, 255})
	f.Add([]byte{17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, control []byte) {
		to, ok := Destination(bytes.Clone(control))
		if ok && !bytes.Contains(control, []byte{byte(to.Port() >> 8), byte(to.Port())}) {
			t.Errorf("%s is not in it", to)
		}
	})
}
