package compression

import (
	"sync"
	"sync/atomic"

	"gatehouse/config"
)

// Engine is what the compression of a process shares; it outlives
// configurations. Its methods may be called from any goroutine.
type Engine struct {
	budget budget
	pools  [numCodings][numLevels]sync.Pool // of *Encoder
	counts counts
}

// NewEngine makes an engine without a bound on time, and 64 MiB for memory.
func NewEngine() *Engine { return &Engine{} }

// Limit bounds what compression takes: of the time of all processors, in
// percent, and memory of encoders in use. Both are for responses that begin
// afterwards.
func (e *Engine) Limit(percent int, bytes int64) { e.budget.limit(percent, bytes) }

type counts struct {
	in, out [numCodings]atomic.Int64
	done    [numCodings]atomic.Int64
	skipped [numReasons]atomic.Int64
}

// Reason is why a response was not encoded.
type Reason uint8

const (
	None           Reason = iota
	Status                // has no body, or a part of one
	Encoded               // is encoded already
	Type                  // another media type than those of the policy
	NoTransform           // Cache-Control: no-transform
	Integrity             // a digest or a signature covers the body
	Short                 // shorter than minLength
	NotAccepted           // the client does not want any of the encodings
	Processor             // compression has used its share of processor time up
	Memory                // its memory is in use
	Incompressible        // it would have become longer

	numReasons = int(Incompressible) + 1
)

// String is the value of a metric's label.
func (r Reason) String() string {
	return [numReasons]string{"", "status", "encoded", "type", "no_transform", "integrity", "short", "not_accepted", "cpu", "memory", "incompressible"}[r]
}

// Usage is what was done with one coding.
type Usage struct {
	Coding    string
	Responses int64
	In, Out   int64 // bytes of bodies before and after
}

// Skips are the responses that a policy left as they were, for one reason.
type Skips struct {
	Reason    string
	Responses int64
}

// Usage lists what was done, by coding.
func (e *Engine) Usage() (all []Usage) {
	for c := config.CodingNone + 1; int(c) < numCodings; c++ {
		all = append(all, Usage{codings[c].token, e.counts.done[c].Load(), e.counts.in[c].Load(), e.counts.out[c].Load()})
	}
	return all
}

// Skipped lists what was not done, by reason.
func (e *Engine) Skipped() (all []Skips) {
	for r := None + 1; int(r) < numReasons; r++ {
		all = append(all, Skips{r.String(), e.counts.skipped[r].Load()})
	}
	return all
}

// InUse is how many encoders are in use, and the memory that counts for them.
func (e *Engine) InUse() (encoders, bytes int64) {
	return e.budget.inUse.Load(), e.budget.in.Load()
}
