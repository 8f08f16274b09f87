package l4

import (
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// dialFrom is dial from an address of this machine.
func dialFrom(from, to string) (*stream, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: soon}
	c, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	return greeted(c)
}

func talkFrom(t *testing.T, from, to string) *talk {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &talk{Conn: c}
}

// guard is a security group for ordinary; RULES are its own.
const guard = `
securityGroups:
  - name: edge
    attach: [front]
    flushConnections: FLUSH
    rules:
      - {name: no-scanner, priority: 100, access: deny, source: scanners}
      - {name: office, priority: 200, access: allow, source: [127.0.0.0/28SOURCES], destinationPorts: PORT}
addressGroups: [{name: scanners, addresses: [127.0.0.9]}, {name: VirtualNetwork, addresses: [10.0.0.0/8]}]
`

// guarded is ordinary with it.
func (l *lab) guarded(flush, sources string) string {
	return l.fill(ordinary + strings.NewReplacer("FLUSH", flush, "SOURCES", sources).Replace(guard))
}

func TestASecurityGroupDecidesFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, l.guarded("true", ""))
	for from, allowed := range map[string]bool{"127.0.0.5": true, "127.0.0.9": false, "127.0.0.77": false} {
		s, err := dialFrom(from, l.door())
		if (err == nil) != allowed {
			t.Errorf("from %s: %v", from, err)
		}
		if err == nil {
			s.Close()
		}
		wait := soon
		if !allowed {
			wait = 300 * time.Millisecond
		}
		if _, err := talkFrom(t, from, l.door()).ask(wait); (err == nil) != allowed {
			t.Errorf("datagram from %s: %v", from, err)
		}
	}
	if n := b.metric(`gatehouse_l4_refused_total{reason="security",rule="stream"}`); n != 2 {
		t.Errorf("%v refused", n)
	}
	for from, want := range map[string][]string{
		"127.0.0.5:40000":  {"access: Allow, by rule office of security group edge", "no-scanner", "rule: stream", "outcome: goes to "},
		"127.0.0.9:40000":  {"access: Deny, by rule no-scanner of security group edge", "outcome: denied by rule no-scanner"},
		"127.0.0.77:40000": {"access: Deny, by rule DefaultRule_DenyAllInBound", "office"},
	} {
		if out := b.command("explain", "--from", from, "--to", l.door(), "--protocol", "tcp"); !containsAll(out, want) {
			t.Errorf("explain %s: want %q in\n%s", from, want, out)
		}
	}
	if out := b.command("explain", "--from", "127.0.0.5:40000", "--to", l.front+":1"); !strings.Contains(out, "no rule has that address") {
		t.Errorf("explain of a port without a rule:\n%s", out)
	}
}

// A reload ends the flows that the rules no longer allow, unless it is told
// not to.
func TestAReloadFlushesConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, l.guarded("true", ", 127.0.0.77"))
	visit := func() (*stream, *stream) {
		t.Helper()
		in, err := dialFrom("127.0.0.5", l.door())
		if err != nil {
			t.Fatal(err)
		}
		out, err := dialFrom("127.0.0.77", l.door())
		if err != nil {
			t.Fatal(err)
		}
		return in, out
	}
	in, out := visit()
	b.configure(l.guarded("false", ""))
	for _, s := range []*stream{in, out} {
		if err := s.echo("still there"); err != nil {
			t.Errorf("without flushConnections: %v", err)
		}
	}
	if _, err := dialFrom("127.0.0.77", l.door()); err == nil {
		t.Error("a new connection is let in")
	}
	b.configure(l.guarded("true", ""))
	if got := out.end(soon); got != "reset" {
		t.Errorf("the connection that is not allowed: %s", got)
	}
	if err := in.echo("still there"); err != nil {
		t.Errorf("the one that is: %v", err)
	}
	testkit.Eventually(t, soon, "a flow to be counted as denied", func() bool {
		return b.metric(`gatehouse_l4_ended_total{reason="denied"}`) == 1
	})
}
