// Package latency estimates the round-trip time from a client's network to each
// of Azure's regions, for performance routing.
//
// A [Table] begins with an estimate for each place of a database of package
// geo, from distances and from what Microsoft measures between its regions
// (DATA.md). Measurements of the operator refine it. A table does not change:
// who has new measurements builds another from the one before, and stores it
// where that was.
package latency
