// Package steer brings what comes for any port of an address to one socket
// (or one group of them, as SO_REUSEPORT makes): the HA ports of a load
// balancer, whose door has port 0.
//
// A small BPF program of type sk_lookup, which the kernel runs when it looks
// for the socket of a new TCP connection or of a datagram, does it. Doors with
// a port of such an address are told to it, for it cannot look for their
// sockets. It is attached to the network namespace of the process and goes
// with the process.
//
// What does not pass the program: packets of established TCP connections, and
// datagrams to a connected UDP socket from its peer. All else does, so the
// address should be one of its own: another program's listener, or its
// unconnected UDP socket, on the same address gets nothing more.
//
// It takes CAP_BPF and CAP_NET_ADMIN, at each change, and a seccomp filter that
// lets bpf(2) through.
//
// # TCP
//
// The listener is bound to the address, to any free port. An accepted socket's
// local address is the address and port that the client asked for: getsockname
// says which, as each may have another. With several listeners in a
// SO_REUSEPORT group, give one of them: the kernel shares the connections out
// among the whole group.
//
// # UDP
//
// The socket, or group, is bound in the same way. [RecordDestination] makes the
// kernel say with each datagram which port it was sent to, and [Destination]
// reads that from the control messages, which must have [ControlSpace] bytes
// for it. A flow is known by the client's address and that one, as two ports of
// one client's may be the same. Datagrams that the kernel gives joined
// (UDP_GRO) were all for one port.
//
// Answers must come from the port that was asked, which no control message can
// bring about: the port is the socket's. So they leave by another socket,
// [ReplySocket], one for each port with flows, which the caller counts and
// closes. The address needs no IP_PKTINFO then.
//
// # Two processes
//
// In an upgrade the new process opens its own Steering and calls Set before
// the old one closes its: programs of one namespace run in the order in which
// they came, and of those that choose a socket the last decides. What only the
// old one steers stays so until it closes. No moment is without one of them.
//
// Source: the kernel's Documentation/bpf/prog_sk_lookup.rst.
package steer
