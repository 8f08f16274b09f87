package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"
)

// lab is a door with members, on loopback.
type lab struct {
	t        testing.TB
	state    *l4.State
	engine   *Engine
	server   *Server
	balancer *l4.Balancer
	bound    netip.AddrPort
	log      *journal
	clock    *clock // that of the setup, if it is held
}

// setup is what a lab is to be.
type setup struct {
	at      string // where the door is; if empty, 127.0.0.1:0
	sockets int    // if zero, two
	loops   int    // if zero, two
	plain   bool
	every   bool   // the door is every port
	rule    string // more of the rule
	limits  string // more of the configuration
	most    int    // Options.Descriptors
	held    bool   // time passes only when the test says so
	members []netip.AddrPort
}

func newLab(t testing.TB, s setup) *lab {
	t.Helper()
	if s.at == "" {
		s.at = "127.0.0.1:0"
	}
	if s.sockets == 0 {
		s.sockets = 2
	}
	if s.loops == 0 {
		s.loops = 2
	}
	testkit.NoLeak(t)
	conns, err := Listen(context.Background(), netip.MustParseAddrPort(s.at), s.sockets)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, state: l4.NewState(), log: &journal{}, bound: conns[0].LocalAddr().(*net.UDPAddr).AddrPort()}
	l.state.Flows.Log = l.log
	o := Options{Loops: s.loops, Plain: s.plain, NoRing: s.plain, Descriptors: s.most}
	if s.held {
		l.clock = &clock{}
		l.clock.pass(time.Second)
		o.Now = l.clock.Load
	}
	l.engine, err = NewEngine(&l.state.Flows, o)
	if err != nil {
		t.Fatal(err)
	}
	l.compile(s)
	l.server, err = l.engine.NewServer(conns, l.balancer, l.door())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.Start(); err != nil {
		t.Fatal(err)
	}
	if s.every {
		l.steer(conns[0])
	}
	t.Cleanup(func() {
		l.server.Close()
		l.engine.Close()
		if n := l.state.Flows.UDP.Load(); n != 0 {
			t.Errorf("%d flows are left", n)
		}
	})
	return l
}

// clock is one that stands still between the steps of a test, so that nothing
// is late because the machine is.
type clock struct{ atomic.Int64 }

func (c *clock) pass(d time.Duration) { c.Add(int64(d)) }

// rounds waits until each loop has ended the round that it was in.
func (l *lab) rounds() {
	for _, lp := range l.engine.loops {
		lp.call(func() {})
	}
}

// door is the one that the lab has.
func (l *lab) door() *l4.Door {
	i := slices.IndexFunc(l.balancer.Doors, func(d *l4.Door) bool { return d.Protocol == l4.UDP })
	return l.balancer.Doors[i]
}

// compile makes the balancer of a setup.
func (l *lab) compile(s setup) {
	l.t.Helper()
	ports := fmt.Sprintf("protocol: udp, frontendPort: %d", l.bound.Port())
	if s.every {
		ports = "protocol: all"
	}
	text := fmt.Sprintf(`
frontends: [{name: public, address: "%s"}]
backendPools: [{name: pool, members: [192.0.2.1]}]
probes: [{name: p, protocol: tcp, port: 9}]
rules:
  - {name: rule, frontend: public, %s, backendPool: pool, probe: p%s}
%s`, l.bound.Addr().Unmap(), ports, s.rule, s.limits)
	conf, _, err := config.ParseLoadBalancer("l.yaml", []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	conf.Probes[0].Port = 0 // that of each member
	one := conf.BackendPools[0].Members[0]
	conf.BackendPools[0].Members = nil
	for _, m := range s.members {
		// Several of one address, which a file cannot have.
		one.Name, one.Address, one.Port = m.String(), m.Addr(), int(m.Port())
		conf.BackendPools[0].Members = append(conf.BackendPools[0].Members, one)
	}
	b, err := l4.Compile(conf, nil, l.state, l.balancer)
	if err != nil {
		l.t.Fatal(err)
	}
	l.balancer = b
}

// reload makes another setup the one in use.
func (l *lab) reload(s setup) {
	l.compile(s)
	l.server.Use(l.balancer, l.door())
}

// set says whether a member is well.
func (l *lab) set(m netip.AddrPort, h l4.Health) {
	for _, s := range l.balancer.Doors[0].Route().Status() {
		if s.Addr == m.Addr() && s.Port == int(m.Port()) {
			for _, c := range s.Checks {
				l.balancer.Learn(c, h)
			}
		}
	}
}

// life is what is counted of a member.
func (l *lab) life(m netip.AddrPort) *l4.Life {
	for _, s := range l.balancer.Doors[0].Route().Status() {
		if s.Addr == m.Addr() && s.Port == int(m.Port()) {
			return s.Life
		}
	}
	l.t.Fatalf("no member %v", m)
	return nil
}

func (l *lab) refused(why l4.Refusal) uint64 { return l.balancer.Rules[0].Life.Refused[why].Load() }

// eventually waits for a condition.
func (l *lab) eventually(what string, cond func() bool) {
	l.t.Helper()
	testkit.Eventually(l.t, 10*time.Second, what, cond)
}

// journal keeps what the flow log is told.
type journal struct {
	mu      sync.Mutex
	begun   []*l4.Flow
	ended   map[l4.End]int
	last    *l4.Flow // that ended
	refused int
}

func (j *journal) Begin(f *l4.Flow) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begun = append(j.begun, f)
}

func (j *journal) End(f *l4.Flow, why l4.End) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended == nil {
		j.ended = map[l4.End]int{}
	}
	j.ended[why]++
	j.last = f
}

func (j *journal) Refuse(l4.Tuple, *l4.Rule, l4.Refusal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refused++
}

func (j *journal) count(why l4.End) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended[why]
}

// flow is the i-th that began.
func (j *journal) flow(i int) *l4.Flow {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.begun[i]
}

func (j *journal) number() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.begun)
}

// member is a server that answers each datagram with what answer returns.
type member struct {
	*net.UDPConn
	done chan struct{}
}

// newMember makes one; if answer is nil, it sends back what it gets.
func newMember(t testing.TB, at string, answer func(in []byte, from netip.AddrPort) [][]byte) *member {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	m := &member{c, make(chan struct{})}
	if answer == nil {
		answer = func(in []byte, _ netip.AddrPort) [][]byte { return [][]byte{in} }
	}
	go m.run(answer)
	t.Cleanup(m.stop)
	return m
}

func (m *member) stop() {
	m.Close()
	<-m.done
}

func (m *member) run(answer func([]byte, netip.AddrPort) [][]byte) {
	defer close(m.done)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := m.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		for _, out := range answer(buf[:n], from) {
			_, _ = m.WriteToUDPAddrPort(out, from)
		}
	}
}

func (m *member) addr() netip.AddrPort {
	a := m.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// named answers with its name before what it gets.
func named(t testing.TB, name string) *member {
	return newMember(t, "127.0.0.1:0", func(in []byte, _ netip.AddrPort) [][]byte {
		return [][]byte{append([]byte(name), in...)}
	})
}

// client is a client of a door.
type client struct {
	*net.UDPConn
	t testing.TB
}

// newClient makes a client that is connected: it gets only what comes from where
// it sends to.
func newClient(t testing.TB, to netip.AddrPort) *client {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { c.Close() })
	return &client{c, t}
}

func (c *client) send(data string) {
	c.t.Helper()
	if _, err := c.Write([]byte(data)); err != nil {
		c.t.Fatal(err)
	}
}

// receive waits for a datagram.
func (c *client) receive() string {
	c.t.Helper()
	data, err := c.read(5 * time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

func (c *client) read(within time.Duration) ([]byte, error) {
	buf := make([]byte, 1<<16)
	_ = c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(buf)
	return buf[:n], err
}

// silent tells that nothing comes for some time.
func (c *client) silent(within time.Duration) {
	c.t.Helper()
	if data, err := c.read(within); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("got %.40q, %v; want nothing", data, err)
	}
}

func (c *client) ask(data string) string {
	c.t.Helper()
	c.send(data)
	return c.receive()
}

// pattern is data of a size, that depends on a seed.
func pattern(size, seed int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + (i+seed)%26)
	}
	return b
}
