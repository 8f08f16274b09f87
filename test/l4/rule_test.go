package l4

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// first listens, and tells the first bytes of each connection that comes, as
// many as there are of them after a while.
func first(t *testing.T, address string) <-chan string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard := make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			c.Close()
			heard <- string(b)
		}
	}()
	return heard
}

// Members are told who the client is, before its first byte.
func TestProxyHeaders(t *testing.T) {
	t.Parallel()
	l := newLab(t, 0)
	member := strings.TrimSuffix(l.front, "100") + "1"
	heard := first(t, fmt.Sprintf("%s:%d", member, l.port))
	start(t, l.fill(`
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, members: [`+member+`]}]
rules:
  - {name: one, frontend: front, protocol: tcp, frontendPort: PORT, backendPool: pool, proxyProtocol: v1}
  - {name: two, frontend: front, protocol: tcp, frontendPort: HEALTH, backendPort: PORT, backendPool: pool, proxyProtocol: v2}
`))
	say := func(port int) (client string) {
		t.Helper()
		c, err := net.Dial("tcp", l.at(port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "hello")
		return c.LocalAddr().String()
	}
	client := say(l.port)
	ip, port, _ := net.SplitHostPort(client)
	if got, want := <-heard, fmt.Sprintf("PROXY TCP4 %s %s %s %d\r\nhello", ip, l.front, port, l.port); got != want {
		t.Errorf("version 1: %q, want %q", got, want)
	}
	client = say(l.health)
	from, err := net.ResolveTCPAddr("tcp", client)
	if err != nil {
		t.Fatal(err)
	}
	want := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + string(from.IP.To4()) + string(net.ParseIP(l.front).To4()) +
		string([]byte{byte(from.Port >> 8), byte(from.Port), byte(l.health >> 8), byte(l.health)}) + "hello"
	if got := <-heard; got != want {
		t.Errorf("version 2: %q, want %q", got, want)
	}
}

// TLS connections go by the name that the client asks for, unopened.
func TestServerNames(t *testing.T) {
	t.Parallel()
	l := newLab(t, 0)
	ca := testkit.NewCA(t)
	network := strings.TrimSuffix(l.front, "100")
	for i, name := range []string{"shop.example", "mail.example", "other.example"} {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s%d:%d", network, i+1, l.port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		secure := tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{ca.Server(name).TLS}})
		go func() {
			for {
				c, err := secure.Accept()
				if err != nil {
					return
				}
				go func() {
					fmt.Fprintln(c, name)
					c.Close()
				}()
			}
		}()
	}
	text := strings.NewReplacer("N1", network+"1", "N2", network+"2", "N3", network+"3").Replace(`
frontends: [{name: front, address: FRONT}]
backendPools: [{name: shop, members: [N1]}, {name: mail, members: [N2]}, {name: other, members: [N3]}]
rules:
  - name: strict
    frontend: front
    protocol: tcp
    frontendPort: PORT
    sni: [{hostNames: [shop.example, "*.shop.example"], backendPool: shop}, {hostNames: [mail.example], backendPool: mail}]
  - name: open
    frontend: front
    protocol: tcp
    frontendPort: HEALTH
    backendPort: PORT
    backendPool: other
    sni: [{hostNames: [shop.example], backendPool: shop}]
`)
	b := start(t, l.fill(text))
	ask := func(port int, name string) string {
		d := &net.Dialer{Timeout: soon}
		c, err := tls.DialWithDialer(d, "tcp", l.at(port), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return "refused"
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(soon))
		who, _ := io.ReadAll(c)
		return strings.TrimSpace(string(who))
	}
	for _, tt := range []struct {
		port       int
		name, want string
	}{
		{l.port, "shop.example", "shop.example"},
		{l.port, "SHOP.example", "shop.example"},
		{l.port, "a.shop.example", "shop.example"},
		{l.port, "mail.example", "mail.example"},
		{l.port, "a.mail.example", "refused"},
		{l.port, "nobody.example", "refused"},
		{l.health, "shop.example", "shop.example"},
		{l.health, "nobody.example", "other.example"},
	} {
		if got := ask(tt.port, tt.name); got != tt.want {
			t.Errorf("%s at port %d: %s, want %s", tt.name, tt.port, got, tt.want)
		}
	}
	b.wantRefused("strict", "sni", 2)
}

// A range of ports leads to one member each, whatever the probes say, and a
// single one to the member that is named.
func TestInboundNAT(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	base := freePort(t)
	b := start(t, l.fill(ordinary)+l.fill(fmt.Sprintf(`
inboundNatRules:
  - {name: range, frontend: front, protocol: tcp, frontendPorts: %d-%d, backendPool: pool, backendPort: PORT}
  - {name: single, frontend: front, protocol: udp, frontendPort: %d, backendPool: pool, member: b, backendPort: PORT}
`, base, base+9, base)))
	l.members[1].sick.Store(true)
	b.becomesUnder("stream", l.members[1], "down")
	for i, m := range l.members {
		if s := open(t, l.at(base+i)); s.member != m.name {
			t.Errorf("port %d leads to %s", i, s.member)
		}
	}
	if _, err := net.Dial("tcp", l.at(base+3)); err == nil {
		t.Error("there is no fourth member, and its port is open")
	}
	if who, err := openUDP(t, l.at(base)).ask(soon); who != "b" {
		t.Errorf("the single port leads to %q %v", who, err)
	}
	out := b.command("mapping")
	for i, m := range l.members {
		if want := []string{"range", "tcp", l.at(base + i), m.name, m.address()}; !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(want, " ")) {
			t.Errorf("mapping: want %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != 5 {
		t.Errorf("mapping has %d lines\n%s", n, out)
	}
}

// What a rule limits is refused beyond it, and only there.
func TestLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, strings.Replace(l.fill(ordinary), "connectTimeout: 1s", "limits: {flows: 6, flowsPerClient: 4}", 1))
	from := func(client string, n int) (all []*stream, refused int) {
		for range n {
			s, err := dialFrom(client, l.door())
			if err != nil {
				refused++
				continue
			}
			all = append(all, s)
		}
		return all, refused
	}
	one, refused := from("127.0.0.31", 7)
	if len(one) != 4 || refused != 3 {
		t.Errorf("one client: %d let in, %d refused", len(one), refused)
	}
	if two, refused := from("127.0.0.32", 4); len(two) != 2 || refused != 2 {
		t.Errorf("another client: %d let in, %d refused", len(two), refused)
	}
	for reason, want := range map[string]float64{"client_flows": 3, "flows": 2} {
		if n := b.metric(`gatehouse_l4_refused_total{reason="` + reason + `",rule="stream"}`); n != want {
			t.Errorf("%s: %v, want %v", reason, n, want)
		}
	}
	one[0].Close()
	testkit.Eventually(t, soon, "room for one more", func() bool {
		s, err := dialFrom("127.0.0.31", l.door())
		return err == nil && s.echo("hello") == nil
	})
}

// An idle connection ends at both sides: with RST, or without.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	for reset, want := range map[string]string{"true": "reset", "false": "closed"} {
		t.Run("tcpReset "+reset, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			l.members[0].kill() // another server in its place
			ln, err := net.Listen("tcp", l.members[0].address())
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			b := start(t, strings.Replace(l.fill(ordinary), "connectTimeout: 1s", "idleTimeout: 3s, tcpReset: "+reset, 1))
			c, err := net.Dial("tcp", l.door())
			if err != nil {
				t.Fatal(err)
			}
			client := newStream(c)
			defer client.Close()
			c, err = ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			member := newStream(c)
			defer member.Close()
			for range 5 { // with traffic it is not idle
				time.Sleep(800 * time.Millisecond)
				if _, err := fmt.Fprintln(client, "x"); err != nil {
					t.Fatal(err)
				}
				member.SetReadDeadline(time.Now().Add(soon))
				if _, err := member.read.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if got := client.end(soon); got != want {
				t.Errorf("the client sees: %s, want %s", got, want)
			}
			if got := member.end(soon); got != want {
				t.Errorf("the member sees: %s, want %s", got, want)
			}
			testkit.Eventually(t, soon, "a flow to be counted as ended for being idle", func() bool {
				return b.metric(`gatehouse_l4_ended_total{reason="idle"}`) == 1
			})
		})
	}
}
