package l4

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// moment is what a client finds after something happened to the member that
// its flows go to.
type moment struct {
	stream string // of the connection: "stays", or how it ends within the time that it may
	talk   string // of the datagrams: "stays", "moves", or "silent"
	fresh  string // of new connections: "others", "all", or "refused"
}

// What happens to flows that there are, and to new ones: the decision table of
// Azure, each row seen from the client.
func TestExistingFlows(t *testing.T) {
	for _, tt := range []struct {
		name  string
		text  func(string) string // changes the configuration at the start
		event func(*testing.T, *balancer, *lab)
		want  moment
	}{
		{"one member is down", nil, func(t *testing.T, b *balancer, l *lab) {
			l.members[0].sick.Store(true)
			b.becomes(l.members[0], "down")
		}, moment{"stays", "moves", "others"}},
		{"all are down, allDown", nil, allSick, moment{"stays", "silent", "refused"}},
		{"all are down, allUp", func(s string) string {
			return strings.Replace(s, "damping: false", "damping: false, noHealthyBackends: allUp", 1)
		}, allSick, moment{"stays", "stays", "all"}},
		{"adminState down", nil, func(t *testing.T, b *balancer, l *lab) {
			b.configure(strings.Replace(l.fill(ordinary), "name: a}", "name: a, adminState: down}", 1))
		}, moment{"stays", "moves", "others"}},
		{"adminState up of one that is down", func(s string) string {
			return strings.Replace(s, "name: a}", "name: a, adminState: up}", 1)
		}, func(t *testing.T, b *balancer, l *lab) {
			l.members[0].sick.Store(true)
			testkit.Eventually(t, soon, "the probe to find out", func() bool {
				return strings.Contains(b.log(), `"state":"unhealthy"`)
			})
		}, moment{"stays", "stays", "all"}},
		{"drained by the operator", nil, func(t *testing.T, b *balancer, l *lab) { b.command("drain", "pool/a") }, moment{"stays", "moves", "others"}},
		{"removed from the pool", nil, func(t *testing.T, b *balancer, l *lab) {
			b.configure(strings.Replace(l.fill(ordinary), l.list(l.members[0])+", ", "", 1))
		}, moment{"reset", "moves", "others"}},
		{"removed from the pool with time", func(s string) string { return strings.Replace(s, "drain: 1s", "drain: 1h", 1) }, func(t *testing.T, b *balancer, l *lab) {
			b.configure(strings.Replace(strings.Replace(l.fill(ordinary), l.list(l.members[0])+", ", "", 1), "drain: 1s", "drain: 1h", 1))
		}, moment{"stays", "moves", "others"}},
		{"the process of the member ends", nil, func(t *testing.T, b *balancer, l *lab) {
			l.members[0].sick.Store(true)
			l.members[0].kill()
			b.becomes(l.members[0], "down")
		}, moment{"reset", "moves", "others"}},
		{"the rule of the connection is removed", nil, func(t *testing.T, b *balancer, l *lab) {
			b.configure(without(l.fill(ordinary), "{name: stream"))
		}, moment{"reset", "stays", "refused"}},
		{"the rule of the datagrams is removed", nil, func(t *testing.T, b *balancer, l *lab) {
			b.configure(without(l.fill(ordinary), "{name: datagram"))
		}, moment{"stays", "silent", "all"}},
		{"the rule of the connection goes to another pool", nil, func(t *testing.T, b *balancer, l *lab) {
			text := strings.Replace(l.fill(ordinary), "backendPools: [", "backendPools: [{name: other, members: ["+l.list(l.members[1:]...)+"]}, ", 1)
			b.configure(strings.ReplaceAll(text, "backendPool: pool", "backendPool: other"))
		}, moment{"stays", "moves", "others"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 3)
			text := l.fill(ordinary)
			if tt.text != nil {
				text = tt.text(text)
			}
			b := start(t, text)
			b.settled()
			s, u := openTo(t, l.door(), "a"), openUDPTo(t, l.door(), "a")
			tt.event(t, b, l)
			if got := fresh(l.door()); got != tt.want.fresh {
				t.Errorf("new connections: %s, want %s", got, tt.want.fresh)
			}
			if got := fate(u, tt.want.talk == "silent"); got != tt.want.talk {
				t.Errorf("datagrams: %s, want %s", got, tt.want.talk)
			}
			checkStream(t, s, tt.want.stream)
		})
	}
}

func allSick(t *testing.T, b *balancer, l *lab) {
	for _, m := range l.members {
		m.sick.Store(true)
	}
	for _, m := range l.members {
		b.becomes(m, "down")
	}
}

// without leaves the lines out that have the text.
func without(text, what string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, what) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// checkStream wants a connection to go on, or to end as it should.
func checkStream(t *testing.T, s *stream, want string) {
	t.Helper()
	if want != "stays" {
		if got := s.end(soon); got != want {
			t.Errorf("the connection: %s, want %s", got, want)
		}
		return
	}
	for range 3 { // longer than the time to drain
		if err := s.echo("still there"); err != nil {
			t.Errorf("the connection: %v", err)
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// fresh tells whom 60 new connections go to, of three members.
func fresh(address string) string {
	seen, refused := map[string]bool{}, 0
	for range 60 {
		s, err := dial(address)
		if err != nil {
			refused++
			continue
		}
		seen[s.member] = true
		s.Close()
	}
	switch {
	case refused == 60:
		return "refused"
	case refused > 0:
		return "some refused"
	case len(seen) == 3:
		return "all"
	case len(seen) == 2 && !seen["a"]:
		return "others"
	}
	return "some"
}

// fate tells what became of datagrams that went to a; if they should have no
// answer, that is not waited for as long.
func fate(u *talk, silent bool) string {
	who, within := "", soon
	if silent {
		within = 700 * time.Millisecond
	}
	for range 5 {
		next, err := u.ask(within)
		if err != nil {
			next = "nobody"
		}
		if who != "" && next != who {
			return who + ", then " + next
		}
		who = next
	}
	switch who {
	case "nobody":
		return "silent"
	case "a":
		return "stays"
	}
	return "moves"
}
