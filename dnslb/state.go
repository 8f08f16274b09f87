package dnslb

import "gatehouse/health"

// State is what an endpoint is at the moment (Azure: endpointMonitorStatus).
type State uint8

// The states of an endpoint, in the order in which they are decided: the
// first whose condition holds.
const (
	Disabled    State = iota // by its configuration or by the operator; never served
	Inactive                 // its profile is disabled; not probed
	Stopped                  // the nested profile is disabled or has nothing to serve
	Unmonitored              // not probed, always served
	Checking                 // probed, no verdict yet; served (Azure: CheckingEndpoint)
	Online                   // served
	Degraded                 // served only where everything else is too
)

// String is the state as Azure writes it.
func (s State) String() string {
	names := [...]string{"Disabled", "Inactive", "Stopped", "Unmonitored", "CheckingEndpoint", "Online", "Degraded"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Served tells whether an endpoint in this state is a candidate.
func (s State) Served() bool { return s == Unmonitored || s == Checking || s == Online }

// enabled tells whether an endpoint in this state can be served at all.
func (s State) enabled() bool { return s.Served() || s == Degraded }

// ProfileState is what a profile is at the moment (Azure:
// profileMonitorStatus).
type ProfileState uint8

// The states of a profile, in the order in which they are decided.
const (
	ProfileDisabled ProfileState = iota // by its configuration
	ProfileDegraded                     // an endpoint is degraded
	ProfileOnline                       // an endpoint is online or unmonitored
	ProfileChecking                     // no endpoint has a verdict yet
	ProfileInactive                     // no endpoint is enabled
)

// String is the state as Azure writes it.
func (s ProfileState) String() string {
	names := [...]string{"Disabled", "Degraded", "Online", "CheckingEndpoints", "Inactive"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Switch is the operator's word about an endpoint at run time, which goes
// before its configuration.
type Switch uint8

// The positions of a switch.
const (
	AsConfigured Switch = iota
	SwitchedOn
	SwitchedOff
)

// stateOf is that of an endpoint that is no nested profile.
func (e *Endpoint) stateOf(k Known) State {
	switch {
	case !e.enabled(k):
		return Disabled
	case !e.profile.conf.Enabled:
		return Inactive
	case e.unmonitored():
		return Unmonitored
	case k.Health == health.Untried:
		return Checking
	case k.Health == health.Healthy:
		return Online
	}
	return Degraded
}

func (e *Endpoint) enabled(k Known) bool {
	return e.conf.Enabled && k.Switch != SwitchedOff || k.Switch == SwitchedOn
}

// nestedState is that of an endpoint that stands for a profile whose plan is
// below.
func (e *Endpoint) nestedState(k Known, below *plan) State {
	switch {
	case !e.enabled(k):
		return Disabled
	case !e.profile.conf.Enabled:
		return Inactive
	case below.state == ProfileDisabled || below.state == ProfileInactive:
		return Stopped
	case e.enough(below.online):
		return Online
	case e.enough(below.online.plus(below.checking)):
		return Checking
	}
	return Degraded
}

// tally counts endpoints: all, and those that have addresses of a family.
type tally struct{ all, v4, v6 int }

func (t tally) plus(u tally) tally { return tally{t.all + u.all, t.v4 + u.v4, t.v6 + u.v6} }

// enough tells whether so many endpoints of the nested profile are as many as
// this one needs.
func (e *Endpoint) enough(t tally) bool {
	return t.all >= max(e.conf.MinChildEndpoints, 1) && t.v4 >= e.conf.MinChildIPv4 && t.v6 >= e.conf.MinChildIPv6
}

// stateOfProfile is that of a profile whose endpoints are in the given states.
func (p *Profile) stateOfProfile(states []State) ProfileState {
	if !p.conf.Enabled {
		return ProfileDisabled
	}
	var online, checking bool
	for _, s := range states {
		switch s {
		case Degraded:
			return ProfileDegraded
		case Online, Unmonitored:
			online = true
		case Checking:
			checking = true
		}
	}
	switch {
	case online:
		return ProfileOnline
	case checking:
		return ProfileChecking
	}
	return ProfileInactive
}
