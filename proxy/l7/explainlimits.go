package l7

import "slices"

// explainLimits says which rate limits are asked; what they have counted only a
// running gateway knows.
func (e *explainer) explainLimits(t *Target) {
	for i, l := range slices.Concat(e.f.listener.RateLimits, t.RateLimits) {
		why := "the listener names it"
		if i >= len(e.f.listener.RateLimits) {
			if slices.Contains(e.f.listener.RateLimits, l) {
				continue // it counts a request once
			}
			why = "the rule names it"
		}
		if l.conf.DryRun {
			why += "; it refuses nothing (dryRun)"
		}
		e.add("rate limit", why, "%s: %d in %s for each %s, %d at once", l.conf.Name, l.conf.Requests, l.conf.Per, l.conf.Key, l.conf.Burst)
	}
}

// explainBody says how long the request's body may be, where that is bounded.
func (e *explainer) explainBody() {
	set, l := e.f.target.Settings, e.f.listener
	switch limit := e.f.snap.Limits.MaxBodySize; {
	case set.MaxBodySize > 0:
		e.add("body", "by the backend settings", "at most %d bytes", set.MaxBodySize)
	case l.MaxBodySize > 0:
		e.add("body", "by the listener", "at most %d bytes", l.MaxBodySize)
	case limit > 0:
		e.add("body", "by limits.maxBodySize", "at most %d bytes", limit)
	}
}

// explainMirror says where copies go.
func (e *explainer) explainMirror(m *Mirror) {
	if m != nil {
		e.add("mirror", "", "a copy of %.4g%% of the requests goes to %s with settings %s", 100*m.Share, m.Settings.Pool, m.Settings.Name)
	}
}
