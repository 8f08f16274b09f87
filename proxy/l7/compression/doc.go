// Package compression encodes responses for clients that accept it: with
// gzip, Brotli or Zstandard (RFC 9110 8.4).
//
// An [Engine] is what all responses of a process share: pools of encoders and
// what they may cost. A [Policy] decides whether a response is encoded, and
// changes its head; an [Encoder] does the work.
package compression
