package main

import (
	"context"
	"sync"

	"gatehouse/dnslb"
)

// changes carries what becomes known of endpoints into the answers. Those who
// find out only leave a note; one goroutine makes the next snapshot of all
// notes there are, so that a thousand endpoints that fail at once cost one.
type changes struct {
	app  *app
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	ids   map[note]bool
	names map[string]bool // host names
}

// note is an endpoint, by its ID, of a configuration.
type note struct {
	of *running
	id int
}

func newChanges(a *app) *changes {
	return &changes{app: a, wake: make(chan struct{}, 1), ids: map[note]bool{}, names: map[string]bool{}}
}

// endpoint notes that something else is known of an endpoint.
func (c *changes) endpoint(r *running, id int) {
	c.mu.Lock()
	c.ids[note{r, id}] = true
	c.mu.Unlock()
	c.poke()
}

// host notes that a host name has other addresses.
func (c *changes) host(name string) {
	c.mu.Lock()
	c.names[name] = true
	c.mu.Unlock()
	c.poke()
}

func (c *changes) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it will see this note too
	}
}

// run makes snapshots until ctx ends.
func (c *changes) run(ctx context.Context) error {
	for {
		select {
		case <-c.wake:
			c.apply()
		case <-ctx.Done():
			return nil
		}
	}
}

// apply makes the next snapshot.
func (c *changes) apply() {
	c.mu.Lock()
	ids, names := c.ids, c.names
	c.ids, c.names = map[note]bool{}, map[string]bool{}
	c.mu.Unlock()

	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.current
	if r.director == nil {
		return
	}
	news := map[int]dnslb.Known{}
	for n := range ids {
		if id := n.id; n.of == r { // else the new configuration has seen it already
			news[id] = a.knownOf(r, r.director.Endpoints[id])
		}
	}
	for _, e := range r.byHost(names) {
		news[e.ID] = a.knownOf(r, e)
	}
	before := a.authority.Snapshot()
	after := before.With(news)
	a.authority.Update(after)
	for id := range news {
		e := r.director.Endpoints[id]
		if was, is := before.State(e), after.State(e); was != is {
			a.tell(r, e, was, is)
		}
	}
}

// tell logs that an endpoint is in another state.
func (a *app) tell(r *running, e *dnslb.Endpoint, was, is dnslb.State) {
	args := []any{"profile", e.Profile().Name, "endpoint", e.Name, "target", e.Target(), "from", was.String(), "to", is.String()}
	if w := r.watches[e.ID]; w != nil && w.Status().Reason != "" {
		args = append(args, "reason", w.Status().Reason)
	}
	a.log.Info("endpoint", args...)
}
