package telemetry

import (
	"maps"
	"slices"
	"time"
)

// Generation collects the routes and listeners of one configuration while it
// is built. A build that fails just drops it; the commit of a build commits
// it too.
//
//	g := metrics.Begin()
//	route := g.Route(listener, rule, pool) // while building
//	...
//	g.Commit() // when the configuration is in use
//
// It must not be used by several goroutines at once.
type Generation struct {
	m         *Metrics
	routes    map[routeKey]*Route
	listeners map[string]*Listener
}

// Begin starts a generation.
func (m *Metrics) Begin() *Generation {
	return &Generation{m: m, routes: map[routeKey]*Route{}, listeners: map[string]*Listener{}}
}

// Route returns the counters of requests of a listener that a rule sent to a
// pool. The same names give the same Route as in generations before, so that
// counters never go backwards. An empty rule or pool stands for requests that
// met none: refused early, or answered by a redirect.
func (g *Generation) Route(listener, rule, pool string) *Route {
	key := routeKey{labelValue(listener), labelValue(rule), labelValue(pool)}
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	r := g.m.routes.find(key, func() *Route { return newRoute(key, g.m.shards) })
	g.routes[key] = r
	return r
}

// Listener returns the counters of a listener's connections; as with Route,
// those of the generations before.
func (g *Generation) Listener(name string) *Listener {
	key := labelValue(name)
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	l := g.m.listeners.find(key, func() *Listener { return newListener(key, g.m.shards) })
	g.listeners[key] = l
	return l
}

// Commit makes this generation the current one. Routes and listeners that it
// did not ask for stay visible for [MetricsOptions].Retain.
func (g *Generation) Commit() {
	now := time.Now()
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	g.m.routes.commit(g.routes, now)
	g.m.listeners.commit(g.listeners, now)
}

// retained is a set of counters by name, of which the current generation uses
// some; the others are forgotten after a while. The owner's mutex guards it.
type retained[K comparable, V any] struct {
	current map[K]V
	old     map[K]retiree[V]
	after   time.Duration
	max     int
}

// retiree is one that the current generation does not use.
type retiree[V any] struct {
	v     V
	since time.Time
}

func newRetained[K comparable, V any](opts MetricsOptions) retained[K, V] {
	return retained[K, V]{
		current: map[K]V{}, old: map[K]retiree[V]{},
		after: opts.Retain, max: opts.RetainMax,
	}
}

// find returns the one named k, making it if there is none. A new one waits
// among the old until its generation is committed.
func (t *retained[K, V]) find(k K, make func() V) V {
	if v, ok := t.current[k]; ok {
		return v
	}
	if r, ok := t.old[k]; ok {
		return r.v
	}
	v := make()
	t.old[k] = retiree[V]{v, time.Now()}
	return v
}

// commit makes next the current ones. Pruning comes last: what next uses has
// left the old by then.
func (t *retained[K, V]) commit(next map[K]V, now time.Time) {
	for k, v := range t.current {
		if _, ok := next[k]; !ok {
			t.old[k] = retiree[V]{v, now}
		}
	}
	for k := range next {
		delete(t.old, k)
	}
	t.current = maps.Clone(next) // the generation may go on asking
	t.prune(now)
}

// prune forgets what is old for too long, and the oldest beyond the maximum.
func (t *retained[K, V]) prune(now time.Time) {
	for k, r := range t.old {
		if now.Sub(r.since) >= t.after {
			delete(t.old, k)
		}
	}
	excess := len(t.old) - t.max
	if excess <= 0 {
		return
	}
	keys := make([]K, 0, len(t.old))
	for k := range t.old {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return t.old[a].since.Compare(t.old[b].since) })
	for _, k := range keys[:excess] {
		delete(t.old, k)
	}
}

// all returns everything that is to be shown.
func (t *retained[K, V]) all(now time.Time) []V {
	t.prune(now)
	vs := make([]V, 0, len(t.current)+len(t.old))
	for _, v := range t.current {
		vs = append(vs, v)
	}
	for _, r := range t.old {
		vs = append(vs, r.v)
	}
	return vs
}
