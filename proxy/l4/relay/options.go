package relay

import (
	"gatehouse/config"
	"gatehouse/proxy/l4"
)

// Options are what servers of one process have in common. Functions are
// called by the loops, so none of them may wait.
type Options struct {
	// Flows is where flows are entered. It must be that of the balancers.
	Flows *l4.Flows

	// Choose finds where a flow goes by the first bytes that its client has
	// sent. It is asked for rules that have server names, each time when
	// there are more bytes.
	Choose func(r *l4.Rule, first []byte) Choice

	// Header appends to b the PROXY header that tells a member of a flow. It
	// is asked for rules that want one.
	Header func(b []byte, v config.ProxyProtocol, t *l4.Tuple) []byte

	// Descriptors is up to which number flows take descriptors: the kernel
	// gives the lowest that is free, so others are left for who probes members,
	// reloads and answers the operator. If zero, there is no bound.
	Descriptors int

	// Report, if not nil, is told why connections cannot be accepted, at most
	// once a second by each loop.
	Report func(error)
}

// spared tells whether a descriptor is one that flows leave to others.
func (o *Options) spared(fd int) bool { return o.Descriptors > 0 && fd >= o.Descriptors }

// Choice is where a flow goes by what its client says.
type Choice struct {
	// More asks for more bytes first.
	More bool
	// Refuse, if not zero, is why the flow goes nowhere.
	Refuse l4.Refusal
	// Index is that of the rule's SNI; -1: where flows go that have no name.
	Index int
}
