// Package gcra limits how many requests of one group, such as a client, pass:
// with the generic cell rate algorithm (ITU-T I.371), which is a leaky bucket
// that needs one point in time for each group and no timer. Requests pass
// evenly over the time that a limit is for, and Burst of them at once after a
// pause. What is refused does not count: a client above the limit is throttled
// to it rather than shut out for good.
//
// A [Limiter] counts in this process only.
package gcra
