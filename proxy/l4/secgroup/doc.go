// Package secgroup decides which packets come in, by the rules of a network
// security group: Compile makes a Group of the configuration, Decide asks it
// about the first packet of a flow, and Explain says why. What belongs to a
// flow that was let in needs no rule (the groups are stateful); that is the
// caller's memory, not this package's.
//
// The rule of the lowest priority number that matches decides. Behind the
// rules of the configuration come the inbound default rules of Azure:
// AllowVnetInBound (65000), AllowAzureLoadBalancerInBound (65001) and
// DenyAllInBound (65500).
//
// # How it is fast
//
// Rules have a rank, the order in which they decide. For each of source,
// source port, destination and destination port a table cuts the numbers into
// intervals, inside of which the same rules are interested, and has the set
// of these rules for each. The first rank that is in all four sets, and in
// that of the protocol, decides (the bit vector scheme of Lakshman and
// Stiliadis, 1998). Sets are kept without their empty words, above them lies
// a summary with one bit for each word, and rules that take any value of a
// dimension are kept once for the whole dimension. So a decision costs four
// binary searches and a look at the few words that all summaries have in
// common, whatever the number of rules, unless many rules share an interval
// in every dimension.
//
// # How large it is
//
// A table (two of each address, by family, and one of each port) takes up to
// 20 bytes for each end of an interval, and has a budget of 16 MiB for its
// sets and a bound on the work of making them. Where rules overlap so much
// that it is exceeded, neighbouring intervals are taken together until it is
// not; the sets have too many rules then, and what they point to is compared
// itself before it decides. 10 000 rules with ten prefixes of their own for
// source and for destination each take 4 MiB in all when they overlap little,
// and 30 MiB when hundreds of them overlap everywhere.
package secgroup
