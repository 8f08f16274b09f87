// Package limits asks the real binary what it bounds and how it spreads requests: rate limits, sizes of bodies, buffering,
// weighted pools and mirrors, over HTTP/1.1 and HTTP/2, across reloads and at the end.
package limits
