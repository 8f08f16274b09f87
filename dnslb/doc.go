// Package dnslb decides which endpoints a name leads to: the routing methods
// of Azure's Traffic Manager over the health of what they choose from.
//
// A [Director] is the compiled configuration and never changes. A [Snapshot]
// is the director under what is known of its endpoints at one moment: a pure
// function of both, made anew where something changed. [Snapshot.Answer] is
// then a few lookups, without locks, I/O or allocation:
//
//	director, err := dnslb.Compile(conf, places, latencies)
//	now := director.Snapshot(known)
//	client := profile.Locate(address)
//	now.Answer(profile, dnslb.A, &client, random, &answer)
//
// What is probed and how is package health's; what is read from the wire and
// written there is that of the packages below this one.
package dnslb
