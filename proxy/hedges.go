package proxy

// BeginHedge asks whether a request may be sent to another member beside the
// one that takes long, and counts that until EndRetry if so: hedges and retries
// have one budget, share percent of the requests in flight, and three.
func (p *Pool) BeginHedge(share int) bool {
	if !p.BeginRetry(share) {
		return false
	}
	p.live.hedges.Add(1)
	return true
}

// HedgeWon counts a hedge whose response was the first.
func (p *Pool) HedgeWon() { p.live.hedgesWon.Add(1) }
