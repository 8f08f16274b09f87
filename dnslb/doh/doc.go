// Package doh serves DNS over HTTPS (RFC 8484), over HTTP/1.1 and HTTP/2, for
// the same Responders as package server:
//
//	s, err := doh.Listen(ctx, address, doh.Config{NewResponder: answers.New, TLS: tlsConfig})
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx)
//
// A client is who holds the other end of the TCP connection, whatever a header
// says. Connections count as those of TCP and TLS do, and make room for them,
// if all share a server.Connections. Transfers of zones, of which one query has
// several answers, are not for this transport.
//
// Statuses: 200 for every DNS response, whatever its code; 404 for other
// paths; 405 for methods but GET and POST; 415 for media types but
// application/dns-message and for content codings; 400 for what is no query;
// 408 for one that comes too slowly; 413 above 65535 bytes, and 431 for a
// header above 16 KiB; 503 if the Responder is silent or too many long messages
// are in hand; 500 if it panics or its answer is too long.
package doh
