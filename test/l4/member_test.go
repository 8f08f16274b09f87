package l4

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/netns"
)

// member is a server of a pool. Over TCP it says its name in a line and gives
// back what it gets; over UDP it answers each datagram with its name and what
// was in it; and another port tells over HTTP whether it is well.
type member struct {
	t       *testing.T
	host    *netns.Host // that it runs in; nil: this one
	name    string
	ip      string
	port    int // of TCP and UDP
	sick    atomic.Bool
	dials   atomic.Int64 // connections that came
	packets atomic.Int64 // datagrams that came

	mu       sync.Mutex
	listener net.Listener // nil: connections are refused
	udp      net.PacketConn
	conns    map[net.Conn]bool
	client   netip.Addr // where the last connection or datagram came from
	ends     []ending   // of connections
}

// ending is how a connection ended, "closed" or "reset" or what else, and when.
type ending struct {
	how string
	at  time.Time
}

// newMember starts one at the address, on ports that it may share with others
// at other addresses.
func newMember(t *testing.T, name, ip string, port, health int) *member {
	t.Helper()
	return newMemberIn(t, nil, name, ip, port, health)
}

// newMemberIn is newMember in a host.
func newMemberIn(t *testing.T, host *netns.Host, name, ip string, port, health int) *member {
	t.Helper()
	m := &member{t: t, host: host, name: name, ip: ip, port: port, conns: map[net.Conn]bool{}}
	m.listen()
	l := m.listenTCP(health)
	s := &http.Server{Handler: m}
	go s.Serve(l)
	t.Cleanup(func() {
		s.Close()
		m.kill()
	})
	return m
}

// ServeHTTP answers probes.
func (m *member) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if m.sick.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (m *member) address() string { return m.at(m.port) }

func (m *member) at(port int) string { return net.JoinHostPort(m.ip, strconv.Itoa(port)) }

func (m *member) listenTCP(port int) net.Listener {
	m.t.Helper()
	if m.host != nil {
		return m.host.Listen("tcp", m.at(port))
	}
	l, err := net.Listen("tcp", m.at(port))
	if err != nil {
		m.t.Fatal(err)
	}
	return l
}

func (m *member) listenUDP() net.PacketConn {
	m.t.Helper()
	if m.host != nil {
		return m.host.ListenUDP(m.address())
	}
	u, err := net.ListenPacket("udp", m.address())
	if err != nil {
		m.t.Fatal(err)
	}
	return u
}

// sees is the client that a member saw last.
func (m *member) sees() netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client
}

// forget is for who wants to know whom it sees next.
func (m *member) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client = netip.Addr{}
}

func (m *member) from(a net.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client = netip.MustParseAddrPort(a.String()).Addr().Unmap()
}

// ended are the ends of connections so far.
func (m *member) ended() []ending {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ends)
}

// listen begins to serve, at first or after kill.
func (m *member) listen() {
	m.t.Helper()
	l, u := m.listenTCP(m.port), m.listenUDP()
	m.mu.Lock()
	m.listener, m.udp = l, u
	m.mu.Unlock()
	go m.accept(l)
	go m.answer(u)
}

// kill ends everything at once, as the end of a process does.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listener == nil {
		return
	}
	m.listener.Close()
	m.udp.Close()
	m.listener = nil
	for c := range m.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func (m *member) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		m.dials.Add(1)
		m.from(c.RemoteAddr())
		go m.serve(l, c)
	}
}

func (m *member) serve(l net.Listener, c net.Conn) {
	m.mu.Lock()
	if m.listener != l { // killed meanwhile
		m.mu.Unlock()
		c.Close()
		return
	}
	m.conns[c] = true
	m.mu.Unlock()
	fmt.Fprintln(c, m.name)
	_, err := io.Copy(c, bufio.NewReader(c))
	at := time.Now()
	c.Close()
	m.mu.Lock()
	delete(m.conns, c)
	m.ends = append(m.ends, ending{endOf(err), at})
	m.mu.Unlock()
}

func (m *member) answer(u net.PacketConn) {
	b := make([]byte, 2048)
	for {
		n, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		m.packets.Add(1)
		m.from(from)
		u.WriteTo([]byte(m.name+" "+string(b[:n])), from)
	}
}

// lab is some members and a frontend, at addresses that no other test has.
type lab struct {
	front        string // address of the frontend
	port, health int
	members      []*member
}

// nets numbers the labs of the process, as each has addresses of its own.
var nets atomic.Int32

// newLab starts members called a, b and so on.
func newLab(t *testing.T, n int) *lab {
	t.Helper()
	net := fmt.Sprintf("127.77.%d.", nets.Add(1))
	l := &lab{front: net + "100", port: freePort(t), health: freePort(t)}
	for i := range n {
		l.members = append(l.members, newMember(t, string(rune('a'+i)), fmt.Sprintf("%s%d", net, i+1), l.port, l.health))
	}
	return l
}

func freePort(t *testing.T) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", testkit.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

// door is where the lab's rules listen.
func (l *lab) door() string { return l.at(l.port) }

// at is a port of the frontend.
func (l *lab) at(port int) string { return net.JoinHostPort(l.front, strconv.Itoa(port)) }

// list is the members as a configuration has them.
func (l *lab) list(members ...*member) string {
	var lines []string
	for _, m := range members {
		lines = append(lines, fmt.Sprintf("{address: %q, name: %s}", m.ip, m.name))
	}
	return strings.Join(lines, ", ")
}

// fill puts what the lab has into the text of a configuration: FRONT, PORT,
// HEALTH and MEMBERS.
func (l *lab) fill(text string) string {
	return strings.NewReplacer("FRONT", l.front, "PORT", fmt.Sprint(l.port), "HEALTH", fmt.Sprint(l.health), "MEMBERS", l.list(l.members...)).Replace(text)
}

// ordinary is a pool behind a port of TCP and the same of UDP. What a member
// refuses its probe counts at once; that an answer is late does not, as a busy
// machine may be why.
const ordinary = `
shutdown: {drain: 5s}
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, drain: 1s, members: [MEMBERS]}]
probes: [{name: health, protocol: http, port: HEALTH, interval: 500ms, threshold: 5, damping: false}]
rules:
  - {name: stream, frontend: front, protocol: tcp, frontendPort: PORT, backendPool: pool, probe: health, connectTimeout: 1s}
  - {name: datagram, frontend: front, protocol: udp, frontendPort: PORT, backendPool: pool, probe: health}
`
