// Package tls is only tests: what instances of the real binary and OCSP responders have to do with each other.
package tls
