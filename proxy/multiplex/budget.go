package multiplex

import "gatehouse/internal/stream"

// Budget bounds frames that cost us more than their sender: floods of resets,
// pings, settings and the like (CVE-2023-44487, CVE-2019-9512 and their kin). It
// fills with time, so that a client which cancels a page full of images now and
// then never meets it.
type Budget struct {
	left int64 // in billionths of a point
	at   int64
}

// The budget in points.
const (
	budgetMost   = 2000
	budgetPerSec = 200
)

// What frames cost of a [Budget].
const (
	CostPing     = 1
	CostPriority = 1
	CostUnknown  = 1
	CostWindow   = 1 // of an increment that is small
	CostEmpty    = 2 // DATA or CONTINUATION without content
	CostSettings = 5
	CostReset    = 5  // of a request that is being served, by the client
	CostError    = 10 // an error of the client's that makes us reset a stream
)

// Spend takes points; false: there are not so many left.
func (b *Budget) Spend(points int64) bool {
	now := stream.Now()
	if b.at == 0 {
		b.left = budgetMost * 1e9
	} else {
		b.left = min(b.left+(now-b.at)*budgetPerSec, budgetMost*1e9)
	}
	b.at = now
	b.left -= points * 1e9
	return b.left >= 0
}
