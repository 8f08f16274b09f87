// Package l4 tests l4lb as a process, with real sockets: as clients, members
// and operators see it. Most tests have all of them on loopback; those called
// Hosts have each on a host of its own, in network namespaces.
package l4
