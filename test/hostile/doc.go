// Package hostile sends the gateway what attackers send, and has backends answer it as broken or malicious ones would: every
// trick on raw sockets against the real binary, built with the race detector, and each one judged by both sides: what the
// client was answered, and what reached the backend.
//
// The letters and numbers in the names of tests and cases count the tricks by topic: A framing, C upgrades, D trust in
// fields, E paths, F TLS and the PROXY protocol, H backends, I exhaustion and logs.
package hostile
