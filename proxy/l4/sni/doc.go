// Package sni finds out which server a TLS client asks for, without opening
// the connection: Parse reads the ClientHello at its beginning, and a Table
// says which route a server name takes.
//
// The name is the client's word and travels in the clear; with Encrypted
// Client Hello it is the outer, public name. What the server makes of the
// hello is its own business: only what Parse has to read is checked, and that
// strictly, so that no server can see another name than the one that chose
// the route.
package sni
