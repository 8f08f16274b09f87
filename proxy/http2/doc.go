// Package http2 is HTTP/2 from clients and to backends (RFC 9113): frames and field
// compression are golang.org/x/net/http2's, the loop of a connection and its
// streams are ours.
//
// One goroutine reads a connection. Each request is an [Exchange], which a
// goroutine of a pool serves; an idle connection has none. What streams have to
// say is gathered in one buffer, which whoever finds it untended writes out.
//
// To a backend there is a [ClientConn] that many an [Upstream] shares, each a
// request and its response. One goroutine reads it, another writes.
//
// A request is put into the form of an HTTP/1.1 head and parsed by package
// http1, so that both protocols refuse the same things, and what is sent on
// means what was decided on. So is a response.
package http2
