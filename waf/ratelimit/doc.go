// Package ratelimit limits how many requests of one client, country or other
// group pass in a sliding window, as the rate limit rules of Azure's
// application gateway do: of each group, Requests pass in any window, and what
// is refused does not count, so that a client above the limit is throttled to
// it rather than shut out for good.
//
// A [Limiter] counts on this instance only; several instances admit as many
// times the limit. A store that they share can follow behind [Store].
//
// The window moves in steps of a fifteenth of its length, on the safe side: no
// window whatever has more than Requests that passed, and a request is counted
// for a fifteenth longer than its window at most.
package ratelimit

import "time"

// Store decides whether a request of a group passes, and counts it if it does.
// It is safe for concurrent use, never blocks for long, and has no error: what
// a store does that cannot count, it says in its documentation.
type Store interface {
	// Allow tells whether a request of this group at this time passes, in
	// how long the next one may pass if not (0 if it passes), and how many
	// more would pass now.
	Allow(key Key, now time.Time) (ok bool, retryAfter time.Duration, remaining int)
}
