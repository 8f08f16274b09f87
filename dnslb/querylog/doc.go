// Package querylog writes down which queries came and what was answered: as
// lines of JSON, and as dnstap for those who want the messages themselves.
//
// It stays off the path of the answers. A goroutine that serves queries has a
// [Lane] of its own: [Lane.Want] decides by sampling, [Lane.Put] copies a
// [Record] into the lane's ring. Neither locks, waits or allocates. One
// goroutine of the [Logger] empties all rings and writes in batches, and another
// one sends dnstap. What they cannot keep up with is dropped and counted.
package querylog
