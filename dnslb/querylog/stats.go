package querylog

// Stats are what became of the records since the start.
type Stats struct {
	Written uint64 // lines written
	Dropped uint64 // records that found their lane full
	Failed  uint64 // lines lost in failed writes

	// Of dnstap, frames: a query is one and its response another.
	DnstapWritten    uint64
	DnstapDropped    uint64 // no room, or lost with a connection
	DnstapReconnects uint64 // streams begun after the first of a target

	Lanes int // those there are now
}

// Stats returns the counters. They do not stop while they are read.
func (l *Logger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.gone
	for _, lane := range l.lanes {
		s.add(lane)
	}
	for _, t := range l.retired {
		t.addTo(&s)
	}
	if t := l.tap.Load(); t != nil {
		t.addTo(&s)
	}
	s.Written, s.Failed, s.Lanes = l.written.Load(), l.failed.Load(), len(l.lanes)
	return s
}

func (s *Stats) add(l *Lane) {
	s.Dropped += l.lost.Load()
	s.DnstapDropped += l.noTap.Load()
}
