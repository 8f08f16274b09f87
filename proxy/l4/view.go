package l4

import "gatehouse/proxy/balance"

// view is a pool as one rule sees it at one moment: who gets new flows. It
// does not change.
type view struct {
	*roster
	states   []MemberState // by index of the members
	eligible []bool        // likewise: gets new flows now
	count    int           // of the eligible
	allUp    bool          // nobody is well, and all get new flows for that
}

// see makes the view of a roster; checks are by member.
func see(r *roster, checks [][]*Check, allUp bool) *view {
	v := &view{roster: r, states: make([]MemberState, len(r.members)), eligible: make([]bool, len(r.members))}
	for i, m := range r.members {
		var of []*Check
		if checks != nil {
			of = checks[i]
		}
		v.states[i] = m.stateOf(of)
		v.admit(i, v.states[i].Eligible())
	}
	if v.count == 0 && allUp {
		for i, s := range v.states {
			v.allUp = v.allUp || s == StateDown
			v.admit(i, s == StateDown)
		}
	}
	return v
}

func (v *view) admit(i int, ok bool) {
	v.eligible[i] = ok
	if ok {
		v.count++
	}
}

// index is the index of a member, -1 if the pool does not have it any more.
func (v *view) index(m *Member) int {
	for i, x := range v.members {
		if x.Life == m.Life {
			return i
		}
	}
	return -1
}

// maxTries is how many members one flow is offered to.
const maxTries = 8

// Pick goes through the members for one flow in the order in which they are
// to be tried. The zero value has none.
type Pick struct {
	view  *view
	hash  uint64
	tried [maxTries]int
	n     int
}

// Next is the next member; nil: there is none left.
func (p *Pick) Next() *Member {
	if p.view == nil || p.n == maxTries || p.n >= p.view.count {
		return nil
	}
	i := p.search()
	p.tried[p.n] = i
	p.n++
	return p.view.members[i]
}

// hops is how often the table is asked before everybody is looked at.
const hops = 16

// search finds a member that is eligible and not tried; there is one. The
// first slot decides for a flow whose member is well, whoever else is not:
// no flow moves but those of a member that goes down.
func (p *Pick) search() int {
	for k := range uint64(hops) {
		h := p.hash
		if k > 0 {
			h = balance.Mix(p.hash, k)
		}
		if i := p.view.table.Lookup(h); p.open(i) {
			return i
		}
	}
	best, rank := -1, uint64(0)
	for i, m := range p.view.members {
		if !p.open(i) {
			continue
		}
		// Rendezvous hashing: the weight is left out, as so few are left.
		if r := balance.Sum(m.Key(), p.hash); best < 0 || r > rank {
			best, rank = i, r
		}
	}
	return best
}

func (p *Pick) open(i int) bool {
	if !p.view.eligible[i] {
		return false
	}
	for _, t := range p.tried[:p.n] {
		if t == i {
			return false
		}
	}
	return true
}
