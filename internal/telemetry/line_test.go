package telemetry

import (
	"bytes"
	"strings"
)

// hostileRecord has everything a client chooses at its worst: far too long,
// and of bytes that grow most when escaped.
func hostileRecord() *Record {
	r := usualRecord()
	long := []byte(strings.Repeat("\"\\\x00\x1b[31m\xff\xe2\x80\xa8\n\U000E0001", 4000))
	r.Method, r.Target, r.Path, r.Query = long, long, long, long
	r.Host, r.HostSent, r.UserAgent, r.Referer, r.ContentType = long, long, long, long, long
	s := string(bytes.Repeat([]byte{0}, 10000))
	r.Listener, r.Rule, r.PathRule, r.Pool, r.Settings, r.Backend = s, s, s, s, s, s
	r.Proto, r.ServerName, r.Reason, r.ErrorInfo = s, s, s, s
	r.TLS = true
	r.Termination = Termination{0, '"'}
	copy(r.TraceID[:], s)
	r.TraceID[0] = '"'
	return r
}
