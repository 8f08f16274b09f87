// Package http3 is HTTP/3 from clients (RFC 9114): QUIC is quic-go's, the
// coding of fields its qpack's, frames, streams and what may be on which of
// them ours.
//
// One goroutine takes the streams of a connection. Each request is an
// [Exchange], which a goroutine of a pool reads and serves; those streams that
// a connection has for itself have one each.
//
// What is common with HTTP/2 is in package multiplex: a request is put into the
// form of an HTTP/1.1 head and parsed by package http1, so that all protocols
// refuse the same things.
package http3
