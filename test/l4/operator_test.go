package l4

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// What the commands show of flows and members.
func TestCommandsShowFlowsAndMembers(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, l.fill(ordinary))
	b.settled()
	for i := range 5 {
		client := "127.0.0.41"
		if i > 2 {
			client = "127.0.0.42"
		}
		s, err := dialFrom(client, l.door())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.echo("some text"); err != nil {
			t.Fatal(err)
		}
	}
	if who, err := talkFrom(t, "127.0.0.43", l.door()).ask(soon); err != nil {
		t.Fatal(who, err)
	}
	matches := func(out, expression string) {
		t.Helper()
		if !regexp.MustCompile(expression).MatchString(out) {
			t.Errorf("want %s in\n%s", expression, out)
		}
	}
	// What a client has got is counted when it has left.
	counted := regexp.MustCompile(`(?s)NAME +FLOWS +BYTES\n127\.0\.0\.41 +3 +66 B\n127\.0\.0\.42 +2 +44 B\n127\.0\.0\.43 +1 `)
	testkit.Eventually(t, soon, "flows with what they carried, by client", func() bool {
		return counted.MatchString(b.command("flows", "--top", "client"))
	})
	matches(b.command("flows", "--top", "rule"), `(?s)stream +5 +110 B\ndatagram +1 `)
	if out := b.command("flows", "--client", "127.0.0.40/29", "--protocol", "tcp", "--limit", "2"); strings.Count(out, " stream ") != 2 || !strings.Contains(out, "and 3 more") {
		t.Errorf("flows:\n%s", out)
	}
	var list struct {
		Matching int
		Flows    []struct{ Client, Frontend, Rule, Member, Backend string }
	}
	if err := json.Unmarshal([]byte(b.command("flows", "--client", "127.0.0.43", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if f := list.Flows; list.Matching != 1 || len(f) != 1 || f[0].Rule != "datagram" || f[0].Frontend != l.door() || !strings.HasPrefix(f[0].Client, "127.0.0.43:") {
		t.Errorf("flows: %+v", list)
	}
	l.members[1].sick.Store(true)
	b.becomes(l.members[1], "down")
	b.command("drain", l.members[0].ip)
	out := b.command("backends", "--pool", "pool")
	matches(out, `stream +a +`+regexp.QuoteMeta(l.members[0].address())+` +drained +no .* Down_Admin`)
	matches(out, `datagram +b +`+regexp.QuoteMeta(l.members[1].address())+` +down +no .* Down_Probe_HttpStatusCodeError status 503`)
	b.waitLog("health event", `"event":"NoHealthyBackends"`, `"subject":"stream"`)
	b.command("undrain", "a")
	matches(b.command("backends"), `stream +a .* up +yes .* Up_Probe_Success`)
	b.waitLog("health event over", "NoHealthyBackends", `"subject":"stream"`)
	if out := command(t, 1, "drain", "nobody", "--admin", b.admin); !strings.Contains(out, `there is no member "nobody"`) {
		t.Errorf("drain: %s", out)
	}
	matches(b.command("status"), `stream +tcp/`+regexp.QuoteMeta(l.door())+` +pool +1/2 +5 +5 +0 `)
}

// The names of the metrics are an interface, with their labels.
func TestMetrics(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	b := start(t, l.fill(ordinary))
	b.settled()
	s := openTo(t, l.door(), "a")
	if err := s.echo("some text"); err != nil {
		t.Fatal(err)
	}
	// Bytes are counted when they have left, and what was opened before s may
	// end later.
	testkit.Eventually(t, soon, "the status to count a flow that goes on", func() bool {
		var status struct {
			Rules []struct{ Sent, Received uint64 }
		}
		if err := json.Unmarshal([]byte(b.page("/status")), &status); err != nil {
			t.Fatal(err)
		}
		return status.Rules[0].Sent >= 9 && status.Rules[0].Received >= 9
	})
	testkit.Eventually(t, soon, "one flow", func() bool { return b.metric(`gatehouse_l4_flows{protocol="tcp",rule="stream"}`) == 1 })
	page := b.page("/metrics")
	for _, want := range []string{
		`gatehouse_l4_flows{protocol="tcp",rule="stream"} 1`,
		`gatehouse_l4_flows_total{rule="stream"} [0-9]+`,
		`gatehouse_l4_bytes_total{direction="inbound",rule="stream"} [0-9]+`,
		`gatehouse_l4_bytes_total{direction="outbound",rule="stream"} [0-9]+`,
		`gatehouse_l4_packets_total{direction="inbound",rule="datagram"} 0`,
		`gatehouse_l4_refused_total{reason="no_member",rule="stream"} 0`,
		`gatehouse_l4_ended_total{reason="reset"} 0`,
		`gatehouse_l4_available{rule="datagram"} 1`,
		`gatehouse_l4_member_up{member="a",pool="pool",rule="stream"} 1`,
		`gatehouse_l4_member_flows{member="a",pool="pool"} 1`,
		`gatehouse_l4_member_flows_total{member="b",pool="pool"} [0-9]+`,
		`gatehouse_l4_member_connect_failures_total{member="b",pool="pool"} 0`,
		fmt.Sprintf(`gatehouse_l4_probe_up{probe="health",target="%s:%d"} 1`, l.members[0].ip, l.health),
		fmt.Sprintf(`gatehouse_l4_probe_duration_seconds{probe="health",target="%s:%d"} [0-9.e-]+`, l.members[0].ip, l.health),
		fmt.Sprintf(`gatehouse_l4_source_ports_used{target="%s"} 1`, l.members[0].address()),
		`gatehouse_l4_source_ports [0-9.e+]+`,
		`gatehouse_l4_flow_log_dropped_total 0`,
		`gatehouse_l4_flow_log_lost_total 0`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(page) {
			t.Errorf("no line %s", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

// check says everything that is wrong, each with its line, and a start says
// the same.
func TestCheckTellsLines(t *testing.T) {
	t.Parallel()
	file := testkit.Config(t, `admin: {address: off}
frontends: [{name: front, address: 127.0.0.1}]
backendPools: [{name: pool, members: [127.0.0.2]}]
rules:
  - {name: one, frontend: front, protocol: tcp, frontendPort: 70000, backendPool: pool}
  - {name: two, frontend: back, protocol: tcp, frontendPort: 81, backendPool: pool}
  - {name: three, frontend: front, protocol: udp, frontendPort: 82, backendPool: pool, tcpReset: true}
`)
	for _, args := range [][]string{{"check", "-c", file}, {"run", "-c", file}} {
		out := command(t, 1, args...)
		for _, want := range []string{file + ":5: rules[0].frontendPort", file + ":6: rules[1].frontend", file + ":7: rules[2].tcpReset"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: want %q in\n%s", args, want, out)
			}
		}
	}
	good := testkit.Config(t, "frontends: [{name: front, address: 127.0.0.1}]\nbackendPools: [{name: pool, members: [127.0.0.2]}]\nrules:\n  - {name: one, frontend: front, protocol: tcp, frontendPort: 80, backendPool: pool}\n")
	if out := command(t, 0, "check", "-c", good); !strings.Contains(out, "is good: 1 rule, 0 inbound NAT rules, 1 member") {
		t.Errorf("check: %s", out)
	}
}

// A start at a port that another has says which rule it was.
func TestAnOccupiedPortIsTold(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	file := testkit.Config(t, fmt.Sprintf("admin: {address: off}\nfrontends: [{name: front, address: 127.0.0.1}]\nbackendPools: [{name: pool, members: [127.0.0.2]}]\nrules:\n  - {name: one, frontend: front, protocol: tcp, frontendPort: %s, backendPool: pool}\n", port))
	out := command(t, 1, "run", "-c", file)
	if want := []string{file + ":5: rules[0]", "tcp/127.0.0.1:" + port, "in use"}; !containsAll(out, want) {
		t.Errorf("want %q in\n%s", want, out)
	}
}
