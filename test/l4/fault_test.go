package l4

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// probed is a pool that is asked over TCP at the port of the service itself.
const probed = `
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, members: [MEMBERS]}]
probes: [{name: tcp, interval: 1s, timeout: 900ms, damping: false}]
rules:
  - {name: stream, frontend: front, protocol: tcp, frontendPort: PORT, backendPool: pool, probe: tcp, connectTimeout: 300ms}
  - {name: datagram, frontend: front, protocol: udp, frontendPort: PORT, backendPool: pool, probe: tcp}
`

// probeTime is how long members of probed may be silent before that is known:
// an interval and two timeouts, and what a busy machine adds.
const probeTime = 15 * time.Second

// A member that is killed under load costs its own connections and no others;
// none that is new fails, as the next member is tried. It comes back.
func TestAMemberIsKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	b := start(t, l.fill(probed))
	b.settled()
	victim := openTo(t, l.door(), "c")
	load := startLoad(t, l.door(), 8, 4, 8)
	u := openUDPTo(t, l.door(), "c")
	load.more(50)
	load.allowCuts()
	l.members[2].kill()
	if got := victim.end(soon); got != "reset" {
		t.Errorf("the connection to the member: %s", got)
	}
	moved := time.Now()
	testkit.Eventually(t, probeTime, "the datagrams to move", func() bool {
		who, err := u.ask(300 * time.Millisecond)
		return err == nil && who != "c"
	})
	t.Logf("datagrams moved after %v", time.Since(moved).Round(time.Millisecond))
	load.more(100)
	l.members[2].listen()
	b.becomes(l.members[2], "up")
	openTo(t, l.door(), "c")
	load.more(50)
	load.finish()
}

// A member that answers no more, not even to refuse, costs new connections
// the time to try the next one, and after the probe time nothing.
func TestAMemberIsCutOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	away := &member{name: "away", ip: strings.TrimSuffix(l.front, "100") + "9", port: l.port}
	fill(t, away.ip, away.port)
	// A probe that takes its time, as some are to try the member before it tells.
	text := strings.Replace(l.fill(probed), "interval: 1s, timeout: 900ms", "interval: 4s, timeout: 4s", 1)
	b := start(t, strings.Replace(text, l.list(l.members...), l.list(append(l.members, away)...), 1))
	for range 30 { // some try it first, while it is not known
		began := time.Now()
		open(t, l.door()).Close()
		if took := time.Since(began); took > 4*time.Second { // of the 5 s that it may take by default
			t.Errorf("a connection took %v", took)
		}
	}
	b.becomes(away, "down")
	const series = `gatehouse_l4_member_connect_failures_total{member="away",pool="pool"}`
	failures := b.metric(series)
	if failures == 0 {
		t.Error("nobody tried the member that is cut off")
	}
	for range 50 {
		open(t, l.door()).Close()
	}
	if n := b.metric(series); n != failures {
		t.Errorf("the member was tried %v times after it was known to be down", n-failures)
	}
}

// fill listens and lets the queue of connections that wait fill: who comes
// later gets no answer.
func fill(t *testing.T, ip string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	a := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(ip).To4())}
	if err := syscall.Bind(fd, a); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", ip, port), 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
}

// A member that comes and goes all the time disturbs no other, and is kept
// out for longer than it asks for.
func TestAMemberFlaps(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	b := start(t, strings.ReplaceAll(l.fill(ordinary), "threshold: 5, damping: false", "damping: true"))
	b.settled()
	load := startLoad(t, l.door(), 8, 4, 8)
	for range 6 { // of half a second doubled each time, the fifth is four
		l.members[2].sick.Store(true)
		b.becomes(l.members[2], "down")
		load.more(20)
		l.members[2].sick.Store(false)
		if !b.backAfter(l.members[2], 2*time.Second) {
			load.more(20)
			load.finish()
			return // damped
		}
	}
	t.Error("a member that flapped six times came back as quickly as ever")
}

// backAfter tells whether a member is up within a time.
func (b *balancer) backAfter(m *member, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, x := range b.backends() {
			if x.Member == m.name && x.State == "up" {
				return true
			}
		}
	}
	return false
}
