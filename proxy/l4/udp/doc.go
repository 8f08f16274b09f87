// Package udp carries the datagrams of UDP flows between clients and the
// members that package l4 chooses.
//
// An [Engine] has one goroutine per core, each with an epoll of its own that
// watches the sockets of all doors and of all flows: flows cost a descriptor
// and some memory, no goroutine. A [Server] is one door of the engine. Clients
// are told apart by their address and, where the door is bound to every
// address, by the one they asked. Each flow has a socket that is connected to
// its member, so that what the member answers is known by the socket it comes
// to; it goes to the client from the address that was asked.
//
// A door with port 0 is every port of its address (HA ports). What comes for
// them is led to its sockets by package steer; its clients are told apart by
// the port they asked as well, and answered from it, by one more socket for
// each port that has flows. There are at most 1024 of those: a flow to one
// more port is refused (l4.RefusedPort), as is one to a port that another
// program has.
//
// Datagrams are read and sent in batches. Where the kernel can (UDP_GRO,
// UDP_SEGMENT: udp(7)), several of one flow are passed on at once, with their
// boundaries kept. None is larger than its sender made it, and none is cut.
//
// When a member's port is closed, or the way to it is, the kernel hears so by
// ICMP and tells the socket of the flow. That is counted (l4.Life.Failed) and
// otherwise ignored: the flow goes on, as whether a member is well is for its
// probes to say. The client is not told, as no socket can send an ICMP error
// about a datagram that it has read. Errors of ICMP about what was sent to
// clients do not reach the socket of a door at all.
package udp
