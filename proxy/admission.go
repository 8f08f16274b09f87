package proxy

// Enter counts a request in flight to the pool, retries or not, and must be
// matched by Leave or StepBack. It returns false, and counts nothing, if the
// pool is at maxRequests.
func (p *Pool) Enter() bool {
	n := p.live.entered.Add(1)
	if most := p.live.maxRequests.Load(); most > 0 && n > most {
		p.live.entered.Add(-1)
		return false
	}
	return true
}

// Leave ends what a successful Enter began: the request is over.
func (p *Pool) Leave() {
	p.live.entered.Add(-1)
	p.live.queue.freed()
}

// StepBack undoes an Enter for want of a member. Unlike Leave it wakes nobody:
// who steps back may be the first of the queue itself.
func (p *Pool) StepBack() { p.live.entered.Add(-1) }
