// Package compression asks the real binary for compressed responses, over
// HTTP/1.1 and HTTP/2, as clients of another make understand them.
package compression
