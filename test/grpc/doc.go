// Package grpc runs the interoperability cases of gRPC, its own client and
// server, through the real binary: in clear text and over TLS on both sides.
package grpc
