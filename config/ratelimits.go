package config

import "time"

// ClientRateLimit is a limit on how many requests of one key pass. Listeners,
// rules and path rules name it; what names the same one counts together.
type ClientRateLimit struct {
	Name     string
	Requests int           // within Per; 1..1 000 000
	Per      time.Duration // 1s..24h, default 1m
	Burst    int           // at once after a pause; 1..1 000 000, default Requests
	Key      LimitKey
	IPv6Bits int  // of an IPv6 client address, 1..128, default 64
	Keys     int  // told apart at a time, 64..10 000 000, default 100 000
	Headers  bool // RateLimit and RateLimit-Policy also on responses to what passes
	DryRun   bool // refuse nothing
	Pos      Pos
}

// LimitKey is what requests of one count have in common.
type LimitKey struct {
	On   LimitOn
	Name string // Valid iff On is LimitByHeader or LimitByCookie
}

// LimitOn is where a LimitKey comes from.
type LimitOn uint8

const (
	LimitByClientAddr LimitOn = iota // the client's address, without its port
	LimitByHeader                    // a header field; without it, the client's address
	LimitByCookie                    // a cookie; without it, the client's address
	LimitByPath                      // the canonical path, after rewrites
	LimitByListener                  // all requests of a listener
)

// String is the key as the configuration has it.
func (k LimitKey) String() string {
	switch k.On {
	case LimitByHeader:
		return "header:" + k.Name
	case LimitByCookie:
		return "cookie:" + k.Name
	case LimitByPath:
		return "path"
	case LimitByListener:
		return "listener"
	}
	return "clientAddr"
}
