package steer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit/netns"
	"gatehouse/proxy/l4"
)

const (
	soon = 5 * time.Second
	vip4 = "203.0.113.10"
	vip6 = "2001:db8:f::10"
)

// lab is a client and a balancer that has two addresses of its own.
type lab struct {
	*testing.T
	client, balancer *netns.Host
}

func newLab(t *testing.T) *lab {
	l := &lab{t, netns.New(t, "client"), netns.New(t, "balancer")}
	netns.Join(l.balancer, l.client, "198.51.100.0/24", "2001:db8:c::/64")
	l.balancer.Address(vip4)
	l.balancer.Address(vip6)
	l.client.Via("198.51.100.1", "2001:db8:c::1")
	return l
}

// open is a steering in the balancer.
func (l *lab) open() *Steering {
	l.Helper()
	var s *Steering
	l.balancer.Must(func() (err error) {
		if err = Supported(); err == nil {
			s, err = Open()
		}
		return err
	})
	l.Cleanup(func() { s.Close() })
	return s
}

// set is Set, which must succeed.
func (l *lab) set(s *Steering, targets ...Target) {
	l.Helper()
	if err := s.Set(targets); err != nil {
		l.Fatal(err)
	}
}

// own is a door that has a port and sockets bound to it.
func own(address string, port uint16, p l4.Protocol) Target {
	return Target{Door: door(address, port, p)}
}

func door(address string, port uint16, p l4.Protocol) *l4.Door {
	return &l4.Door{Addr: netip.AddrPortFrom(netip.MustParseAddr(address), port), Protocol: p}
}

// answer has a listener tell its name and the address that was asked, once
// for each line of a connection.
func answer(ln net.Listener, name string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintf(c, "%s %s\n", name, c.LocalAddr())
			}
		}()
	}
}

// ask asks who answers at an address over a new connection.
func (l *lab) ask(address string) string {
	c, err := l.client.Dial("tcp", address, soon)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return askOn(c)
}

func askOn(c net.Conn) string {
	_ = c.SetDeadline(time.Now().Add(soon))
	fmt.Fprintln(c, "who?")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// serve listens in the balancer and answers with a name.
func (l *lab) serve(address, name string) net.Listener {
	ln := l.balancer.Listen("tcp", address)
	go answer(ln, name)
	return ln
}

func socket(ln net.Listener) syscall.Conn { return ln.(*net.TCPListener) }

func (l *lab) wants(address, want string) {
	l.Helper()
	if got := l.ask(address); got != want {
		l.Errorf("%s answers %q, want %q", address, got, want)
	}
}

const refused = "connection refused"

func (l *lab) wantsRefused(address string) {
	l.Helper()
	if got := l.ask(address); !strings.Contains(got, refused) {
		l.Errorf("%s answers %q, want it to be refused", address, got)
	}
}

func TestEveryPortLeadsToOneListener(t *testing.T) {
	l := newLab(t)
	s := l.open()
	for _, vip := range []string{vip4, vip6} {
		at := func(port string) string { return net.JoinHostPort(vip, port) }
		l.serve(at("443"), "own")
		all := l.serve(at("0"), "all")
		l.wantsRefused(at("80"))
		l.set(s, Target{door(vip, 0, l4.TCP), socket(all)}, own(vip, 443, l4.TCP))
		for _, port := range []string{"1", "22", "80", "65535"} {
			l.wants(at(port), "all "+at(port))
		}
		l.wants(at("443"), "own "+at("443"))
		l.set(s, Target{door(vip, 0, l4.TCP), socket(all)}, own(vip, 443, l4.UDP))
		l.wants(at("443"), "all "+at("443")) // a door of the other protocol is none
		l.set(s)
		if s.link != nil {
			t.Error("a program is attached for nothing")
		}
		l.wantsRefused(at("80"))
		l.wants(at("443"), "own "+at("443"))
	}
}

func TestOtherAddressesAreLeftAlone(t *testing.T) {
	l := newLab(t)
	s := l.open()
	all := l.serve(vip4+":0", "all")
	l.set(s, Target{door(vip4, 0, l4.TCP), socket(all)})
	l.wants(vip4+":80", "all "+vip4+":80")
	l.wantsRefused("198.51.100.1:80")
	l.wantsRefused("[" + vip6 + "]:80")
	all.Close()
	l.wantsRefused(vip4 + ":80") // the program has no socket to give
}

// The kernel has no such listeners in its maps of sockets.
func TestMultipathListenersAreRefused(t *testing.T) {
	l := newLab(t)
	s := l.open()
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l.balancer.Must(func() error {
		ln, err := lc.Listen(context.Background(), "tcp", vip4+":0")
		if err != nil {
			return err
		}
		defer ln.Close()
		err = s.Set([]Target{{door(vip4, 0, l4.TCP), socket(ln)}})
		if protocol := protocolOf(ln); (err == nil) != (protocol == unix.IPPROTO_TCP) {
			t.Errorf("protocol %d: %v", protocol, err)
		} else if err != nil && !strings.Contains(err.Error(), "Multipath") {
			t.Errorf("the reason is not said: %v", err)
		}
		return nil
	})
}

func protocolOf(ln net.Listener) (n int) {
	raw, _ := socket(ln).SyscallConn()
	_ = raw.Control(func(fd uintptr) { n, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL) })
	return n
}

func TestConnectionsGoOnWhenTheirSteeringEnds(t *testing.T) {
	l := newLab(t)
	s := l.open()
	all := l.serve(vip4+":0", "all")
	l.set(s, Target{door(vip4, 0, l4.TCP), socket(all)})
	c, err := l.client.Dial("tcp", vip4+":80", soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := askOn(c); got != "all "+vip4+":80" {
		t.Errorf("got %q", got)
	}
	l.wantsRefused(vip4 + ":80")
}

func TestAnErrorLeavesAllAsItWas(t *testing.T) {
	l := newLab(t)
	s := l.open()
	all := l.serve(vip4+":0", "all")
	good := Target{door(vip4, 0, l4.TCP), socket(all)}
	l.set(s, good)
	closed := l.balancer.Listen("tcp", vip4+":0")
	closed.Close()
	for _, bad := range []Target{{door("0.0.0.0", 0, l4.TCP), socket(all)}, {door(vip4, 0, l4.UDP), nil}, {door(vip4, 0, l4.TCP), socket(closed)}} {
		if err := s.Set([]Target{good, bad}); err == nil {
			t.Errorf("%s was taken", bad.Door.Addr)
		}
	}
	l.wants(vip4+":80", "all "+vip4+":80")
}

// group listens at any port of an address with several sockets.
func (l *lab) group(address string, n int) []net.Listener {
	l.Helper()
	lc := net.ListenConfig{Control: reusePort}
	lc.SetMultipathTCP(false)
	var list []net.Listener
	for range n {
		l.balancer.Must(func() error {
			ln, err := lc.Listen(context.Background(), "tcp", address)
			if err == nil {
				address = ln.Addr().String()
				list = append(list, ln)
			}
			return err
		})
	}
	l.Cleanup(func() {
		for _, ln := range list {
			ln.Close()
		}
	})
	return list
}

func reusePort(_, _ string, c syscall.RawConn) (err error) {
	_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return err
}

func TestAGroupSharesWhatOneOfItIsGiven(t *testing.T) {
	l := newLab(t)
	s := l.open()
	group := l.group(vip4+":0", 4)
	for i, ln := range group {
		go answer(ln, fmt.Sprint(i))
	}
	l.set(s, Target{door(vip4, 0, l4.TCP), socket(group[0])})
	who := map[string]int{}
	for range 200 {
		name, _, _ := strings.Cut(l.ask(vip4+":80"), " ")
		who[name]++
	}
	for i := range group {
		if n := who[fmt.Sprint(i)]; n < 20 {
			t.Errorf("socket %d had %d of 200 connections: %v", i, n, who)
		}
	}
}

// What the process that is replaced does and what its successor does overlap:
// nobody is refused in between.
func TestASuccessorTakesOver(t *testing.T) {
	l := newLab(t)
	old := l.open()
	before, after := "first", "second"
	listeners := map[string]net.Listener{before: l.serve(vip4+":0", before), after: l.serve(vip4+":0", after)}
	l.set(old, Target{door(vip4, 0, l4.TCP), socket(listeners[before])})

	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := l.ask(vip4 + ":80"); !strings.HasSuffix(got, vip4+":80") {
					t.Errorf("in between: %q", got)
					return
				}
			}
		})
	}
	for range 10 {
		successor := l.open()
		l.wants(vip4+":80", before+" "+vip4+":80") // it has set nothing yet
		l.set(successor, Target{door(vip4, 0, l4.TCP), socket(listeners[after])})
		l.wants(vip4+":80", after+" "+vip4+":80")
		old.Close()
		l.wants(vip4+":80", after+" "+vip4+":80")
		old, before, after = successor, after, before
	}
	close(stop)
	clients.Wait()
}

// A door that only the successor has is its own, while the old process still
// steers its port.
func TestASuccessorsDoorIsItsOwn(t *testing.T) {
	l := newLab(t)
	old, successor := l.open(), l.open()
	all := l.serve(vip4+":0", "all")
	one := l.serve(vip4+":443", "own")
	target := Target{door(vip4, 0, l4.TCP), socket(all)}
	l.set(old, target)
	l.set(successor, target, Target{door(vip4, 443, l4.TCP), socket(one)})
	l.wants(vip4+":443", "own "+vip4+":443")
	l.wants(vip4+":80", "all "+vip4+":80")
}

// udpAnswer answers datagrams at all ports from the port that was asked, for
// as long as the socket is open.
func udpAnswer(c *net.UDPConn, name string) {
	buf, control := make([]byte, 2048), make([]byte, ControlSpace)
	for {
		_, n, _, from, err := c.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			return
		}
		to, ok := Destination(control[:n])
		if !ok {
			continue
		}
		_ = reply(to, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), fmt.Sprintf("%s %s", name, to))
	}
}

func reply(local, to netip.AddrPort, text string) error {
	fd, err := ReplySocket(local)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte(text), 0, sockaddr(to))
}

// udp opens a socket in the balancer, as a door does.
func (l *lab) udp(address string) *net.UDPConn {
	l.Helper()
	lc := net.ListenConfig{Control: func(network, address string, raw syscall.RawConn) error {
		var err error
		_ = raw.Control(func(fd uintptr) { err = RecordDestination(int(fd)) })
		return errors.Join(err, reusePort(network, address, raw))
	}}
	var c net.PacketConn
	l.balancer.Must(func() (err error) {
		c, err = lc.ListenPacket(context.Background(), "udp", address)
		return err
	})
	l.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// askUDP asks an address from one that takes answers from there alone; again
// while there is no answer, since hosts may drop a datagram, and send fewer
// refusals than they are asked for (RFC 4443 2.4).
func (l *lab) askUDP(address string) string {
	c, err := l.client.Dial("udp", address, soon)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	buf := make([]byte, 2048)
	for until := time.Now().Add(soon); ; {
		_ = c.SetDeadline(time.Now().Add(soon / 8))
		fmt.Fprint(c, "who?")
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(until) {
			continue
		}
		if err != nil {
			return err.Error()
		}
		return string(buf[:n])
	}
}

func TestDatagramsForEveryPort(t *testing.T) {
	l := newLab(t)
	s := l.open()
	for _, vip := range []string{vip4, vip6} {
		at := func(port string) string { return net.JoinHostPort(vip, port) }
		all, one := l.udp(at("0")), l.udp(at("53"))
		for name, c := range map[string]*net.UDPConn{"all": all, "own": one} {
			go l.balancer.Do(func() error { udpAnswer(c, name); return nil })
		}
		if got := l.askUDP(at("80")); !strings.Contains(got, refused) {
			t.Errorf("before: %q", got)
		}
		l.set(s, Target{door(vip, 0, l4.UDP), all}, own(vip, 53, l4.UDP), own(vip, 80, l4.TCP))
		for port, name := range map[string]string{"1": "all", "80": "all", "65535": "all", "53": "own"} {
			for range 2 {
				if got := l.askUDP(at(port)); got != name+" "+at(port) {
					t.Errorf("%s answers %q, want it from %s", at(port), got, name)
				}
			}
		}
	}
}
