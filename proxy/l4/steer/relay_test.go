package steer

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/testkit/netns"
	"gatehouse/proxy/l4"
)

// memberPorts are those of which the rule with HA ports knows nothing.
var memberPorts = []string{"80", "8080", "65535"}

// member is a host behind the balancer with an HTTP server and an echo of
// datagrams on each port.
func (l *lab) member() *netns.Host {
	m := netns.New(l.T, "member")
	netns.Join(l.balancer, m, "10.0.0.0/24", "fd00:1::/64")
	m.Via("10.0.0.1", "fd00:1::1")
	for _, address := range []string{"10.0.0.2", "fd00:1::2"} {
		for _, port := range memberPorts {
			ln := m.Listen("tcp", net.JoinHostPort(address, port))
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "port %s, asked for %s", port, r.Host)
			})}
			go server.Serve(ln)
			l.Cleanup(func() { server.Close() })
			c := m.ListenUDP(net.JoinHostPort(address, port))
			go func() {
				buf := make([]byte, 2048)
				for {
					n, from, err := c.ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					_, _ = c.WriteToUDPAddrPort(fmt.Appendf(nil, "port %s: %s", port, buf[:n]), from)
				}
			}()
		}
	}
	return m
}

// relay copies between each connection and a member, at the port that was
// asked for.
func (l *lab) relay(ln net.Listener, member string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, port, _ := net.SplitHostPort(c.LocalAddr().String())
			m, err := l.balancer.Dial("tcp", net.JoinHostPort(member, port), soon)
			if err != nil {
				return
			}
			defer m.Close()
			go func() { _, _ = io.Copy(m, c); m.Close() }()
			_, _ = io.Copy(c, m)
		}()
	}
}

// relayUDP does so for single datagrams.
func (l *lab) relayUDP(c *net.UDPConn, member netip.Addr) {
	buf, control := make([]byte, 2048), make([]byte, ControlSpace)
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			return
		}
		to, _ := Destination(control[:oobn])
		_ = l.balancer.Do(func() error {
			m, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(member, to.Port())))
			if err != nil {
				return err
			}
			defer m.Close()
			_ = m.SetDeadline(time.Now().Add(soon))
			_, _ = m.Write(buf[:n])
			if n, err = m.Read(buf); err != nil {
				return err
			}
			return reply(to, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), string(buf[:n]))
		})
	}
}

// One door for all ports, from the client to the servers behind it.
func TestHAPorts(t *testing.T) {
	l := newLab(t)
	l.member()
	s := l.open()
	var targets []Target
	for vip, member := range map[string]string{vip4: "10.0.0.2", vip6: "fd00:1::2"} {
		ln, c := l.balancer.Listen("tcp", net.JoinHostPort(vip, "0")), l.udp(net.JoinHostPort(vip, "0"))
		go l.relay(ln, member)
		go l.relayUDP(c, netip.MustParseAddr(member))
		targets = append(targets, Target{door(vip, 0, l4.TCP), socket(ln)}, Target{door(vip, 0, l4.UDP), c})
	}
	l.set(s, targets...)
	client := &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return l.client.Dial(network, address, soon)
		}}}
	for _, vip := range []string{vip4, vip6} {
		for _, port := range memberPorts {
			at := net.JoinHostPort(vip, port)
			request, _ := http.NewRequest("GET", "http://"+at+"/", nil)
			request.Host = at
			response, err := client.Do(request)
			if err != nil {
				t.Error(err)
				continue
			}
			got, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if want := "port " + port + ", asked for " + at; string(got) != want {
				t.Errorf("%s answers %q", at, got)
			}
			if got := l.askUDP(at); got != "port "+port+": who?" {
				t.Errorf("%s answers datagrams with %q", at, got)
			}
		}
	}
}
