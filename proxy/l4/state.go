package l4

import (
	"strings"
	"sync"
)

// State is what lasts from one balancer to the next.
type State struct {
	Flows Flows

	mu       sync.Mutex
	lives    map[memberKey]*Life
	rules    map[string]*RuleLife
	verdicts map[checkKey]*Verdict
}

// memberKey is a member's identity.
type memberKey struct{ pool, member string }

// NewState returns one that knows nothing.
func NewState() *State {
	return &State{lives: map[memberKey]*Life{}, rules: map[string]*RuleLife{}, verdicts: map[checkKey]*Verdict{}}
}

func kept[K comparable, V any](s *State, all map[K]*V, key K) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := all[key]
	if v == nil {
		v = new(V)
		all[key] = v
	}
	return v
}

func (s *State) life(pool, member string) *Life { return kept(s, s.lives, memberKey{pool, member}) }
func (s *State) rule(name string) *RuleLife     { return kept(s, s.rules, name) }
func (s *State) verdict(k checkKey) *Verdict    { return kept(s, s.verdicts, k) }

// Forget forgets what a balancer, which is in use now, does not need. Flows
// that go on keep what they count in.
func (s *State) Forget(b *Balancer) {
	lives, rules := map[memberKey]bool{}, map[string]bool{}
	for _, r := range b.Rules {
		rules[r.Name] = true
	}
	for _, ro := range b.rosters {
		for _, m := range ro.members {
			lives[memberKey{m.Pool, m.Key()}] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.lives {
		// What the operator has drained stays so while its name is away, as
		// host names come and go.
		if !lives[k] && !l.Drained() {
			delete(s.lives, k)
		}
	}
	for name := range s.rules {
		if !rules[name] {
			delete(s.rules, name)
		}
	}
	for k := range s.verdicts {
		if b.checks[k] == nil {
			delete(s.verdicts, k)
		}
	}
}

// Drained are the members that an operator has drained, for Drain of the
// State of another process.
func (s *State) Drained() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.lives {
		if l.Drained() {
			list = append(list, k.pool+"\x00"+k.member)
		}
	}
	return list
}

// Drain drains members before there is a balancer.
func (s *State) Drain(list []string) {
	for _, text := range list {
		if pool, member, ok := strings.Cut(text, "\x00"); ok {
			s.life(pool, member).drained.Store(true)
		}
	}
}
