// Package testkit holds what the tests of this module share: scriptable HTTP/1.1 origins and raw clients that see every
// byte, a certificate authority, leak checks, and a way to build and run the real binaries.
//
// Nothing outside tests imports it (test/hygiene keeps that), so it may use net/http as an oracle: requests are read by a
// strict parser of its own, which shares no code with proxy/http1, and each one is parsed a second time by net/http.
package testkit
