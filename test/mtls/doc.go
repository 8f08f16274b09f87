// Package mtls asks the real binary for mutual TLS: who is admitted to a listener, what its backends are told of whom, what
// becomes of that when the CAs change, and what the gateway shows backends itself.
package mtls
