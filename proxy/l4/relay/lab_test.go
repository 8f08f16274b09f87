package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

// lab is a server, its members, and what a test does with them.
type lab struct {
	t     *testing.T
	state *l4.State
	b     *l4.Balancer
	loops *Loops
	s     *Server
	addr  string
	log   *flowLog
}

// flowLog collects how flows end.
type flowLog struct {
	mu      sync.Mutex
	ends    []l4.End
	refused []l4.Refusal
	last    *l4.Flow
}

func (f *flowLog) Begin(*l4.Flow) {}

func (f *flowLog) End(flow *l4.Flow, why l4.End) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ends, f.last = append(f.ends, why), flow
}

func (f *flowLog) Refuse(_ l4.Tuple, _ *l4.Rule, why l4.Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, why)
}

// compile makes a balancer whose only rule has the members and the settings.
func (l *lab) compile(settings string, members ...string) *l4.Balancer {
	l.t.Helper()
	quoted := make([]string, len(members))
	for i, m := range members {
		quoted[i] = fmt.Sprintf("%q", m)
	}
	text := fmt.Sprintf(`
frontends: [{name: public, address: 127.0.0.1}]
backendPools: [{name: web, members: [%s]}]
rules: [{name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web%s}]
`, strings.Join(quoted, ", "), settings)
	conf, _, err := config.ParseLoadBalancer("l.yaml", []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	b, err := l4.Compile(conf, nil, l.state, l.b)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// options change those of a lab.
type options struct {
	settings string // of the rule: ", key: value"
	at       string // where it listens; empty: 127.0.0.1:0
	rule     func(*l4.Rule)
	serve    func(*Options)
	loops    int
}

func newLab(t *testing.T, o options, members ...string) *lab {
	t.Helper()
	testkit.NoLeak(t)
	l := &lab{t: t, state: l4.NewState(), log: &flowLog{}}
	l.state.Flows.Log = l.log
	l.b = l.compile(o.settings, members...)
	if o.rule != nil {
		o.rule(l.b.Rules[0])
	}
	var err error
	if l.loops, err = NewLoops(max(o.loops, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.loops.Close)
	if o.at == "" {
		o.at = "127.0.0.1:0"
	}
	sockets, err := Listen(netip.MustParseAddrPort(o.at), l.loops.Len(), ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.addr = sockets[0].Addr().String()
	opts := Options{Flows: &l.state.Flows}
	if o.serve != nil {
		o.serve(&opts)
	}
	if l.s, err = l.loops.Serve(opts, l.b, l.b.Doors[0], sockets); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.s.Drain(ctx)
	})
	return l
}

// dial connects to the server.
func (l *lab) dial() *net.TCPConn {
	l.t.Helper()
	return dial(l.t, l.addr)
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// ended waits for the end of the only flow.
func (l *lab) ended() l4.End {
	l.t.Helper()
	var end l4.End
	testkit.Eventually(l.t, 5*time.Second, "the end of a flow", func() bool {
		l.log.mu.Lock()
		defer l.log.mu.Unlock()
		if len(l.log.ends) > 0 {
			end = l.log.ends[0]
		}
		return len(l.log.ends) == 1
	})
	return end
}

// refusal waits until something has been refused.
func (l *lab) refusal() l4.Refusal {
	l.t.Helper()
	var why l4.Refusal
	testkit.Eventually(l.t, 5*time.Second, "a refusal", func() bool {
		l.log.mu.Lock()
		defer l.log.mu.Unlock()
		if len(l.log.refused) > 0 {
			why = l.log.refused[0]
		}
		return why != 0
	})
	return why
}

// member is a server whose connections a test takes.
type member struct {
	t    *testing.T
	addr string
	l    net.Listener
	in   chan *net.TCPConn
}

// newMember starts one; serve, if not nil, is called with each connection in
// a goroutine of its own.
func newMember(t *testing.T, serve func(*net.TCPConn)) *member {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, addr: nl.Addr().String(), l: nl, in: make(chan *net.TCPConn, 16)}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := nl.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if serve == nil {
				m.in <- c.(*net.TCPConn)
				continue
			}
			wait.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		nl.Close()
		wait.Wait()
		for len(m.in) > 0 {
			(<-m.in).Close()
		}
	})
	return m
}

// take is the next connection.
func (m *member) take() *net.TCPConn {
	m.t.Helper()
	select {
	case c := <-m.in:
		m.t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(5 * time.Second):
		m.t.Fatal("nobody connected to the member")
		return nil
	}
}

// echo sends back what it gets, and shuts down behind it.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
	_ = c.CloseWrite()
}

// hold has the first loop do nothing until it is released.
func (l *lab) hold() (release func()) {
	hold, held := make(chan bool), make(chan bool)
	l.loops.loops[0].post(func() { close(held); <-hold })
	<-held
	return func() { close(hold) }
}

// age makes the flows as old as if nothing had happened for some time more, and
// has the loops look at them.
func (l *lab) age(d time.Duration) {
	l.loops.each(func(_ int, lp *loop) {
		for _, s := range lp.slots {
			if s.c != nil {
				s.c.active -= int64(d)
				s.c.looked -= int64(d)
			}
		}
		lp.sweep()
	})
}

// over is how many flows have ended.
func (l *lab) over() int {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	return len(l.log.ends)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("heard %q, %v; want %q", buf[:n], err, want)
	}
}

// hearEnd waits for a FIN.
func hearEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d bytes, %v; want the end", n, err)
	}
}

// hearReset waits for a RST.
func hearReset(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || !strings.Contains(err.Error(), "connection reset") {
		t.Fatalf("%d bytes, %v; want a reset", n, err)
	}
}

// hearRefused connects and waits for a RST, which may come before the client
// knows that it is connected.
func (l *lab) hearRefused() {
	l.t.Helper()
	c, err := net.Dial("tcp", l.addr)
	if errors.Is(err, unix.ECONNRESET) {
		return
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	hearReset(l.t, c)
}
