package http1

import (
	"testing"
	"time"

	"gatehouse/internal/stream"
)

// A fast beginning must neither overflow the deadline nor buy hours of
// silence.
func TestTheBodysDeadlineIsBounded(t *testing.T) {
	for _, taken := range []int64{0, 1 << 20, 1 << 30, 9 << 30, 1 << 50} {
		x := &Exchange{c: &ServerConn{options: &Options{BodyMinRate: 500, IdleTimeout: time.Minute}}}
		x.bodyStart = stream.Now()
		x.in.taken = taken
		at := x.bodyDeadline()
		if after := time.Duration(at - x.bodyStart); after < BodyGrace-time.Second || at > stream.Now()+int64(BodySilence) {
			t.Errorf("after %d bytes at once the next must come within %v", taken, after)
		}
	}
}
