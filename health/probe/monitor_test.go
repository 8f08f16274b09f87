package probe

import (
	"context"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/health"
)

// ask probes an endpoint once and returns the reason, "" if it is well.
func ask(t *testing.T, p Prober, m config.Monitor, e config.Endpoint, timeout time.Duration) string {
	t.Helper()
	c, err := p.Checker(m, e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	begun := time.Now()
	err = c.Check(ctx)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v of %v", took, timeout)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func at(a netip.AddrPort) config.Endpoint { return config.Endpoint{Name: "e", Address: a.Addr()} }

func monitor(protocol config.MonitorProtocol, a netip.AddrPort) config.Monitor {
	return config.Monitor{Protocol: protocol, Port: int(a.Port()), Path: "/", ExpectedStatus: []config.StatusRange{{From: 200, To: 200}}}
}

func TestMonitorsJudgeTheAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	tests := []struct {
		name   string
		answer string
		status []config.StatusRange
		want   string
	}{
		{"200", ok, nil, ""},
		{"204 is not 200", "HTTP/1.1 204 x\r\n\r\n", nil, "status 204 not in 200"},
		{"a redirect is not followed", "HTTP/1.1 301 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", nil, "status 301 not in 200"},
		{"a redirect that is expected", "HTTP/1.1 301 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", []config.StatusRange{{From: 200, To: 200}, {From: 301, To: 302}}, ""},
		{"the end of a range", "HTTP/1.1 399 x\r\n\r\n", []config.StatusRange{{From: 301, To: 399}}, ""},
		{"beyond a range", "HTTP/1.1 400 x\r\n\r\n", []config.StatusRange{{From: 301, To: 399}}, "status 400 not in 301-399"},
		{"200 that is not expected", ok, []config.StatusRange{{From: 204, To: 204}}, "status 200 not in 204"},
		{"an empty list is 200", ok, []config.StatusRange{}, ""},
		{"a large body", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 4<<20), nil, ""},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello", nil, ""},
		{"an endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100), nil, "head of the answer is larger than 64 KiB"},
		{"nothing", "", nil, "connection closed by the other side"},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", nil, `malformed HTTP response "SSH-2.0-OpenSSH_9.2"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := says(t, tt.answer)
			m := monitor(config.MonitorHTTP, addr)
			if tt.status != nil {
				m.ExpectedStatus = tt.status
			}
			if got := ask(t, Prober{}, m, at(addr), 10*time.Second); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestMonitorsEndWithTheirTimeout(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	silent := serve(t, func(net.Conn) { <-hold })
	drips := func(head string) netip.AddrPort {
		return serve(t, func(c net.Conn) {
			readHead(c)
			io.WriteString(c, head)
			for {
				select {
				case <-hold:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		})
	}
	head, body := drips("HTTP/1.1 200 OK\r\nX: "), drips("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
	resets := serve(t, func(c net.Conn) {
		readHead(c)
		c.(*net.TCPConn).SetLinger(0)
	})
	tests := []struct {
		name     string
		protocol config.MonitorProtocol
		addr     netip.AddrPort
		want     string // "timeout" comes soon
	}{
		{"no answer", config.MonitorHTTP, silent, "timeout"},
		{"no handshake", config.MonitorHTTPS, silent, "timeout"},
		{"a head that drips", config.MonitorHTTP, head, "timeout"},
		{"a body that drips is not waited for", config.MonitorHTTP, body, ""},
		{"no answer is none of tcp", config.MonitorTCP, silent, ""},
		{"reset", config.MonitorHTTP, resets, "connection reset"},
		{"refused", config.MonitorHTTP, refused(t), "connect refused"},
		{"tcp refused", config.MonitorTCP, refused(t), "connect refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timeout := 10 * time.Second
			if tt.want == "timeout" {
				timeout = 100 * time.Millisecond
			}
			if got := ask(t, Prober{}, monitor(tt.protocol, tt.addr), at(tt.addr), timeout); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestTCPMonitorsCloseAtOnceAndSayNothing(t *testing.T) {
	got := make(chan string, 1)
	addr := serve(t, func(c net.Conn) {
		said, err := io.ReadAll(c)
		if err != nil {
			said = append(said, err.Error()...)
		}
		got <- string(said)
	})
	if reason := ask(t, Prober{}, monitor(config.MonitorTCP, addr), at(addr), 10*time.Second); reason != "" {
		t.Error(reason)
	}
	if said := <-got; said != "" {
		t.Errorf("the server read %q", said)
	}
}

func TestMonitorsSendWhatTheConfigurationSays(t *testing.T) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	tests := []struct {
		name     string
		endpoint config.Endpoint
		path     string
		headers  []config.Header
		want     []string // lines
		not      string
	}{
		{"address", config.Endpoint{Address: v4}, "", nil, []string{"GET / HTTP/1.1", "Host: 127.0.0.1", "User-Agent: gatehouse-probe", "Connection: close"}, ""},
		{"IPv6 address", config.Endpoint{Address: v6}, "", nil, []string{"Host: [::1]"}, ""},
		{"name", config.Endpoint{Host: "app.example"}, "/a%2Fb?deep=1", nil, []string{"GET /a%2Fb?deep=1 HTTP/1.1", "Host: app.example"}, ""},
		{"host", config.Endpoint{Host: "app.example"}, "", []config.Header{{Name: "hOST", Value: "www.example:8443"}}, []string{"Host: www.example:8443"}, "app.example"},
		{"fields", config.Endpoint{Host: "app.example"}, "", []config.Header{{Name: "X-Key", Value: "a b"}, {Name: "user-agent", Value: "me"}}, []string{"Host: app.example", "X-Key: a b", "User-Agent: me"}, "gatehouse"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			heads := make(chan string, 1)
			addr := serve(t, func(c net.Conn) {
				heads <- readHead(c)
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			})
			m := monitor(config.MonitorHTTP, addr)
			m.Path, m.Headers = tt.path, tt.headers
			c, err := Prober{}.Checker(m, tt.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			c.(*HTTP).Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr.String())
			}
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			head := <-heads
			for _, line := range tt.want {
				if !strings.Contains("\r\n"+head, "\r\n"+line+"\r\n") {
					t.Errorf("%q lacks %q", head, line)
				}
			}
			if tt.not != "" && strings.Contains(head, tt.not) {
				t.Errorf("%q has %q", head, tt.not)
			}
		})
	}
}

func TestMonitorsVerifyCertificatesOnlyIfTold(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	tests := []struct {
		name       string
		signer     *authority
		cert       string
		until      time.Time
		host       string // of the endpoint; "": an address
		verify     bool
		serverName string
		sni        string
		want       string
	}{
		{"wrong name", ca, "other.example", later, "app.example", false, "", "app.example", ""},
		{"unknown authority", other, "app.example", later, "app.example", false, "", "app.example", ""},
		{"expired", ca, "app.example", past, "app.example", false, "", "app.example", ""},
		{"an address is not asked for", ca, "app.example", later, "", false, "", "", ""},
		{"a name is asked for", ca, "app.example", later, "", false, "www.example", "www.example", ""},
		{"verified", ca, "app.example", later, "app.example", true, "", "app.example", ""},
		{"verified for a name", ca, "www.example", later, "app.example", true, "www.example", "www.example", ""},
		{"verified, wrong name", ca, "other.example", later, "app.example", true, "", "app.example", "certificate is not valid for app.example"},
		{"verified, unknown authority", other, "app.example", later, "app.example", true, "", "app.example", "certificate signed by unknown authority"},
		{"verified, expired", ca, "app.example", past, "app.example", true, "", "app.example", "certificate has expired or is not yet valid"},
		{"verified, address", ca, "app.example", later, "", true, "", "", "certificate is not valid for 127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, names := serveTLS(t, tt.signer.issue(t, tt.cert, tt.until))
			m := monitor(config.MonitorHTTPS, addr)
			m.ExpectedStatus = []config.StatusRange{{From: 204, To: 204}}
			m.VerifyTLS, m.ServerName = tt.verify, tt.serverName
			e := at(addr)
			if tt.host != "" {
				e = config.Endpoint{Host: tt.host}
			}
			p := Prober{Resolver: newZone(t, tt.host, addr.Addr()).resolver(), Roots: ca.pool()}
			if got := ask(t, p, m, e, 10*time.Second); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := <-names; got != tt.sni {
				t.Errorf("asked for %q, want %q", got, tt.sni)
			}
		})
	}
}

// zone is a name server on loopback that knows one name.
type zone struct {
	name string
	at   string

	mu    sync.Mutex
	addrs []netip.Addr
	mute  bool
}

func newZone(t *testing.T, name string, addrs ...netip.Addr) *zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{name: dns.Fqdn(name), at: conn.LocalAddr().String(), addrs: addrs}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: z, NotifyStartedFunc: func() { close(started) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		server.Shutdown()
		<-done
	})
	return z
}

// become changes the addresses.
func (z *zone) become(addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addrs = addrs
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.mute {
		return
	}
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET}
	if head.Name != z.name {
		m.Rcode = dns.RcodeNameError
	}
	for _, a := range z.addrs {
		switch {
		case head.Name != z.name:
		case a.Is4() && head.Rrtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case a.Is6() && head.Rrtype == dns.TypeAAAA:
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	w.WriteMsg(m)
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, z.at)
	}}
}

func TestNamesAreResolvedForEachProbe(t *testing.T) {
	addr := says(t, "HTTP/1.1 200 OK\r\n\r\n")
	here, nobody := addr.Addr(), netip.MustParseAddr("127.0.0.77") // not listened on
	z := newZone(t, "app.example", here)
	steps := []struct {
		name  string
		addrs []netip.Addr
		want  string
	}{
		{"where it is", []netip.Addr{here}, ""},
		{"where it is not", []netip.Addr{nobody}, "connect refused"},
		{"back", []netip.Addr{here}, ""},
		{"the next address is tried", []netip.Addr{nobody, here}, ""},
		{"the other family is tried", []netip.Addr{netip.MustParseAddr("::1"), here}, ""},
		{"no address", nil, "no such host"},
		{"no machine's address", []netip.Addr{netip.IPv4Unspecified()}, "the address is not that of one machine"},
		{"no machine's IPv6 address", []netip.Addr{netip.IPv6Unspecified()}, "the address is not that of one machine"},
		{"many machines' address", []netip.Addr{netip.MustParseAddr("224.0.0.1")}, "the address is not that of one machine"},
	}
	m := monitor(config.MonitorHTTP, addr)
	p := Prober{Resolver: z.resolver()}
	for _, protocol := range []config.MonitorProtocol{config.MonitorHTTP, config.MonitorTCP} {
		m.Protocol = protocol
		c, err := p.Checker(m, config.Endpoint{Host: "app.example"})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			z.become(s.addrs...)
			if got := reasonOf(c.Check(t.Context())); got != s.want {
				t.Errorf("protocol %d, %s: %q, want %q", protocol, s.name, got, s.want)
			}
		}
	}
	if got := ask(t, p, m, config.Endpoint{Host: "missing.example"}, 10*time.Second); got != "no such host" {
		t.Errorf("a name that does not exist: %q", got)
	}
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestALookupThatHangsEndsWithTheTimeout(t *testing.T) {
	z := newZone(t, "app.example")
	z.mu.Lock()
	z.mute = true
	z.mu.Unlock()
	m := monitor(config.MonitorTCP, refused(t))
	if got := ask(t, Prober{Resolver: z.resolver()}, m, config.Endpoint{Host: "app.example"}, 100*time.Millisecond); got != "timeout" {
		t.Errorf("%q, want timeout", got)
	}
}

func TestMonitorPolicyCountsTheFailureAfterTheTolerated(t *testing.T) {
	m := config.Monitor{Interval: 10 * time.Second, Timeout: 9 * time.Second, ToleratedFailures: 3, Successes: 2, HoldDown: time.Minute}
	want := health.Policy{Interval: 10 * time.Second, Timeout: 9 * time.Second, Steady: true, UnhealthyThreshold: 4, HealthyThreshold: 2, HoldDown: time.Minute}
	if got := MonitorPolicy(m); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := MonitorPolicy(config.Monitor{}).UnhealthyThreshold; got != 1 {
		t.Errorf("with none tolerated it takes %d failures", got)
	}
}

func TestWhoIsNotMonitoredHasNoChecker(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	tests := []struct {
		name     string
		monitor  func(*config.Monitor)
		endpoint config.Endpoint
		want     string
	}{
		{"nested", nil, config.Endpoint{Name: "e", Profile: "p"}, `endpoint "e": is not probed`},
		{"always served", nil, config.Endpoint{Name: "e", Address: addr.Addr(), AlwaysServe: true}, `endpoint "e": is not probed`},
		{"none", func(m *config.Monitor) { m.Protocol = config.MonitorNone }, at(addr), `endpoint "e": is not probed`},
		{"no target", nil, config.Endpoint{Name: "e"}, `endpoint "e": has neither an address nor a name`},
		{"no port", func(m *config.Monitor) { m.Port = 0 }, at(addr), `endpoint "e": port 0 is none`},
		{"port too large", func(m *config.Monitor) { m.Port = 65536 }, at(addr), `endpoint "e": port 65536 is none`},
		{"no protocol", func(m *config.Monitor) { m.Protocol = 0 }, at(addr), `endpoint "e": monitor protocol 0 is unknown`},
		{"no path", func(m *config.Monitor) { m.Path = "http://x/" }, at(addr), `endpoint "e": path "http://x/" is not a path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := monitor(config.MonitorHTTP, addr)
			if tt.monitor != nil {
				tt.monitor(&m)
			}
			c, err := Prober{}.Checker(m, tt.endpoint)
			if err == nil || err.Error() != tt.want || c != nil {
				t.Errorf("%v, %v, want %s", c, err, tt.want)
			}
		})
	}
}

func TestAnEndpointsMonitorReplacesTheProfiles(t *testing.T) {
	p := config.Profile{Monitor: config.Monitor{Port: 80}}
	if got := MonitorOf(p, config.Endpoint{}); got.Port != 80 {
		t.Errorf("%+v", got)
	}
	if got := MonitorOf(p, config.Endpoint{Monitor: &config.Monitor{Port: 81}}); got.Port != 81 {
		t.Errorf("%+v", got)
	}
}

func TestTheSubjectOfAnEndpointLastsWhileItIsAskedTheSame(t *testing.T) {
	subject := func(change func(*config.Profile, *config.Endpoint)) health.Subject {
		p := config.Profile{Zone: "tm.example", Name: "shop", Monitor: monitor(config.MonitorHTTP, netip.MustParseAddrPort("192.0.2.1:80"))}
		e := config.Endpoint{Name: "eu", Host: "eu.example"}
		change(&p, &e)
		return MonitorSubject(p, e)
	}
	plain := subject(func(*config.Profile, *config.Endpoint) {})
	if plain.Address != "eu.example:80" || plain.Way == "" {
		t.Errorf("%+v", plain)
	}
	tests := []struct {
		name              string
		change            func(*config.Profile, *config.Endpoint)
		key, address, way bool // differs
	}{
		{"policy", func(p *config.Profile, e *config.Endpoint) {
			p.Monitor.Interval, p.Monitor.Timeout, p.Monitor.ToleratedFailures = 1, 1, 9
			p.Monitor.Successes, p.Monitor.HoldDown = 5, 1
			p.TTL, e.Weight, e.Priority, e.Enabled = 1, 5, 5, true
		}, false, false, false},
		{"the same by its own monitor", func(p *config.Profile, e *config.Endpoint) { m := p.Monitor; e.Monitor = &m }, false, false, false},
		{"zone", func(p *config.Profile, _ *config.Endpoint) { p.Zone = "other.example" }, true, false, false},
		{"profile", func(p *config.Profile, _ *config.Endpoint) { p.Name = "shop2" }, true, false, false},
		{"endpoint", func(_ *config.Profile, e *config.Endpoint) { e.Name = "us" }, true, false, false},
		{"target", func(_ *config.Profile, e *config.Endpoint) { e.Host = "us.example" }, true, true, false},
		{"address", func(_ *config.Profile, e *config.Endpoint) { e.Host, e.Address = "", netip.MustParseAddr("::1") }, true, true, false},
		{"port", func(p *config.Profile, _ *config.Endpoint) { p.Monitor.Port = 81 }, true, true, false},
		{"protocol", func(p *config.Profile, _ *config.Endpoint) { p.Monitor.Protocol = config.MonitorTCP }, true, false, true},
		{"path", func(p *config.Profile, _ *config.Endpoint) { p.Monitor.Path = "/b" }, true, false, true},
		{"headers", func(p *config.Profile, _ *config.Endpoint) {
			p.Monitor.Headers = []config.Header{{Name: "Host", Value: "a"}}
		}, true, false, true},
		{"status", func(p *config.Profile, _ *config.Endpoint) {
			p.Monitor.ExpectedStatus = []config.StatusRange{{From: 204, To: 204}}
		}, true, false, true},
		{"verification", func(p *config.Profile, _ *config.Endpoint) { p.Monitor.VerifyTLS = true }, true, false, true},
		{"server name", func(p *config.Profile, _ *config.Endpoint) { p.Monitor.ServerName = "a" }, true, false, true},
		{"its own monitor", func(p *config.Profile, e *config.Endpoint) {
			m := p.Monitor
			m.Path = "/own"
			e.Monitor = &m
		}, true, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := subject(tt.change)
			got := []bool{s.Key != plain.Key, s.Address != plain.Address, s.Way != plain.Way}
			if want := []bool{tt.key, tt.address, tt.way}; !reflect.DeepEqual(got, want) {
				t.Errorf("key, address, way differ: %v, want %v", got, want)
			}
		})
	}
}

func TestKeysOfNamesThatRunTogetherDiffer(t *testing.T) {
	key := func(profile, endpoint string) string {
		return MonitorSubject(config.Profile{Name: profile}, config.Endpoint{Name: endpoint}).Key
	}
	if key("a b", "c") == key("a", "b c") || key(`a" "b`, "c") == key("a", `b" "c`) {
		t.Error("two endpoints have one key")
	}
}

func TestASubjectKeepsHeaderFieldsToItself(t *testing.T) {
	m := config.Monitor{Protocol: config.MonitorHTTP, Headers: []config.Header{{Name: "Authorization", Value: "secret"}}}
	s := MonitorSubject(config.Profile{Monitor: m}, config.Endpoint{Host: "a.example"})
	if strings.Contains(s.Key+s.Address+s.Way, "secret") {
		t.Errorf("%+v", s)
	}
}
