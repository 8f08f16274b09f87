package transparent

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatCannotWorkIsSaid(t *testing.T) {
	l := newLab(t)
	l.document(l.balancer, "the balancer")
	l.balancer.IP("route add unreachable 192.0.2.0/24")
	for member, want := range map[string]string{
		"127.0.0.1": "is on this machine", vip4: "is on this machine", "::1": "is on this machine", vip6: "is on this machine",
		"192.0.2.1": "no route", "2001:db8:ffff::1": "no route",
	} {
		problems := l.check("10.0.0.2", member, "fd00:1::2")
		if len(problems) != 1 || !strings.Contains(problems[0].What, want) || !strings.Contains(problems[0].What, member) || problems[0].Mend != "" {
			t.Errorf("%s: %v, want %q", member, problems, want)
		}
	}
	if problems := l.check("198.51.100.2"); len(problems) != 1 || problems[0].Mend != "ip rule add iif client lookup 100" {
		t.Errorf("a member by another interface: %v", problems)
	}
}

// Rules that are there for something else do not count, and nothing is
// proposed that would break them.
func TestRulesForSomethingElse(t *testing.T) {
	l := newLab(t)
	l.balancer.IP("route add local 0.0.0.0/0 dev lo table 100")
	l.balancer.IP("route add default via 198.51.100.2 table 200")
	for _, rule := range []string{
		"fwmark 7 lookup 200", "iif client lookup 100", "iif eth1 lookup 100 pref 40000", "iif eth1 blackhole pref 40001",
		"from 10.9.0.0/16 lookup 100",
	} {
		l.balancer.IP("rule add " + rule)
	}
	problems := l.check("10.0.0.2")
	if len(problems) != 1 || problems[0].Mend != "ip rule add iif eth1 lookup 100" {
		t.Errorf("got %v", problems)
	}
	l.balancer.IP("rule add fwmark 1 lookup 1000")
	l.balancer.IP("route add local 0.0.0.0/0 dev lo table 1000")
	if problems := l.check("10.0.0.2"); len(problems) != 0 {
		t.Errorf("with a mark of its own: %v", problems)
	}
}

func TestWhatInterfacesShareIsSaidOnce(t *testing.T) {
	l := newLab(t)
	want := []string{"ip rule add iif eth1 lookup 100", "ip route add local 0.0.0.0/0 dev lo table 100", "ip rule add iif client lookup 100"}
	var got []string
	for _, p := range l.check("10.0.0.2", "198.51.100.2") {
		got = append(got, p.Mend)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	l.balancer.IP("rule add fwmark 1 lookup 100")
	if problems := l.check("10.0.0.2", "198.51.100.2"); len(problems) != 1 || problems[0].Mend != want[1] {
		t.Errorf("with a mark, the route is missing: %v", problems)
	}
}

// A client has as many connections as there are ports, to each member.
func TestPortsAreSharedAmongMembers(t *testing.T) {
	l := newLab(t)
	l.document(l.member, "a member")
	l.document(l.balancer, "the balancer")
	const ports = 4
	l.balancer.Sysctl("ipv4/ip_local_port_range", "40000 40003") // for IPv6 too
	for client, members := range map[string][2]string{"198.51.100.2": {"10.0.0.2", "10.0.0.3"}, "2001:db8:c::2": {"fd00:1::2", "fd00:1::3"}} {
		for _, member := range members {
			if member == members[1] {
				l.member.IP("address add " + member + "/32 dev balancer nodad")
			}
			l.service(member)
			for i := range ports {
				c, err := l.dial("tcp", member, netip.AddrPortFrom(netip.MustParseAddr(client), 0))
				if err != nil {
					t.Fatalf("connection %d to %s: %v", i, member, err)
				}
				defer c.Close()
			}
		}
	}
}

func TestARuleThatLeads(t *testing.T) {
	good := rule{table: 100, priority: 100, device: "eth1", action: ruleToTable}
	for name, change := range map[string]func(*rule){
		"not":      func(r *rule) { r.flags |= ruleInverted },
		"goto":     func(r *rule) { r.action = 2 },
		"late":     func(r *rule) { r.priority = mainPriority },
		"eth2":     func(r *rule) { r.device = "eth2" },
		"eth2 too": func(r *rule) { r.device, r.mark = "eth2", 1 },
		"any":      func(r *rule) { r.device = "" },
	} {
		if r := good; !r.leads("eth1") {
			t.Fatal("the rule does not lead")
		} else if change(&r); r.leads("eth1") {
			t.Errorf("%s: it leads", name)
		}
	}
}

func TestARouteThatIsMissing(t *testing.T) {
	l := newLab(t)
	l.balancer.IP("rule add iif eth1 lookup 300")
	l.balancer.IP("route add default via 198.51.100.2 table 300")
	problems := l.check("10.0.0.2")
	if len(problems) != 1 || problems[0].Mend != "ip route add local 0.0.0.0/0 dev lo table 300" {
		t.Fatalf("got %v", problems)
	}
	l.balancer.IP("route del default table 300")
	l.balancer.Run(problems[0].Mend)
	if problems := l.check("10.0.0.2"); len(problems) != 0 {
		t.Errorf("mended, but %v", problems)
	}
}

func TestAMissingCapability(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(header, &all[0]); err != nil {
		t.Fatal(err)
	}
	fewer := all
	fewer[0].Effective &^= 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	if err := unix.Capset(header, &fewer[0]); err != nil {
		t.Fatal(err)
	}
	problems := Check(nil)
	if err := unix.Capset(header, &all[0]); err != nil {
		t.Error(err)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "not permitted; try: setcap") {
		t.Errorf("got %v", problems)
	}
}

func TestControlOfWhatIsNoSocketOfIP(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := Control(fd); err == nil {
		t.Error("taken")
	}
}

// pack and the parsers agree; cut or damaged answers are no panic and no
// endless loop.
func FuzzAnswers(f *testing.F) {
	m := &message{family: unix.AF_INET, kind: unix.RTN_LOCAL, attributes: map[uint16][]byte{unix.RTA_TABLE: {44, 1, 0, 0}}}
	packed := m.pack(unix.RTM_NEWROUTE, unix.NLM_F_MULTI, 1)
	f.Add(packed)
	f.Add(slices.Concat(packed, packed, []byte{20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
	f.Add([]byte{17, 0, 0, 0, 2, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{33, 0, 0, 0, 24, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 5, 0, 15, 0, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_, _ = readAnswers(b, 1, func(m *message) {
			n++
			m.tableOf()
			m.text(fraIIFName)
		})
		if n*unix.SizeofNlMsghdr > len(b) {
			t.Errorf("%d messages in %d bytes", n, len(b))
		}
	})
}

func TestAnswersAreRead(t *testing.T) {
	var m *message
	for table, want := range map[uint32]uint32{0: 7, 300: 300} {
		m = &message{family: unix.AF_INET6, table: 7, kind: unix.RTN_LOCAL, flags: 3, attributes: map[uint16][]byte{fraIIFName: []byte("eth1")}}
		if table != 0 {
			m.attributes[unix.RTA_TABLE] = binary.NativeEndian.AppendUint32(nil, table)
		}
		var got []*message
		done, err := readAnswers(m.pack(unix.RTM_NEWROUTE, unix.NLM_F_MULTI, 5), 5, func(m *message) { got = append(got, m) })
		if done || err != nil || len(got) != 1 {
			t.Fatalf("%d messages, %t, %v", len(got), done, err)
		}
		if g := got[0]; g.tableOf() != want || g.kind != unix.RTN_LOCAL || g.flags != 3 || g.text(fraIIFName) != "eth1" {
			t.Errorf("got %+v", g)
		}
	}
	older := m.pack(unix.RTM_NEWROUTE, 0, 4)
	if done, err := readAnswers(older, 5, func(*message) { t.Error("an answer to an older request is taken") }); done || err != nil {
		t.Errorf("%t, %v", done, err)
	}
	refused := make([]byte, 36)
	binary.NativeEndian.PutUint32(refused, 36)
	binary.NativeEndian.PutUint16(refused[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(refused[16:], uint32(0xffffffff)) // EPERM
	if done, err := readAnswers(refused, 0, nil); !done || err != unix.EPERM {
		t.Errorf("%t, %v", done, err)
	}
}
