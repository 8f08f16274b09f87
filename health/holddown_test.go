package health

import (
	"errors"
	"testing"
	"time"
)

func TestHoldDownIsTheLeastTimeDown(t *testing.T) {
	tests := []struct {
		name     string
		policy   Policy
		outcomes string // one a second: + success, - failure
		states   string // u untried, H healthy, D down
	}{
		{"none", Policy{UnhealthyThreshold: 1}, "-+", "DH"},
		{"the first success after it", Policy{UnhealthyThreshold: 1, HoldDown: 3500 * time.Millisecond}, "-++++", "DDDDH"},
		{"a success at its end", Policy{UnhealthyThreshold: 1, HoldDown: 3 * time.Second}, "-+++", "DDDH"},
		{"successes before count", Policy{UnhealthyThreshold: 1, HealthyThreshold: 4, HoldDown: 4 * time.Second}, "-++++", "DDDDH"},
		{"the row must be reached too", Policy{UnhealthyThreshold: 1, HealthyThreshold: 3, HoldDown: 2 * time.Second}, "-+-+++", "DDDDDH"},
		{"a failure does not make it longer", Policy{UnhealthyThreshold: 1, HoldDown: 3 * time.Second}, "---+", "DDDH"},
		{"counts from going down", Policy{UnhealthyThreshold: 3, HoldDown: 2 * time.Second}, "---++", "uuDDH"},
		{"does not hold what is untried or well", Policy{UnhealthyThreshold: 2, HoldDown: time.Hour}, "-+-+", "uHHH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := tt.policy.withDefaults()
			now := time.Unix(1000, 0)
			s := Status{Since: now}.judge(policy)
			for i, outcome := range tt.outcomes {
				var err error
				if outcome == '-' {
					err = errors.New("connect refused")
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
