// Package acme is only tests: the real binary with an authority of its own, Let's Encrypt's test server, of which it obtains
// certificates by each kind of challenge.
package acme
