// Package http1 is HTTP/1.1: strict parsers for heads and chunked bodies that
// allocate nothing, and on them the connections to clients ([ServerConn],
// [Exchange]) and to backends ([ClientConn], [Upstream]). It has no policy:
// what a request means and where it goes is its [Handler]'s to say.
package http1
