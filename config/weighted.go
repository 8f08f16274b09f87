package config

import (
	"fmt"
	"slices"
)

// WeightedPool is one of several pools that share the requests of an action
// (Gateway API: backendRefs).
type WeightedPool struct {
	Pool     string
	Settings string // empty: those of the action
	Weight   int    // 0..1 000 000, default 1; 0: gets nothing
}

// Mirror sends copies of requests to another pool. The zero value does not.
type Mirror struct {
	BackendPool     string
	BackendSettings string
	Share           float64 // of the requests, 0..1, default 1 ("percent")
	MaxBodySize     int     // requests with longer bodies are not copied; 0..2 MiB, default 64 KiB
}

// maxWeightedPools bounds the pools of one action.
const maxWeightedPools = 32

func weightedPoolObject() object[WeightedPool] {
	return object[WeightedPool]{fields: []field[WeightedPool]{
		key("pool", func(w *WeightedPool) *string { return &w.Pool }, nameOf("backend pool"), "A backend pool.").required(),
		key("settings", func(w *WeightedPool) *string { return &w.Settings }, reference(), "Backend settings; none: the backendSettings beside the list."),
		key("weight", func(w *WeightedPool) *int { return &w.Weight }, integer(0, 1_000_000), "Its share of the requests is its weight among those of all; 0: it gets none.").or("1"),
	}}
}

func mirrorObject() object[Mirror] {
	return object[Mirror]{fields: []field[Mirror]{
		key("backendPool", func(m *Mirror) *string { return &m.BackendPool }, nameOf("backend pool"), "The pool that copies go to.").required(),
		key("backendSettings", func(m *Mirror) *string { return &m.BackendSettings }, nameOf("backend settings"), "The settings they are sent with; their Host, protocol, TLS and timeouts count.").required(),
		key("percent", func(m *Mirror) *float64 { return &m.Share }, percentage(), "How many of the requests are copied.").or("100%"),
		key("maxBodySize", func(m *Mirror) *int { return &m.MaxBodySize }, size(0, 2<<20), "Requests with longer bodies are not copied.").or("64KiB"),
	}}
}

// resolved fills in the settings of weighted pools.
func (a *Action) resolved() {
	for i := range a.BackendPools {
		if w := &a.BackendPools[i]; w.Settings == "" {
			w.Settings = a.BackendSettings
		}
	}
}

// finishActions fills in what actions leave to be filled in.
func finishActions(g *Gateway) {
	for i := range g.Rules {
		g.Rules[i].Action.resolved()
	}
	for i := range g.PathMaps {
		g.PathMaps[i].Default.resolved()
		for j := range g.PathMaps[i].Paths {
			g.PathMaps[i].Paths[j].Action.resolved()
		}
	}
}

// checkWeighted checks the weighted pools of an action.
func (c *checker) checkWeighted(path string, a Action) {
	total, seen := 0, map[WeightedPool]int{}
	for i, w := range a.BackendPools {
		at := fmt.Sprintf("%s.backendPools[%d]", path, i)
		c.refer(&c.pools, at+".pool", w.Pool)
		if c.has(at + ".settings") {
			c.referForRequests(at+".settings", w.Settings)
		}
		if w.Settings == "" && !c.failed(at+".settings") && !c.failed(path+".backendSettings") && !c.failed(at) {
			c.errorf(at, "has no settings; add settings, or backendSettings beside backendPools")
		}
		total += w.Weight
		w.Weight = 0
		if first, twice := seen[w]; twice && w.Pool != "" {
			c.errorf(at, "is the same as backendPools[%d]; remove one and add up the weights", first)
			continue
		}
		seen[w] = i
	}
	if total == 0 && len(a.BackendPools) > 0 && !c.failed(path+".backendPools") {
		c.warnf(path+".backendPools", "no pool has a weight: every request is answered 500")
	}
}

// referForRequests looks up backend settings that requests are sent with.
func (c *checker) referForRequests(path, name string) {
	i := c.refer(&c.settings, path, name)
	if i >= 0 && c.g.BackendSettings[i].Protocol.Layer4() && !c.failed(fmt.Sprintf("backendSettings[%d].protocol", i)) {
		c.errorf(path, "%s are for listeners with protocol: tcp or tls; name settings with protocol: http or https", quote(name))
	}
}

// checkMirror checks where copies go.
func (c *checker) checkMirror(path string, a Action, pathMap string) {
	at := path + ".mirror"
	if !c.has(at) {
		return
	}
	c.refer(&c.pools, at+".backendPool", a.Mirror.BackendPool)
	c.referForRequests(at+".backendSettings", a.Mirror.BackendSettings)
	if i := slices.IndexFunc(c.g.BackendSettings, func(b BackendSettings) bool { return b.Name == a.Mirror.BackendSettings }); i >= 0 {
		if b := &c.g.BackendSettings[i]; b.HTTP2 && b.Protocol == BackendHTTP {
			c.errorf(at+".backendSettings", "copies are sent over HTTP/1.1, which backends of settings %s are not asked in; name settings without http2", quote(b.Name))
		}
	}
	switch {
	case pathMap != "":
		c.errorf(at, "belongs to the path rules and the default of the path map; set it there")
	case a.Redirect != "":
		c.errorf(at, "a redirect has nothing to copy; remove it")
	case a.Mirror.BackendPool != "" && a.servedBy(a.Mirror.BackendPool):
		c.warnf(at+".backendPool", "%s serves these requests, too: its members get them twice", quote(a.Mirror.BackendPool))
	}
}

// servedBy says whether a pool is one that requests go to.
func (a Action) servedBy(pool string) bool {
	return a.BackendPool == pool || slices.ContainsFunc(a.BackendPools, func(w WeightedPool) bool { return w.Pool == pool && w.Weight > 0 })
}
