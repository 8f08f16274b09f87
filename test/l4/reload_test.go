package l4

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4/udp"
)

// idle is what the process holds while it carries nothing.
type idle struct{ descriptors, goroutines float64 }

func (b *balancer) idle() idle {
	b.t.Helper()
	return idle{b.metric("process_open_fds"), b.metric("go_goroutines")}
}

// 200 reloads under load, each with other members and other rules: connections
// to a member that stays go on, nobody new is turned away, and nothing of the
// old configurations stays behind.
func TestReloadsUnderLoadBreakNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	text := strings.NewReplacer("drain: 1s", "drain: 10s", "protocol: udp,", "protocol: udp, idleTimeout: 4s,").Replace(l.fill(ordinary))
	b := start(t, text)
	b.settled()
	warm := startLoad(t, l.door(), 16, 4, 8)
	warm.more(50)
	warm.finish()
	before := b.quiet()

	load := startLoad(t, l.door(), 16, 4, 8)
	for i := range 200 {
		b.configure(other(text, l, i))
		if i%20 == 0 {
			load.more(10)
		}
	}
	b.configure(text)
	load.more(20)
	load.finish()
	after := b.quiet()
	// Probes and the operator's connections come and go; a leak is one for each
	// reload, or more.
	if after.descriptors > before.descriptors+20 || after.goroutines > before.goroutines+20 {
		t.Errorf("before the reloads %+v, after them %+v", before, after)
	}
	if n := b.metric(`gatehouse_l4_flows_total{rule="stream"}`); n < 200 {
		t.Errorf("only %v connections", n)
	}
}

// other is the configuration of a reload: a and one other member, of which b
// has a weight that changes, and a rule more at times. c and d come and go.
func other(text string, l *lab, i int) string {
	text = strings.Replace(text, l.list(l.members[1:]...), l.list(l.members[1+i%3])+fmt.Sprintf(", {address: %s, name: weighty, weight: %d}", l.members[1+(i+1)%3].ip, 1+i%7), 1)
	if i%2 == 0 {
		text += fmt.Sprintf("  - {name: more%d, frontend: front, protocol: tcp, frontendPort: %d, backendPort: %d, backendPool: pool, probe: health}\n", i%6, l.health+1+i%4, l.port)
	}
	return text
}

// quiet waits until no flow is left and what the process holds does not
// change any more.
func (b *balancer) quiet() idle {
	b.t.Helper()
	testkit.Eventually(b.t, soon, "the end of all flows", func() bool {
		return b.metric(`gatehouse_l4_flows{protocol="tcp",rule="stream"}`) == 0 && b.metric(`gatehouse_l4_flows{protocol="udp",rule="datagram"}`) == 0
	})
	last := b.idle()
	for range 40 {
		time.Sleep(100 * time.Millisecond)
		next := b.idle()
		if next == last {
			break
		}
		last = next
	}
	return last
}

// What is wrong is refused as a whole, with its line, and the old
// configuration goes on.
func TestAWrongConfigurationChangesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, l.fill(ordinary))
	s := openTo(t, l.door(), "a")
	taken, err := net.Listen("tcp", l.front+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	// One that others may share: the kernel would give us a part of its datagrams.
	shared, err := (&net.ListenConfig{Control: udp.Share}).ListenPacket(t.Context(), "udp", l.front+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	_, sharedPort, _ := net.SplitHostPort(shared.LocalAddr().String())
	extra := func(more string) string {
		return strings.Replace(l.fill(ordinary), l.list(l.members...), l.list(l.members[1]), 1) + more
	}
	for _, tt := range []struct{ name, more, want string }{
		{"unknown key", "colour: blue\n", "l4lb.yaml:10: colour"},
		{"no such pool", "  - {name: x, frontend: front, protocol: tcp, frontendPort: 1, backendPool: nobody}\n", "l4lb.yaml:10: rules[2]"},
		{"a port twice", strings.Replace(l.fill("  - {name: x, frontend: front, protocol: tcp, frontendPort: PORT, backendPool: pool}\n"), "x", "twice", 1), "l4lb.yaml:10: rules[2]"},
		{"occupied port", "  - {name: x, frontend: front, protocol: tcp, frontendPort: " + port + ", backendPool: pool}\n", "address already in use"},
		{"occupied port of UDP", "  - {name: x, frontend: front, protocol: udp, frontendPort: " + sharedPort + ", backendPool: pool}\n", "address already in use"},
	} {
		b.write(extra(tt.more))
		status, body := b.reload()
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want 422 with %q", tt.name, status, body, tt.want)
		}
		if err := s.echo("still there"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		openTo(t, l.door(), "a").Close() // who is not in the configuration that was refused
	}
	// A port that was bound for a configuration which was refused is no port of ours.
	free := testkit.FreeAddr(t)
	_, freePort, _ := net.SplitHostPort(free)
	onFree := "  - {name: x, frontend: front, protocol: udp, frontendPort: " + freePort + ", backendPool: pool}\n"
	b.write(extra(onFree + "  - {name: y, frontend: front, protocol: tcp, frontendPort: " + port + ", backendPool: pool}\n"))
	if status, body := b.reload(); status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", status, body)
	}
	taker, err := (&net.ListenConfig{Control: udp.Share}).ListenPacket(t.Context(), "udp", l.front+":"+freePort)
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	b.write(extra(onFree))
	if status, body := b.reload(); status != http.StatusUnprocessableEntity || !strings.Contains(body, "address already in use") {
		t.Errorf("%d %s", status, body)
	}
	b.configure(extra(""))
	if got := s.end(soon); got != "reset" { // a is gone now
		t.Errorf("the connection to a: %s", got)
	}
}

// A connection that came before a reload, and is led to a member only after
// it, is treated as those that had one: here it waits with its ClientHello.
func TestAConnectionThatWaitsOverAReload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, new string }{
		{"its member is removed", "members: [MEMBERS]", "members: [127.77.255.1]"},
		{"it is denied", "access: allow", "access: deny"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			const text = `
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, drain: 0s, members: [MEMBERS]}]
rules: [{name: tls, frontend: front, protocol: tcp, frontendPort: PORT, sni: [{hostNames: [shop.example], backendPool: pool}]}]
securityGroups: [{name: edge, attach: [front], rules: [{name: all, priority: 100, access: allow}]}]
`
			b := start(t, l.fill(text))
			c, err := net.Dial("tcp", l.door())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b.waitFlow(c)
			b.configure(l.fill(strings.Replace(text, tt.old, tt.new, 1)))
			hello := clientHello(t, "shop.example")
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
			if got := newStream(c).end(soon); got != "reset" {
				t.Errorf("the connection: %s, want reset", got)
			}
		})
	}
}

// waitFlow waits until the balancer has taken a connection, as its descriptors
// tell.
func (b *balancer) waitFlow(c net.Conn) {
	b.t.Helper()
	testkit.Eventually(b.t, soon, "the connection to be accepted", func() bool {
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			b.t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(c.LocalAddr().String())
		n, _ := strconv.Atoi(port)
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", n)) && fields[9] != "0" {
				return true // with an inode, so it is a descriptor
			}
		}
		return false
	})
}

// clientHello is what a TLS client sends first.
func clientHello(t *testing.T, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		tls.Client(client, &tls.Config{ServerName: name}).Handshake()
		client.Close()
	}()
	b := make([]byte, 4096)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// The time to drain is that of each connection, however many reloads there
// are: what was removed before does not end what is removed later.
func TestEachRemovedMemberHasItsTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	text := strings.Replace(l.fill(ordinary), "drain: 1s", "drain: 3s", 1)
	b := start(t, text)
	first, second := openTo(t, l.door(), "a"), openTo(t, l.door(), "b")
	// Their time begins somewhere within the reload.
	removed := time.Now()
	b.configure(strings.Replace(text, l.list(l.members...), l.list(l.members[1:]...), 1))
	time.Sleep(2 * time.Second)
	again := time.Now()
	b.configure(strings.Replace(text, l.list(l.members...), l.list(l.members[2]), 1))
	for _, tt := range []struct {
		*stream
		since time.Time
	}{{first, removed}, {second, again}} {
		if got := tt.end(soon); got != "reset" {
			t.Errorf("the connection to %s: %s", tt.member, got)
		}
		if took := time.Since(tt.since); took < 2900*time.Millisecond {
			t.Errorf("the connection to %s ended after %v, want 3s", tt.member, took)
		}
	}
}
