// Package connect runs the conformance suite of Connect, gRPC and gRPC-Web,
// connectrpc.com/conformance, through a running appgw. The suite's runner
// starts a "server under test" for each combination of version, protocol and
// TLS; here that is appgw with the suite's own reference server behind it, so
// that what fails is the gateway's doing. It is a module of its own, so that
// what the suite needs is not needed by the product:
//
//	cd test/connect && go test -count=1 -v .
//
// A file of YAML for each kind of backend says which cases are run, and
// knownFailures which of those fail and why. The runner takes it amiss when one
// that is listed passes.
package connect
