package proxy

import (
	"slices"
	"sync"
)

// Drains are the backends that an operator has drained, by the names given.
// The pools of a process share one, so that a wish outlives a reload that
// renames pools or settings; its Names are handed to the process that takes
// over.
//
// A name is a backend's Name, its address without port, or a target as
// configured, with or without port.
type Drains struct {
	mu    sync.Mutex
	names map[string]bool
}

// NewDrains makes Drains with these names in force.
func NewDrains(names ...string) *Drains {
	d := &Drains{names: make(map[string]bool, len(names))}
	for _, n := range names {
		d.names[n] = true
	}
	return d
}

// Names are those in force, sorted.
func (d *Drains) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]string, 0, len(d.names))
	for n := range d.names {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// Drain takes backends out of use: no new requests, and what is in flight has
// the drain time to end. The wish holds until Undrain, also for backends of
// the name that come later. Drain returns how many backends of the pools it
// means; if there is none, it does nothing.
func (d *Drains) Drain(name string, pools ...*Pool) int {
	d.mu.Lock()
	before := d.names[name]
	d.names[name] = true // first, for members that come meanwhile
	d.mu.Unlock()
	n := 0
	for _, p := range pools {
		n += p.live.drainByName(name)
	}
	if n == 0 && !before {
		d.mu.Lock()
		delete(d.names, name)
		d.mu.Unlock()
	}
	return n
}

// Undrain revokes Drain. It returns how many backends came back to use, and
// whether a Drain of the name was in force.
func (d *Drains) Undrain(name string, pools ...*Pool) (back int, known bool) {
	d.mu.Lock()
	known = d.names[name]
	delete(d.names, name)
	d.mu.Unlock()
	for _, p := range pools {
		back += p.live.undrainByName(name)
	}
	if back > 0 {
		d.forget(pools)
	}
	return back, known
}

// forget drops the wishes that have been revoked by another name: all that
// they mean is back in use. One that means nothing at present stands, as the
// address of a name may come back.
func (d *Drains) forget(pools []*Pool) {
	for _, name := range d.Names() {
		meant, drained := 0, 0
		for _, p := range pools {
			m, n := p.live.drainedByName(name)
			meant, drained = meant+m, drained+n
		}
		if meant > 0 && drained == 0 {
			d.mu.Lock()
			delete(d.names, name)
			d.mu.Unlock()
		}
	}
}

// mean tells whether a name in force means b.
func (d *Drains) mean(b *Backend) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		if b.answersTo(name) {
			return true
		}
	}
	return false
}
