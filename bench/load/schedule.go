//go:build linux

package load

import "time"

// schedule is when the requests of an open loop are due: evenly spaced from
// start until end. Times count from the start of the run.
type schedule struct {
	start, end time.Duration
	interval   float64 // nanoseconds
	next       int64   // number of the request that is due next
}

func newSchedule(start, end time.Duration, rate float64) *schedule {
	return &schedule{start: start, end: end, interval: 1e9 / rate}
}

// at is when request i is due. Computed from i, not by adding up intervals:
// rounding must not change the rate.
func (s *schedule) at(i int64) time.Duration {
	return s.start + time.Duration(float64(i)*s.interval)
}

// take returns when the next request was due, if it is due by now.
func (s *schedule) take(now time.Duration) (due time.Duration, ok bool) {
	due = s.at(s.next)
	if due > now || due >= s.end {
		return 0, false
	}
	s.next++
	return due, true
}

// wait is how long there is nothing to do, at most limit.
func (s *schedule) wait(now, limit time.Duration) time.Duration {
	due := s.at(s.next)
	if due >= s.end {
		return limit
	}
	return max(0, min(due-now, limit))
}

// over says that no request will be due any more.
func (s *schedule) over() bool { return s.at(s.next) >= s.end }

// left counts the requests that have not been taken.
func (s *schedule) left() int64 {
	var n int64
	for i := s.next; s.at(i) < s.end; i++ {
		n++
	}
	return n
}
