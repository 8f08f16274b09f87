// Package hosts knows the addresses of endpoints that are host names and are
// answered as addresses. They are looked up in the background, so that no
// answer ever waits for another server.
//
// [New] makes a [Resolver], [Resolver.Set] says which hosts are wanted, and
// [Resolver.Run] looks them up until its context ends: each at once when it is
// new, again when the time to live of its records is over, and after a failure
// sooner and then ever less often. [Resolver.Addresses] is what answers are
// made from; it waits for nothing.
//
// The last good addresses of a host are kept without end: while its servers
// cannot be asked, and also when they say that the name does not exist or has
// no addresses. Whether an address serves is for the probes to say; a mistake
// in a zone that others keep must not take an endpoint away that serves.
// They are forgotten only when the host is not wanted any more.
//
// [SystemLookup] asks the name servers of the machine itself rather than
// through package net, which does not tell how long an answer holds.
package hosts
