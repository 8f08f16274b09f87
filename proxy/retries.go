package proxy

// freeRetries is how many retries a pool may have in flight whatever its
// budget: with little traffic a share of it would be none.
const freeRetries = 3

// BeginRetry asks whether a request that failed may be sent to another member,
// and counts it until EndRetry if so. Retries may be share percent of all
// requests in flight to the pool, and three: when everything fails, trying
// everything again is what keeps it down.
func (p *Pool) BeginRetry(share int) bool {
	n := p.live.retries.Add(1)
	if n <= freeRetries {
		return true
	}
	active := int64(1) // this one, which its member has given back
	for _, b := range p.live.members.Load().usable {
		active += int64(b.InFlight())
	}
	if n*100 <= active*int64(share) {
		return true
	}
	p.live.retries.Add(-1)
	p.live.overBudget.Add(1)
	return false
}

// EndRetry ends what a successful BeginRetry began: the request is over.
func (p *Pool) EndRetry() { p.live.retries.Add(-1) }
