package udp

import (
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/steer"
)

// mostExits is how many ports of a door can have flows at once: each takes a
// descriptor, and clients choose them.
const mostExits = 1024

// exits are the sockets by which clients of a door of every port are answered:
// an answer comes from the port that was asked, which is the socket's own. There
// is one for each port that has flows.
type exits struct {
	addr netip.Addr // of the door

	mu     sync.Mutex
	byPort map[uint16]*exit
}

// exit is one of them.
type exit struct {
	fd    int
	port  uint16
	flows int // that leave by it; exits.mu
}

// take is the exit of a flow that begins, which must give it back; or why there
// is none (l4.RefusedPort, or l4.RefusedFlows where there are no descriptors).
//
// A client that is itself a port of the door which has an exit is refused, as
// what it says may be the door's own answer to somebody who claimed to be the
// door: two such flows would answer each other for ever.
func (e *exits) take(t *l4.Tuple) (*exit, l4.Refusal) {
	port := t.Frontend.Port()
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.Client.Addr() == e.addr && (t.Client.Port() == port || e.byPort[t.Client.Port()] != nil) {
		return nil, l4.RefusedPort
	}
	if x := e.byPort[port]; x != nil {
		x.flows++
		return x, l4.NotRefused
	}
	if len(e.byPort) >= mostExits {
		return nil, l4.RefusedPort
	}
	fd, err := steer.ReplySocket(netip.AddrPortFrom(e.addr, port))
	if err != nil {
		return nil, refusalOf(err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer) // as the door's own: see setOptions
	x := &exit{fd: fd, port: port, flows: 1}
	e.byPort[port] = x
	return x, l4.NotRefused
}

// refusalOf is what an error of a socket means to who wants to begin a flow.
func refusalOf(err error) l4.Refusal {
	if errno, ok := errors.AsType[unix.Errno](err); ok && scarce(errno) {
		return l4.RefusedFlows
	}
	return l4.RefusedPort // another program has it, or it takes a capability
}

// leave gives an exit back. The last flow closes it: nothing may be about to
// leave by it.
func (e *exits) leave(x *exit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.flows--; x.flows == 0 {
		delete(e.byPort, x.port)
		unix.Close(x.fd)
	}
}

// count is how many there are.
func (e *exits) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.byPort)
}
