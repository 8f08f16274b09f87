package l4

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/netns"
)

// hosts is a lab whose clients, balancer and members are hosts of their own.
// The balancer has a cable to each; nobody else has one, or a way to others
// than the balancer.
type hosts struct {
	*lab
	t        *testing.T
	balancer *netns.Host
	clients  []*visitor
}

// front6 is the frontend's address of IPv6.
const front6 = "2001:db8:f::10"

// newHosts makes some clients, up to four, and members called a, b and so on.
// The balancer reaches them by eth1, eth2 and so on.
func newHosts(t *testing.T, clients, members int) *hosts {
	t.Helper()
	h := &hosts{lab: &lab{front: "203.0.113.10", port: 8080, health: 8081}, t: t, balancer: netns.New(t, "balancer")}
	h.balancer.Address(h.front)
	h.balancer.Address(front6)
	for i := range clients {
		c := netns.New(t, fmt.Sprint("client", i+1))
		near := []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(64 * i)}), 26), netip.MustParsePrefix(fmt.Sprintf("2001:db8:c:%d::/64", i+1))}
		netns.Join(h.balancer, c, near[0].String(), near[1].String())
		c.Via(near[0].Addr().Next().String(), near[1].Addr().Next().String())
		h.clients = append(h.clients, &visitor{c, t, near[0].Addr().Next().Next(), near[1].Addr().Next().Next()})
	}
	for i := range members {
		host := netns.New(t, fmt.Sprint("eth", i+1))
		netns.Join(h.balancer, host, fmt.Sprintf("10.0.%d.0/24", i), fmt.Sprintf("fd00:%d::/64", i+1))
		h.members = append(h.members, newMemberIn(t, host, string(rune('a'+i)), fmt.Sprintf("10.0.%d.2", i), h.port, h.health))
	}
	return h
}

func (h *hosts) door6() string { return net.JoinHostPort(front6, fmt.Sprint(h.port)) }

// prepare is a balancer that does not run yet. Its admin address is a socket
// in the file system, which the hosts share.
func (h *hosts) prepare(text string) *balancer {
	h.t.Helper()
	dir, err := os.MkdirTemp("", "l4lb") // the path of a socket has to be short
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { os.RemoveAll(dir) })
	b := prepare(h.t)
	b.host, b.admin = h.balancer, "unix:"+filepath.Join(dir, "admin")
	b.write(text)
	return b
}

// start runs a configuration on the balancer's host.
func (h *hosts) start(text string) *balancer {
	h.t.Helper()
	b := h.prepare(text)
	b.run("run", "-c", b.file)
	return b
}

// check is what the command says of the configuration on the balancer's host,
// which has to be good.
func (b *balancer) check() string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), soon)
	defer cancel()
	var out []byte
	b.host.Must(func() (err error) {
		out, err = exec.CommandContext(ctx, b.binary, "check", "-c", b.file).CombinedOutput()
		return err
	})
	return string(out)
}

// cut drops every packet of IPv4 that comes to a member's host or would leave
// it: nobody is told.
func (m *member) cut() { m.host.IP("rule add blackhole pref 1") }

// mend takes that back.
func (m *member) mend() { m.host.IP("rule del blackhole pref 1") }

// openToBlackholes has rules before that of the local table, which is the
// first one otherwise.
func (m *member) openToBlackholes() {
	m.host.IP("rule add pref 5 lookup local")
	m.host.IP("rule del pref 0 lookup local")
}

// visitor is the host of a client.
type visitor struct {
	*netns.Host
	t      *testing.T
	ip, v6 netip.Addr
}

// visit is dial from there.
func (v *visitor) visit(address string) (*stream, error) {
	c, err := v.Dial("tcp", address, soon)
	if err != nil {
		return nil, err
	}
	s, err := greeted(c)
	if err == nil {
		v.t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// open is visit, which must go well.
func (v *visitor) open(address string) *stream {
	v.t.Helper()
	s, err := v.visit(address)
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

func (v *visitor) openTo(address, member string) *stream {
	v.t.Helper()
	return streamTo(v.t, member, func() *stream { return v.open(address) })
}

func (v *visitor) openUDP(address string) *talk {
	v.t.Helper()
	c, err := v.Dial("udp", address, soon)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	return &talk{Conn: c}
}

func (v *visitor) openUDPTo(address, member string) *talk {
	v.t.Helper()
	return talkTo(v.t, member, func() *talk { return v.openUDP(address) })
}

// explains wants the balancer to say of a flow what became of it: denied by
// a rule of a security group, or let in by it, to a member unless that is
// empty.
func (b *balancer) explains(protocol string, from net.Addr, to, access, rule, member string) {
	b.t.Helper()
	out := b.command("explain", "--protocol", protocol, "--from", from.String(), "--to", to)
	want := []string{"access: " + access + ", by rule " + rule + " of security group edge"}
	if member != "" {
		want = append(want, "outcome: goes to "+member)
	}
	if !containsAll(out, want) {
		b.t.Errorf("explain %s from %s: want %q in\n%s", protocol, from, want, out)
	}
}

// silent tells whether a datagram that was asked about has no answer, and no
// refusal either.
func silent(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// wantRefused wants so many refusals of a rule for a reason.
func (b *balancer) wantRefused(rule, reason string, n int) {
	b.t.Helper()
	testkit.Eventually(b.t, soon, fmt.Sprintf("%d flows of %s to be refused for %s", n, rule, reason), func() bool {
		return b.metric(fmt.Sprintf("gatehouse_l4_refused_total{reason=%q,rule=%q}", reason, rule)) == float64(n)
	})
}

// both replaces the frontend of a configuration by two, of both families.
func both(text string) string {
	return strings.Replace(text, "address: FRONT}", `addresses: [FRONT, "`+front6+`"]}`, 1)
}
