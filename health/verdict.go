package health

import (
	"fmt"
	"slices"
	"time"
)

// Subject is what a watch is about.
type Subject struct {
	// Key is its identity: of two watches with one key, the later one goes
	// on from the status of the earlier one.
	Key string
	// Address is what is probed. A watch whose key is new begins with what the
	// others know of the address.
	Address string
	// Way is how it is asked. What others of the same address and way know
	// stands for what a new watch would find. Where there are none, those that
	// ask in other ways are believed when all of them call it unhealthy. Empty:
	// like nobody else.
	Way string
}

// groups are what a watch is found under by others: its address, and its
// address asked in its way.
func (s Subject) groups() []group {
	if s.Way == "" {
		return []group{{address: s.Address}}
	}
	return []group{{address: s.Address}, {s.Address, s.Way}}
}

// group is an address; with a way, that address asked in that way.
type group struct{ address, way string }

// Verdict is a status and whom it is about: what one process tells the next.
type Verdict struct {
	Subject
	Status Status
}

// recallFor is how long a table believes what it was told with Recall.
const recallFor = time.Minute

// maxKnown bounds how many watches of a group a new one looks at.
const maxKnown = 64

// Verdicts returns the status of each watch that has probed. Recall of the
// table of another process takes it.
func (t *Table) Verdicts() []Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Verdict, 0, len(t.byKey))
	for _, w := range t.byKey {
		if s := w.Status(); !s.Checked.IsZero() {
			all = append(all, Verdict{w.subject, s})
		}
	}
	return all
}

// Recall makes watches that are begun within the next minute begin with the
// statuses given, as if they went on from watches of this table.
func (t *Table) Recall(all []Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recalled = recollection{until: time.Now().Add(recallFor), byKey: make(map[string]Status), byGroup: make(map[group][]Status)}
	for _, v := range all {
		t.recalled.byKey[v.Key] = v.Status
		for _, g := range v.groups() {
			t.recalled.byGroup[g] = append(t.recalled.byGroup[g], v.Status)
		}
	}
}

// recollection is what Recall was given.
type recollection struct {
	until   time.Time
	byKey   map[string]Status
	byGroup map[group][]Status
}

// begin is the status that a watch begins with. The caller holds t.mu.
func (t *Table) begin(about Subject, p Policy, now time.Time) Status {
	if now.After(t.recalled.until) {
		t.recalled = recollection{}
	}
	if before := t.byKey[about.Key]; before != nil {
		return before.Status()
	}
	if s, ok := t.recalled.byKey[about.Key]; ok {
		return s
	}
	if about.Way != "" {
		if s, ok := t.best(group{about.Address, about.Way}); ok {
			return s
		}
	}
	s, ok := t.best(group{address: about.Address})
	if !ok || s.State != Unhealthy {
		return Status{Since: now} // that others are content is no answer to this question
	}
	// Nobody has asked in this way yet: the first answer may end it.
	s.Streak = p.HealthyThreshold - 1
	return s
}

// best is the best that is known of a group, and whether anything is. The
// caller holds t.mu.
func (t *Table) best(g group) (best Status, ok bool) {
	known := slices.Clone(t.recalled.byGroup[g])
	for w := range t.byGroup[g] {
		if w.paused {
			continue
		}
		if known = append(known, w.Status()); len(known) >= maxKnown {
			break
		}
	}
	for i, s := range known {
		if i == 0 || s.State.betterThan(best.State) {
			best = s
		}
	}
	return best, len(known) > 0
}

// betterThan orders states by how good they are: healthy, untried, unhealthy.
func (s State) betterThan(other State) bool {
	order := [...]State{Unhealthy, Untried, Healthy}
	return slices.Index(order[:], s) > slices.Index(order[:], other)
}

// MarshalText makes the state readable in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for state := Untried; state <= Unhealthy; state++ {
		if state.String() == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("%q is no state", text)
}
