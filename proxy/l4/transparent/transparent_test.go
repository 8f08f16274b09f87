package transparent

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit/netns"
)

const (
	soon = 5 * time.Second
	// wait is how long the relay waits for a member, less than soon. The first
	// question about a neighbour of IPv6 may be lost, and is repeated after a
	// second.
	wait = 3 * time.Second
	vip4 = "203.0.113.10"
	vip6 = "2001:db8:f::10"
)

// lab is a client, a balancer, and a member that it reaches by eth1. The
// balancer and its addresses are all the client has a route for.
type lab struct {
	*testing.T
	client, balancer, member *netns.Host
}

func newLab(t *testing.T) *lab {
	l := &lab{t, netns.New(t, "client"), netns.New(t, "balancer"), netns.New(t, "eth1")}
	netns.Join(l.balancer, l.client, "198.51.100.0/24", "2001:db8:c::/64")
	netns.Join(l.balancer, l.member, "10.0.0.0/24", "fd00:1::/64")
	l.client.Via("198.51.100.1", "2001:db8:c::1")
	l.balancer.Address(vip4)
	l.balancer.Address(vip6)
	return l
}

// document runs the block of the manual that is to be run as somebody.
func (l *lab) document(h *netns.Host, as string) {
	l.Helper()
	h.Document("l4lb-transparent.md", as)
}

// service tells each client its address at port 8080 of the member: TCP to
// the end of what it is sent, UDP with each datagram.
func (l *lab) service(address string) {
	ln := l.member.Listen("tcp", net.JoinHostPort(address, "8080"))
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				n, _ := io.Copy(io.Discard, c)
				fmt.Fprintf(c, "%d bytes from %s", n, from)
			}()
		}
	}()
	u := l.member.ListenUDP(net.JoinHostPort(address, "8080"))
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteToUDPAddrPort(fmt.Appendf(nil, "%d bytes from %s", n, from.Addr()), from)
		}
	}()
}

// dial connects to the member from the address of a client.
func (l *lab) dial(network, member string, client netip.AddrPort) (c net.Conn, err error) {
	d := net.Dialer{Timeout: wait, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		_ = raw.Control(func(fd uintptr) { err = Control(int(fd)) })
		return err
	}}
	d.SetMultipathTCP(false)
	from := netip.AddrPortFrom(client.Addr().Unmap(), 0)
	d.LocalAddr = net.TCPAddrFromAddrPort(from)
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(from)
	}
	err = l.balancer.Do(func() error {
		c, err = d.Dial(network, net.JoinHostPort(member, "8080"))
		return err
	})
	return c, err
}

// relay is between an address of the balancer and the member.
func (l *lab) relay(vip, member string) {
	ln := l.balancer.Listen("tcp", net.JoinHostPort(vip, "80"))
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				m, err := l.dial("tcp", member, c.RemoteAddr().(*net.TCPAddr).AddrPort())
				if err != nil {
					fmt.Fprint(c, err)
					return
				}
				defer m.Close()
				_, _ = io.Copy(m, c)
				_ = m.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(c, m)
			}()
		}
	}()
	u := l.balancer.ListenUDP(net.JoinHostPort(vip, "80"))
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteToUDPAddrPort(l.forward(member, from, buf[:n]), from)
		}
	}()
}

// forward sends a datagram to the member and returns what comes back.
func (l *lab) forward(member string, from netip.AddrPort, data []byte) []byte {
	m, err := l.dial("udp", member, from)
	if err != nil {
		return []byte(err.Error())
	}
	defer m.Close()
	_ = m.SetDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	_, _ = m.Write(data)
	n, err := m.Read(buf)
	if err != nil {
		return []byte(err.Error())
	}
	return buf[:n]
}

// ask is what the member says of what the client sends to the balancer.
func (l *lab) ask(network, vip string) string {
	c, err := l.client.Dial(network, net.JoinHostPort(vip, "80"), soon)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	_, _ = c.Write(make([]byte, 1000))
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

// start has the member serve and the balancer relay.
func (l *lab) start() {
	for vip, member := range map[string]string{vip4: "10.0.0.2", vip6: "fd00:1::2"} {
		l.service(member)
		l.relay(vip, member)
	}
}

// wantsKept checks that the member sees the client's address.
func (l *lab) wantsKept(networks ...string) {
	l.Helper()
	for vip, client := range map[string]string{vip4: "198.51.100.2", vip6: "2001:db8:c::2"} {
		for _, network := range networks {
			if got, want := l.ask(network, vip), "1000 bytes from "+client; got != want {
				l.Errorf("%s by %s: %q, want %q", network, vip, got, want)
			}
		}
	}
}

// check is Check in the balancer.
func (l *lab) check(members ...string) (list []Problem) {
	l.Helper()
	var addresses []netip.Addr
	for _, m := range members {
		addresses = append(addresses, netip.MustParseAddr(m))
	}
	l.balancer.Must(func() error {
		list = Check(addresses)
		return nil
	})
	return list
}

func (l *lab) wantsNoProblem() {
	l.Helper()
	if problems := l.check("10.0.0.2", "fd00:1::2"); len(problems) != 0 {
		l.Errorf("problems where there should be none: %v", problems)
	}
}

func TestTheClientsAddressIsKept(t *testing.T) {
	l := newLab(t)
	l.document(l.member, "a member")
	l.start()
	for _, network := range []string{"tcp", "udp"} {
		if got := l.ask(network, vip4); !strings.Contains(got, "timeout") {
			t.Errorf("%s before anything is set up: %q", network, got)
		}
	}
	l.document(l.balancer, "the balancer")
	l.wantsNoProblem()
	l.wantsKept("tcp", "udp")
}

// The commands that Check proposes are enough.
func TestProblemsAreMended(t *testing.T) {
	l := newLab(t)
	l.document(l.member, "a member")
	l.start()
	problems := l.check("10.0.0.2", "10.0.0.3", "fd00:1::2")
	want := []string{"ip rule add iif eth1 lookup 100", "ip route add local 0.0.0.0/0 dev lo table 100",
		"ip -6 rule add iif eth1 lookup 100", "ip -6 route add local ::/0 dev lo table 100"}
	for i, p := range problems {
		if i >= len(want) || p.Mend != want[i] {
			t.Fatalf("problems %v, want them mended by %q", problems, want)
		}
		l.balancer.Run(p.Mend)
		if left := l.check("10.0.0.2", "10.0.0.3", "fd00:1::2"); len(left) != len(want)-i-1 {
			t.Fatalf("after %s: %v", p.Mend, left)
		}
	}
	l.wantsKept("tcp", "udp")
}

// A balancer that is the members' router lets them talk to others.
func (l *lab) route() {
	l.balancer.Sysctl("ipv4/ip_forward", "1")
	l.balancer.Sysctl("ipv6/conf/all/forwarding", "1")
}

func (l *lab) wantsRouted() {
	l.Helper()
	for _, client := range []string{"198.51.100.2", "2001:db8:c::2"} {
		ln := l.client.Listen("tcp", net.JoinHostPort(client, "443"))
		c, err := l.member.Dial("tcp", ln.Addr().String(), wait)
		if err != nil {
			l.Errorf("a member cannot talk to others any more: %v", err)
			continue
		}
		c.Close()
	}
}

func TestARouterByPort(t *testing.T) {
	l := newLab(t)
	l.document(l.member, "a member")
	l.start()
	l.route()
	l.document(l.balancer, "the balancer that is a router")
	l.wantsNoProblem()
	l.wantsKept("tcp")
	l.wantsRouted()
}

func TestARouterByMark(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	l := newLab(t)
	l.document(l.member, "a member")
	l.start()
	l.route()
	l.document(l.balancer, "the balancer with nftables")
	l.wantsNoProblem()
	l.wantsKept("tcp", "udp")
	l.wantsRouted()
}

// The rule of the first block is refused a member that needs the way out.
func TestOnlyARouterNeedsMore(t *testing.T) {
	l := newLab(t)
	l.document(l.member, "a member")
	l.route()
	l.document(l.balancer, "the balancer")
	ln := l.client.Listen("tcp", "198.51.100.2:443")
	if c, err := l.member.Dial("tcp", ln.Addr().String(), time.Second); err == nil {
		c.Close()
		t.Error("a member's connections to others get through: the document says that they do not")
	}
}
