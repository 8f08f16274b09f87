// Package server has the sockets of an authoritative DNS server: datagrams,
// TCP (RFC 7766) and TLS (RFC 7858). It knows nothing of what is asked beyond
// the twelve bytes of a message's header; a Responder answers.
//
// A Server listens on one address. Listen binds everything or nothing, and
// Run serves until its context ends:
//
//	s, err := server.Listen(ctx, address, server.Config{NewResponder: answers.New, Limits: limits})
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx)
//
// Several Servers of one process run side by side, come and go on their own,
// and share the bounds on TCP connections if they share a Connections.
//
// Datagrams are read and written in batches with one system call each, by as
// many sockets as there are processors, without allocating. Whatever a client
// sends or leaves unsent costs memory and time within config.DNSLimits.
package server
