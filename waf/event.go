package waf

import (
	"time"

	"gatehouse/config"
	"gatehouse/waf/variables"
)

// Outcome is what became of a request.
type Outcome uint8

const (
	Allowed     Outcome = iota // nothing matched, or a custom rule allowed it
	Matched                    // rules matched, below the threshold
	Detected                   // would have been blocked, in detection
	Blocked                    // was blocked
	RateLimited                // was over a rate limit
	Challenged                 // has to solve the JavaScript challenge
	Refused                    // its body could be read in two ways, or is too large
	Failed                     // could not be judged: an error of the firewall
	// NumOutcomes is how many there are.
	NumOutcomes = iota
)

// String is the outcome in logs and metrics.
func (o Outcome) String() string {
	return [...]string{"allowed", "matched", "detected", "blocked", "rate_limited", "challenged", "refused", "failed"}[o]
}

// Event is what a policy has to say of one message: the rules that matched
// and what became of it.
type Event struct {
	Time     time.Time
	Trace    string
	Policy   string
	Mode     config.WAFMode
	Outcome  Outcome
	Reason   string // for people
	RuleID   int    // the managed rule that blocked
	Custom   string // the custom rule that decided
	Score    int
	Response bool   // it is about the response
	Partial  bool   // a part of the message was not inspected
	Unseen   string // which, where that is more than the end of a long body
	Request  *variables.Request
	Matches  []Match
	Hits     []CustomMatch
	Duration time.Duration // that judging took
}

// CustomMatch is a custom rule that matched.
type CustomMatch struct {
	Rule   string
	Action string
	Why    []string // its conditions, and what held them
}
