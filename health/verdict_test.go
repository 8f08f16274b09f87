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
		{"one says yes", []Checker{down, up, down}, Policy{StartUnhealthy: true}, Healthy, true},
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
		if len(table.byAddress["x"]) != 1 || len(table.byKey) != 1 {
			t.Errorf("kept: %v, %v", table.byAddress, table.byKey)
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
		if s := next.Watch(Subject{Key: "renamed", Address: "y"}, &script{}, Policy{StartUnhealthy: true}, nil).Status(); !s.Usable {
			t.Errorf("up, under another key, begins %+v", s)
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
