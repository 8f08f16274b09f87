package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

var errSick = errors.New("status 503 not in 200-399")

// byPriority are targets 10.0.P.1 to 10.0.P.n for each priority P, of which
// there are as many as said.
func byPriority(members ...int) []config.Target {
	var all []config.Target
	for p, n := range members {
		for i := range n {
			all = append(all, config.Target{Host: fmt.Sprintf("10.0.%d.%d", p+1, i+1), Weight: 1, Priority: p + 1})
		}
	}
	return all
}

func TestWhoServes(t *testing.T) {
	tests := []struct {
		name       string
		members    []int  // by priority
		sick       string // last parts of addresses: 1.2 is the second of priority 1
		drained    string
		ejected    string
		minHealthy int
		panicAt    int
		want       string // likewise
		reason     string // of the first of priority 1, or of 2 behind a star
		panics     bool
	}{
		{name: "the first group", members: []int{2, 2}, want: "1.1 1.2", reason: "*on standby: priority 1 serves"},
		{name: "one is enough", members: []int{3, 2}, sick: "1.1 1.2", want: "1.3"},
		{name: "nobody is not", members: []int{2, 2}, sick: "1.1 1.2", want: "2.1 2.2", reason: errSick.Error()},
		{name: "nor in the second", members: []int{1, 1, 1}, sick: "1.1 2.1", want: "3.1"},
		{name: "too few overflow", members: []int{3, 2}, sick: "1.1 1.2", minHealthy: 50, want: "1.3 2.1 2.2"},
		{name: "enough do not", members: []int{4, 2}, sick: "1.1 1.2", minHealthy: 50, want: "1.3 1.4"},
		{name: "over to the third", members: []int{2, 2, 2}, sick: "1.1 2.1", minHealthy: 51, want: "1.2 2.2 3.1 3.2"},
		{name: "the drained are missing", members: []int{2, 1}, drained: "1.1", minHealthy: 51, want: "1.2 2.1"},
		{name: "the ejected, too", members: []int{2, 1}, ejected: "1.1 1.2", want: "2.1"},
		{name: "all ejected: those that probes pass", members: []int{2, 1}, ejected: "1.1 2.1", sick: "1.2", want: "1.1 2.1",
			reason: "1 connect failures: connect refused; used for want of others"},
		{name: "nobody at all", members: []int{1, 1}, sick: "1.1 2.1", want: ""},
		{name: "no panic unless asked", members: []int{4}, sick: "1.1 1.2 1.3", want: "1.4"},
		{name: "panic", members: []int{4}, sick: "1.1 1.2 1.3", panicAt: 50, want: "1.1 1.2 1.3 1.4", panics: true,
			reason: errSick.Error() + "; used because too few are healthy"},
		{name: "no panic at the threshold", members: []int{4}, sick: "1.1 1.2", panicAt: 50, want: "1.3 1.4"},
		{name: "panic when all are sick", members: []int{2}, sick: "1.1 1.2", panicAt: 1, want: "1.1 1.2", panics: true},
		{name: "panic takes the ejected", members: []int{3}, sick: "1.1", ejected: "1.2", panicAt: 50, want: "1.1 1.2 1.3", panics: true},
		{name: "but not the drained", members: []int{4}, sick: "1.1 1.2", drained: "1.3", panicAt: 50, want: "1.1 1.2 1.4", panics: true},
		{name: "the drained are no reason for it", members: []int{4}, drained: "1.1 1.2 1.3", panicAt: 50, want: "1.4"},
		{name: "a group that is drained does not count", members: []int{1, 2}, sick: "2.1 2.2", drained: "1.1", panicAt: 50, want: "2.1 2.2", panics: true},
		{name: "all drained", members: []int{2}, drained: "1.1 1.2", panicAt: 50, want: ""},
		{name: "the next group before panic", members: []int{4, 2}, sick: "1.1 1.2 1.3", panicAt: 50, want: "1.4 2.1 2.2"},
		{name: "panic of both groups", members: []int{2, 2}, sick: "1.1 1.2 2.1", panicAt: 60, want: "1.1 1.2 2.1 2.2", panics: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := health.NewTable(health.Options{})
				defer runTable(table)()
				v := &verdict{bad: map[string]error{}}
				o := options()
				o.Targets, o.MinHealthy, o.PanicThreshold = byPriority(tt.members...), tt.minHealthy, tt.panicAt
				o.Probe = v.probe(table)
				o.Ejection = config.Ejection{ConnectFailures: 1, Time: time.Hour}
				for _, host := range strings.Fields(tt.sick) {
					v.set("10.0."+host+":80", errSick)
				}
				p := commit(t, o, nil)
				time.Sleep(time.Minute)
				for _, host := range strings.Fields(tt.drained) {
					drainNamed(p, "10.0."+host)
				}
				for _, host := range strings.Fields(tt.ejected) {
					p.live.backends[identity{addr: netip.MustParseAddrPort("10.0." + host + ":80"), target: "10.0." + host}].ConnectFailed(syscall.ECONNREFUSED)
				}
				var want []string
				for _, host := range strings.Fields(tt.want) {
					want = append(want, "10.0."+host+":80")
				}
				wantServing(t, p, want...)
				s := p.Status()
				if s.Panic != tt.panics {
					t.Errorf("panic is %t", s.Panic)
				}
				for _, b := range s.Backends {
					if (b.EffectiveWeight == 1) != strings.Contains(" "+strings.Join(want, " ")+" ", " "+b.Name+" ") {
						t.Errorf("%s has a weight of %v", b.Name, b.EffectiveWeight)
					}
				}
				reason, second := strings.CutPrefix(tt.reason, "*")
				name := "10.0.1.1:80"
				if second {
					name = "10.0.2.1:80"
				}
				if got := stateOf(t, p, name).Reason; reason != "" && got != reason {
					t.Errorf("%s: %q, want %q", name, got, reason)
				}
				closePool(t, p)
			})
		})
	}
}

// A retry that finds nobody else in its group is what the next is there for.
func TestRetriesGoOverToTheNextPriority(t *testing.T) {
	o := options()
	o.Targets = byPriority(1, 2, 1)
	p := commit(t, o, nil)
	defer closePool(t, p)
	first := one(t, p, "10.0.1.1:80")
	got := map[string]bool{}
	for range 20 {
		b, err := p.Acquire(first)
		if err != nil {
			t.Fatal(err)
		}
		b.End()
		got[b.Name()] = true
		again, err := p.Acquire(b)
		if err != nil || again != first {
			t.Fatalf("a second retry, after %s: %v, %v", b.Name(), again, err)
		}
		again.End()
	}
	if len(got) != 2 || got["10.0.3.1:80"] {
		t.Errorf("retries go to %v", got)
	}
	wantServing(t, p, "10.0.1.1:80")
	o.Targets = byPriority(1)
	p = commit(t, o, p)
	if _, err := p.Acquire(first); !errors.Is(err, ErrNoOther) {
		t.Error(err)
	}
}

// shareOf is the part of n requests that a member gets, which end at once.
func shareOf(t *testing.T, p *Pool, name string, n int) float64 {
	t.Helper()
	got := 0
	for i := range n {
		b, err := p.AcquireFor(uint64(i)*0x9e3779b97f4a7c15, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.End()
		if b.Name() == name {
			got++
		}
	}
	return float64(got) / float64(n)
}

func wantShare(t *testing.T, p *Pool, name string, want float64) {
	t.Helper()
	if got := shareOf(t, p, name, 6000); math.Abs(got-want) > 0.03 {
		t.Errorf("%s gets %.3f of the requests, want %.3f", name, got, want)
	}
}

// Whatever the way to balance, and whatever a member comes back from, its part
// rises from a tenth of its weight to all of it.
func TestSlowStart(t *testing.T) {
	const back = "10.0.0.4:80"
	ways := map[string]func(t *testing.T, v *verdict, o Options, p *Pool) *Pool{
		"probes": func(t *testing.T, v *verdict, o Options, p *Pool) *Pool {
			v.set(back, errSick)
			time.Sleep(time.Minute)
			v.set(back, nil)
			for stateOf(t, p, back).State != Healthy {
				time.Sleep(time.Millisecond)
			}
			return p
		},
		"ejection": func(t *testing.T, v *verdict, o Options, p *Pool) *Pool {
			p.live.backends[identity{addr: netip.MustParseAddrPort(back), target: "10.0.0.4"}].ConnectFailed(syscall.ECONNREFUSED)
			time.Sleep(10*time.Second + time.Millisecond)
			return p
		},
		"drain": func(t *testing.T, v *verdict, o Options, p *Pool) *Pool {
			drainNamed(p, "10.0.0.4")
			time.Sleep(time.Minute)
			undrain(p, "10.0.0.4")
			return p
		},
		"addition": func(t *testing.T, v *verdict, o Options, p *Pool) *Pool {
			all := o.Targets
			o.Targets = all[1:]
			next, _ := NewPool(o, p)
			next.Commit()
			time.Sleep(time.Minute)
			o.Targets = all
			p, _ = NewPool(o, next)
			p.Commit()
			return p
		},
		"its own drain": func(t *testing.T, v *verdict, o Options, p *Pool) *Pool {
			b := p.live.backends[identity{addr: netip.MustParseAddrPort(back), target: "10.0.0.4"}]
			b.Begin()
			all := o.Targets
			o.Targets = all[1:]
			next, _ := NewPool(o, p)
			next.Commit()
			time.Sleep(10 * time.Second)
			o.Targets = all
			p, _ = NewPool(o, next)
			p.Commit()
			b.End()
			return p
		},
	}
	for how := config.RoundRobin; how <= config.Hash; how++ {
		for from, comeBack := range ways {
			t.Run(how.String()+" after "+from, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					table := health.NewTable(health.Options{})
					defer runTable(table)()
					v := &verdict{bad: map[string]error{}}
					o := options("10.0.0.4", "10.0.0.5", "10.0.0.6")
					o.Balance, o.SlowStart = how, 30*time.Second
					o.Ejection = config.Ejection{ConnectFailures: 1, Time: 10 * time.Second}
					o.Probe = v.probe(table)
					p := commit(t, o, nil)
					wantShare(t, p, back, 1./3) // all are new
					time.Sleep(time.Minute)
					p = comeBack(t, v, o, p)
					wantShare(t, p, back, .1/2.1)
					if s := stateOf(t, p, back); s.EffectiveWeight != 0.1 || !strings.HasSuffix(s.Reason, "slow start: 10 % of its weight") {
						t.Errorf("%+v", s)
					}
					time.Sleep(15*time.Second + 10*time.Millisecond)
					wantShare(t, p, back, .5/2.5)
					time.Sleep(14 * time.Second)
					wantShare(t, p, back, .95/2.95)
					time.Sleep(3 * time.Second)
					wantShare(t, p, back, 1./3)
					if s := stateOf(t, p, back); s.EffectiveWeight != 1 || strings.Contains(s.Reason, "slow") {
						t.Errorf("%+v", s)
					}
					if p.live.step != nil {
						t.Error("weights go on rising")
					}
					closePool(t, p)
				})
			})
		}
	}
}

// Slow start's own failure: members that recover one after the other, and the
// last that is left, must not be kept from what they can do.
func TestSlowStartHoldsNobodyBackForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4", "10.0.0.5")
		o.SlowStart = 30 * time.Second
		o.Ejection = config.Ejection{ConnectFailures: 1, Time: 10 * time.Second}
		p := commit(t, o, nil)
		time.Sleep(time.Minute)
		a, b := one(t, p, "10.0.0.4:80"), one(t, p, "10.0.0.5:80")
		a.ConnectFailed(syscall.ECONNREFUSED)
		time.Sleep(11 * time.Second) // a is back, in slow start
		b.ConnectFailed(syscall.ECONNREFUSED)
		wantShare(t, p, a.Name(), 1)
		if s := a.State(); s.EffectiveWeight != 1 || strings.Contains(s.Reason, "slow") {
			t.Errorf("the only one: %+v", s)
		}
		a.ConnectFailed(syscall.ECONNREFUSED)
		wantShare(t, p, a.Name(), .5) // both are ejected, for want of others
		time.Sleep(11 * time.Second)
		wantShare(t, p, a.Name(), .5) // both came back at once, or nearly
		a.ConnectOK()
		b.ConnectOK()
		time.Sleep(time.Minute)
		wantShare(t, p, a.Name(), .5)
		closePool(t, p)
	})
}

// Panic's own failure: what it uses must not be slowed down, and it must end.
func TestPanicSuspendsSlowStartAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		v := &verdict{bad: map[string]error{}}
		o := options("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7")
		o.SlowStart, o.PanicThreshold = 10*time.Minute, 60
		o.Probe = v.probe(table)
		p := commit(t, o, nil)
		time.Sleep(20 * time.Minute)
		for _, name := range []string{"10.0.0.4:80", "10.0.0.5:80", "10.0.0.6:80"} {
			v.set(name, errSick)
		}
		time.Sleep(time.Minute)
		wantShare(t, p, "10.0.0.4:80", 1./4)
		v.set("10.0.0.4:80", nil)
		time.Sleep(time.Minute)
		if !p.Status().Panic {
			t.Error("half is not under 60 %")
		}
		wantShare(t, p, "10.0.0.4:80", 1./4)
		v.set("10.0.0.5:80", nil)
		time.Sleep(time.Minute)
		if p.Status().Panic {
			t.Error("panic goes on")
		}
		wantShare(t, p, "10.0.0.6:80", 0)
		wantShare(t, p, "10.0.0.5:80", .1/1.2) // both that came back are at the floor, or near it
		closePool(t, p)
	})
}

// A member that comes back knows nothing of its response time: what is left of
// the average would make it look fast, or slow.
func TestAReturnForgetsResponseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4", "10.0.0.5")
		o.Balance = config.EWMA
		o.Ejection = config.Ejection{ConnectFailures: 1, Time: 10 * time.Second}
		p := commit(t, o, nil)
		b := one(t, p, "10.0.0.4:80")
		b.Answered(1e9, 1e9)
		if s := b.State(); s.ResponseSeconds == 0 {
			t.Errorf("%+v", s)
		}
		b.ConnectFailed(syscall.ECONNREFUSED)
		time.Sleep(11 * time.Second)
		if s := b.State(); s.ResponseSeconds != 0 {
			t.Errorf("%+v", s)
		}
		o.Balance = config.P2C
		p = commit(t, o, p)
		b.Answered(1e9, 1e9)
		if s := b.State(); s.ResponseSeconds != 0 {
			t.Errorf("measured for nobody: %+v", s)
		}
		closePool(t, p)
	})
}

func TestReloadsChangeHowMembersAreChosen(t *testing.T) {
	o := options()
	o.Targets = byPriority(1, 1)
	p := commit(t, o, nil)
	wantServing(t, p, "10.0.1.1:80")
	o.Targets[0].Priority, o.Targets[1].Priority = 2, 1
	p = commit(t, o, p)
	wantServing(t, p, "10.0.2.1:80")
	o.Targets[0].Priority = 1
	p = commit(t, o, p)
	wantServing(t, p, "10.0.1.1:80", "10.0.2.1:80")
	o.Balance = config.Hash
	p = commit(t, o, p)
	first := acquire(t, p)
	for range 20 {
		if acquire(t, p) != first {
			t.Error("one key, two members")
		}
	}
	if p.HashKey() == nil || p.Status().Balance != "hash" {
		t.Errorf("%+v", p.Status())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.Close(ctx) // what was acquired has not ended
}
