package main

import (
	"gatehouse/dnslb/doh"
	"gatehouse/dnslb/server"
)

// traffic is what listeners have counted.
type traffic struct {
	server.Stats
	https doh.Stats
}

// add adds what a door has counted so far.
func (t *traffic) add(d *door) {
	if d.doh != nil {
		s := d.doh.Stats()
		t.https.HTTPS.Add(s.HTTPS)
		for why, n := range s.Refused {
			t.https.Refused[why] += n
		}
		return
	}
	s := d.dns.Stats()
	t.UDP.Add(s.UDP)
	t.TCP.Add(s.TCP)
	t.TLS.Add(s.TLS)
}

// departures are the doors that no configuration has any more: what they have
// counted goes on to count.
type departures struct {
	under map[*door]struct{} // what they have in hand may take a while
	over  traffic
}

// leave notes that the configuration has a door no more.
func (l *departures) leave(d *door) {
	if d.ended {
		l.over.add(d)
		return
	}
	l.under[d] = struct{}{}
}

// ended notes that a door has nothing in hand any more.
func (l *departures) ended(d *door) {
	d.ended = true
	if _, ok := l.under[d]; ok {
		l.over.add(d)
		delete(l.under, d)
	}
}

// traffic is what all listeners of this process have counted. The caller holds
// the lock.
func (a *app) traffic() traffic {
	all := a.gone.over
	for d := range a.gone.under {
		all.add(d)
	}
	for _, d := range a.current.listening {
		all.add(d)
	}
	return all
}
