package health

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestHoldDownIsTheLeastTimeDown(t *testing.T) {
	tests := []struct {
		name     string
		policy   Policy
		outcomes string // one a second: + success, - failure, ! refused, . nothing
		states   string // u untried, H healthy, D down
	}{
		{"none", Policy{UnhealthyThreshold: 1}, "-+", "DH"},
		{"the first success after it", Policy{UnhealthyThreshold: 1, HoldDown: 3500 * time.Millisecond}, "-++++", "DDDDH"},
		{"a success at its end", Policy{UnhealthyThreshold: 1, HoldDown: 3 * time.Second}, "-+++", "DDDH"},
		{"successes before count", Policy{UnhealthyThreshold: 1, HealthyThreshold: 4, HoldDown: 4 * time.Second}, "-++++", "DDDDH"},
		{"the row must be reached too", Policy{UnhealthyThreshold: 1, HealthyThreshold: 3, HoldDown: 2 * time.Second}, "-+-+++", "DDDDDH"},
		{"a failure does not make it longer", Policy{UnhealthyThreshold: 1, HoldDown: 3 * time.Second}, "---+", "DDDH"},
		{"counts from going down", Policy{UnhealthyThreshold: 3, HoldDown: 2 * time.Second}, "---++", "uuDDH"},
		{"a refusal is a failure like others", Policy{UnhealthyThreshold: 3}, "+!!!", "HHHD"},
		{"a refusal counts at once if that is wanted", Policy{UnhealthyThreshold: 3, RefusedAtOnce: true}, "+!++-+", "HDHHHH"},
		{"what flaps stays down longer each time", Policy{UnhealthyThreshold: 1, Interval: 2 * time.Second, Damping: true}, "+-+-++-++++-++++++++", "HDHDDHDDDDHDDDDDDDDH"},
		{"the first time down is none", Policy{UnhealthyThreshold: 1, Interval: 2 * time.Second, Damping: true}, "-+", "DH"},
		{"without damping it does not", Policy{UnhealthyThreshold: 1, Interval: 2 * time.Second}, "+-+-+-+", "HDHDHDH"},
		{"does not hold what is untried or well", Policy{UnhealthyThreshold: 2, HoldDown: time.Hour}, "-+-+", "uHHH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := tt.policy.withDefaults()
			now := time.Unix(1000, 0)
			s := Status{Since: now}.judge(policy)
			for i, outcome := range tt.outcomes {
				var err error
				switch outcome {
				case '-':
					err = errors.New("timeout")
				case '!':
					err = Refused("connect refused")
				}
				now = now.Add(time.Second)
				s = s.observe(policy, now, time.Millisecond, err)
				if got := "uHD"[s.State]; got != tt.states[i] {
					t.Errorf("after %q: state %c, want %c", tt.outcomes[:i+1], got, tt.states[i])
				}
				if s.Usable != (s.State != Unhealthy) {
					t.Errorf("after %q: usable %t", tt.outcomes[:i+1], s.Usable)
				}
			}
		})
	}
}

// Steady for ten minutes, what flapped is trusted again; and no damping is
// longer than two.
func TestDampingEnds(t *testing.T) {
	policy := Policy{UnhealthyThreshold: 1, Interval: 5 * time.Second, Damping: true}.withDefaults()
	now := time.Unix(1000, 0)
	s := Status{Since: now}
	step := func(after time.Duration, err error) {
		now = now.Add(after)
		s = s.observe(policy, now, 0, err)
	}
	down := func() (how time.Duration) {
		step(time.Second, errors.New("timeout"))
		for since := now; s.State == Unhealthy; {
			step(time.Second, nil)
			how = now.Sub(since)
		}
		return how
	}
	var took []time.Duration
	for range 8 {
		took = append(took, down())
	}
	if want := []time.Duration{1, 5, 10, 20, 40, 80, 120, 120}; !slices.EqualFunc(took, want, func(a, b time.Duration) bool { return a == b*time.Second }) {
		t.Errorf("down for %v", took)
	}
	step(10*time.Minute, nil)
	if how := down(); how != time.Second {
		t.Errorf("down for %v after it was steady", how)
	}
}

func TestFailureTellsARefusal(t *testing.T) {
	for err, refused := range map[error]bool{syscall.ECONNREFUSED: true, syscall.ECONNRESET: true, syscall.EHOSTUNREACH: false, os.ErrDeadlineExceeded: false} {
		got := Failure(err)
		if errors.As(got, new(Refused)) != refused || got.Error() != Reason(err) {
			t.Errorf("%v: %T %v", err, got, got)
		}
	}
}
