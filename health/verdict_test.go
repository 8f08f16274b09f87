package health

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestANewWatchBeginsWithWhatOthersKnowOfTheAddress(t *testing.T) {
	down, up := &script{err: errors.New("connect refused")}, &script{}
	tests := []struct {
		name   string
		others []Checker // of the same address
		new    Policy
		want   State
		usable bool
	}{
		{"nobody", nil, Policy{}, Untried, true},
		{"all say no", []Checker{down, down}, Policy{}, Unhealthy, false},
		{"one says yes", []Checker{down, up, down}, Policy{}, Untried, true},
		{"one says yes, and nobody asked this", []Checker{up}, Policy{StartUnhealthy: true}, Untried, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable(Options{})
				defer run(table)()
				table.Watch(Subject{Key: "elsewhere", Address: "10.0.0.9:80"}, down, Policy{UnhealthyThreshold: 1}, nil)
				for i, c := range tt.others {
					table.Watch(Subject{Key: string(rune('a' + i)), Address: "10.0.0.4:80"}, c, Policy{UnhealthyThreshold: 1}, nil)
				}
				time.Sleep(2 * time.Second)
				w := table.Watch(Subject{Key: "new", Address: "10.0.0.4:80"}, &script{hang: true}, tt.new, nil)
				if s := w.Status(); s.State != tt.want || s.Usable != tt.usable {
					t.Errorf("begins %+v", s)
				}
			})
		})
	}
}

// Whoever mends a backend by a changed configuration does not wait for
// thresholds that were meant for the old one.
func TestWhatOthersCallUnhealthyComesBackWithOneSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		old := table.Watch(Subject{Key: "old", Address: "x"}, &script{err: errors.New("status 404")}, Policy{UnhealthyThreshold: 1}, nil)
		time.Sleep(2 * time.Second)
		w := table.Watch(Subject{Key: "new", Address: "x"}, &script{}, Policy{HealthyThreshold: 5}, nil)
		old.Stop()
		if w.Status().Usable {
			t.Fatal("usable before it was asked")
		}
		time.Sleep(2 * time.Second)
		if s := w.Status(); s.State != Healthy {
			t.Errorf("%+v", s)
		}
	})
}

// Settings that are renamed ask as they did: what another probe of the address
// says, that the port is open, is not about what they ask.
func TestANewWatchListensFirstToThoseWhoAskInItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := NewTable(Options{})
		defer run(old)()
		page := &script{err: errors.New("status 500")}
		asked := old.Watch(Subject{Key: "shop", Address: "x", Way: "http /"}, page, Policy{UnhealthyThreshold: 1}, nil)
		old.Watch(Subject{Key: "port", Address: "x", Way: "tcp"}, &script{}, Policy{}, nil)
		time.Sleep(2 * time.Second)
		next := NewTable(Options{})
		next.Recall(old.Verdicts())

		for name, table := range map[string]*Table{"reload": old, "upgrade": next} {
			same := table.Watch(Subject{Key: "renamed", Address: "x", Way: "http /"}, page, Policy{UnhealthyThreshold: 1}, nil)
			if s := same.Status(); s.State != Unhealthy || s.Usable || !s.Since.Equal(asked.Status().Since) {
				t.Errorf("%s: renamed begins %+v", name, s)
			}
			other := table.Watch(Subject{Key: "other", Address: "x", Way: "http /else"}, page, Policy{UnhealthyThreshold: 1}, nil)
			if s := other.Status(); s.State != Untried {
				t.Errorf("%s: one that asks as nobody did begins %+v", name, s)
			}
			same.Stop()
			other.Stop()
		}
		if n := len(old.byGroup[group{"x", "http /"}]); n != 1 || len(next.byGroup) != 0 {
			t.Errorf("kept: %v, %v", old.byGroup, next.byGroup)
		}
	})
}

func TestAStoppedWatchKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		old := table.Watch(Subject{Key: "old", Address: "x"}, &script{err: errors.New("status 404")}, Policy{UnhealthyThreshold: 1}, nil)
		time.Sleep(2 * time.Second)
		old.Stop()
		if s := table.Watch(Subject{Key: "new", Address: "x"}, &script{}, Policy{}, nil).Status(); s.State != Untried {
			t.Errorf("%+v", s)
		}
		if len(table.byGroup[group{address: "x"}]) != 1 || len(table.byKey) != 1 {
			t.Errorf("kept: %v, %v", table.byGroup, table.byKey)
		}
	})
}

func TestVerdictsGoFromOneTableToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := NewTable(Options{})
		defer run(old)()
		old.Watch(Subject{Key: "down", Address: "x"}, &script{err: errors.New("connect refused")}, Policy{UnhealthyThreshold: 1}, nil)
		old.Watch(Subject{Key: "up", Address: "y"}, &script{}, Policy{}, nil)
		time.Sleep(2 * time.Second)
		old.Watch(Subject{Key: "not asked yet", Address: "z"}, &script{hang: true}, Policy{}, nil)
		text, err := json.Marshal(old.Verdicts())
		if err != nil {
			t.Fatal(err)
		}
		var verdicts []Verdict
		if err := json.Unmarshal(text, &verdicts); err != nil {
			t.Fatal(err)
		}
		if len(verdicts) != 2 {
			t.Errorf("%d verdicts of 2: %s", len(verdicts), text)
		}

		next := NewTable(Options{})
		next.Recall(verdicts)
		before, _ := old.Lookup("down")
		if s := next.Watch(Subject{Key: "down", Address: "x"}, &script{}, Policy{}, nil).Status(); s.State != Unhealthy || s.Usable ||
			s.Reason != "connect refused" || !s.Since.Equal(before.Since) {
			t.Errorf("down begins %+v; it was %+v", s, before)
		}
		if s := next.Watch(Subject{Key: "renamed", Address: "y"}, &script{}, Policy{StartUnhealthy: true}, nil).Status(); s.Usable {
			t.Errorf("what nobody has asked begins %+v", s)
		}
		time.Sleep(recallFor + time.Second)
		if s := next.Watch(Subject{Key: "late", Address: "x"}, &script{}, Policy{}, nil).Status(); s.State != Unhealthy {
			t.Errorf("the watch that runs is forgotten: %+v", s)
		}
		if s := next.Watch(Subject{Key: "up", Address: "y2"}, &script{}, Policy{}, nil).Status(); s.State != Untried {
			t.Errorf("a verdict is believed after %v: %+v", recallFor, s)
		}
	})
}

func TestAStateThatIsNoneIsRefused(t *testing.T) {
	var s State
	if err := json.Unmarshal([]byte(`"splendid"`), &s); err == nil {
		t.Error("accepted")
	}
}
