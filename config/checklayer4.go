package config

import (
	"fmt"
	"slices"
	"strings"
)

// What listeners of layer 4, their rules and their backend settings may have.
// All else is about requests, of which they know none.
var (
	layer4Listener = []string{"name", "address", "protocol", "hostNames", "tls", "accessRules", "proxyProtocol"}
	layer4Rule     = []string{"name", "priority", "listener", "backendPool", "backendSettings"}
	layer4Settings = []string{"name", "protocol", "port", "connectTimeout", "idleTimeout", "proxyProtocol", "drain", "probe", "retries",
		"maxConnections", "tls", "ejection"}
	layer4Retries = []string{"on", "attempts", "budget"}
	// onlyLayer4 is what backend settings have for layer 4 alone.
	onlyLayer4 = []string{"idleTimeout", "proxyProtocol"}
)

// checkLayer4 checks that requests are not sent where only bytes are known, nor
// the other way round, and refuses keys that would have no effect.
func (c *checker) checkLayer4() {
	for i := range c.g.Listeners {
		c.checkLayer4Listener(fmt.Sprintf("listeners[%d]", i), &c.g.Listeners[i])
	}
	for i := range c.g.BackendSettings {
		c.checkLayer4Settings(fmt.Sprintf("backendSettings[%d]", i), &c.g.BackendSettings[i])
	}
	for i := range c.g.Rules {
		r, path := &c.g.Rules[i], fmt.Sprintf("rules[%d]", i)
		l, ok := c.listeners.at[r.Listener]
		layer4 := ok && c.g.Listeners[l].Protocol.Layer4()
		if layer4 {
			c.refuseOthers(path, ruleObject().names(), layer4Rule, "the rule's listener knows no requests")
			c.checkLayer4Pool(path, r.BackendPool)
		}
		if ok && !c.failed(fmt.Sprintf("listeners[%d].protocol", l)) {
			c.checkLayer(path, r.Action, layer4)
		}
	}
	for i := range c.g.PathMaps {
		m, path := &c.g.PathMaps[i], fmt.Sprintf("pathMaps[%d]", i)
		c.checkLayer(path+".default", m.Default, false)
		for j := range m.Paths {
			c.checkLayer(fmt.Sprintf("%s.paths[%d]", path, j), m.Paths[j].Action, false)
		}
	}
	for i := range c.g.Redirects {
		if l, ok := c.listeners.at[c.g.Redirects[i].TargetListener]; ok && c.g.Listeners[l].Protocol.Layer4() {
			c.errorf(fmt.Sprintf("redirects[%d].target.listener", i), "listener %s knows no requests; name one with protocol: http or https", quote(c.g.Listeners[l].Name))
		}
	}
}

func (c *checker) checkLayer4Listener(path string, l *Listener) {
	if !l.Protocol.Layer4() {
		return
	}
	c.refuseOthers(path, listenerObject().names(), layer4Listener, "a listener with protocol: tcp or tls knows no requests")
	if l.Protocol == ListenerL4TCP && len(l.HostNames) > 0 {
		c.errorf(path+".hostNames", "bytes without TLS have no host name; remove it, or set protocol: tls")
	}
}

func (c *checker) checkLayer4Settings(path string, s *BackendSettings) {
	switch {
	case c.failed(path + ".protocol"):
		return
	case s.Protocol.Layer4():
		c.refuseOthers(path, settingsObject().names(), layer4Settings, "settings with protocol: tcp or tls know no requests")
		c.refuseOthers(path+".retries", retriesObject().names(), layer4Retries, "settings with protocol: tcp or tls know no requests")
		if s.Retries.OnTimeout {
			c.errorf(path+".retries.on", "timeout is about requests, of which settings with protocol: tcp or tls know none; remove it")
		}
		return
	}
	for _, key := range onlyLayer4 {
		if c.has(path + "." + key) {
			c.errorf(path+"."+key, "only settings with protocol: tcp or tls have it; remove it")
		}
	}
}

// checkLayer checks that an action's settings fit what comes in.
func (c *checker) checkLayer(path string, a Action, layer4 bool) {
	i, ok := c.settings.at[a.BackendSettings]
	if !ok || c.failed(fmt.Sprintf("backendSettings[%d].protocol", i)) {
		return
	}
	switch s := &c.g.BackendSettings[i]; {
	case layer4 && !s.Protocol.Layer4():
		c.errorf(path+".backendSettings", "%s are for requests, and the listener knows none; name settings with protocol: tcp or tls", quote(s.Name))
	case !layer4 && s.Protocol.Layer4():
		c.errorf(path+".backendSettings", "%s are for listeners with protocol: tcp or tls; name settings with protocol: http or https", quote(s.Name))
	case layer4 && s.Port == 0:
		c.checkTargetPorts(path, a, s)
	}
}

// checkTargetPorts wants every target to have a port where the settings give
// none.
func (c *checker) checkTargetPorts(path string, a Action, s *BackendSettings) {
	p, ok := c.pools.at[a.BackendPool]
	if !ok {
		return
	}
	for j, t := range c.g.BackendPools[p].Targets {
		if t.Port == 0 && t.Host != "" {
			c.errorf(path+".backendPool", "backendPools[%d].targets[%d] has no port, and neither have settings %s, for which there is no usual one; add port to either", p, j, quote(s.Name))
			return
		}
	}
}

// checkLayer4Pool refuses a pool that chooses by what only requests have.
func (c *checker) checkLayer4Pool(path, pool string) {
	i, ok := c.pools.at[pool]
	if !ok {
		return
	}
	if p := &c.g.BackendPools[i]; p.Balance == Hash && p.Hash.On != HashClientAddr {
		c.errorf(path+".backendPool", "pool %s hashes what only requests have; write hash: {on: clientAddr} in it, or use another", quote(pool))
	}
}

// refuseOthers reports which keys of a mapping are there beyond those it may
// have.
func (c *checker) refuseOthers(path string, all, may []string, why string) {
	for _, key := range all {
		if c.has(path+"."+key) && !slices.Contains(may, key) {
			c.errorf(path+"."+key, "%s; remove it (there are %s)", why, strings.Join(may, ", "))
		}
	}
}
