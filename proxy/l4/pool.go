package l4

import (
	"gatehouse/config"
	"gatehouse/proxy/l4/maglev"
)

// roster is the members of a pool at one time, and who has which slot.
type roster struct {
	pool    *config.L4Pool
	members []*Member
	table   maglev.Table // of all members, whatever their health
}

func newRoster(pool *config.L4Pool, members []*Member, seed uint64) *roster {
	entries := make([]maglev.Entry, len(members))
	for i, m := range members {
		entries[i] = maglev.Entry{Key: m.Key(), Weight: m.Weight}
	}
	return &roster{pool: pool, members: members, table: maglev.Build(entries, seed)}
}

// State of a member under one rule.
type MemberState uint8

// The states, with Azure's reason codes.
const (
	StateUp        MemberState = iota // Up_Probe_Success, or no probe
	StateUntried                      // NA: used until its first verdict
	StateUpAdmin                      // Up_Admin
	StateDown                         // Down_Probe_...
	StateDownAdmin                    // Down_Admin
	StateDrained                      // by the operator
)

// Eligible tells whether new flows go to a member in the state.
func (s MemberState) Eligible() bool { return s <= StateUpAdmin }

// String is the state in the words of status and metrics.
func (s MemberState) String() string {
	return [...]string{"up", "untried", "up (admin)", "down", "down (admin)", "drained"}[s]
}

// stateOf is the state of a member whose checks are given.
func (m *Member) stateOf(checks []*Check) MemberState {
	switch {
	case m.Life.Drained():
		return StateDrained
	case m.Admin == config.AdminDown:
		return StateDownAdmin
	case m.Admin == config.AdminUp:
		return StateUpAdmin
	}
	state := StateUp
	for _, c := range checks {
		switch c.Health() {
		case Down:
			return StateDown
		case Untried:
			state = StateUntried
		}
	}
	return state
}
