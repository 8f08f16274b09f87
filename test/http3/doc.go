// Package http3 asks the real binary over HTTP/3: by quic-go's client, and by a raw one that breaks the rules, while
// configurations and processes change.
package http3
