// Package http2 asks the real binary over HTTP/2: by the conformance suite h2spec, by clients that are not ours, while
// configurations and processes change.
package http2
