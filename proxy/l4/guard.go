package l4

import (
	"fmt"

	"gatehouse/config"
	"gatehouse/proxy/l4/secgroup"
)

// group is a security group as a Guard.
type group struct{ *secgroup.Group }

func packetOf(t *Tuple) secgroup.Packet {
	return secgroup.Packet{Source: t.Client, Destination: t.Frontend, UDP: t.Protocol == UDP}
}

// Decide implements [Guard].
func (g group) Decide(t *Tuple) (allow bool, rule string) {
	d := g.Group.Decide(packetOf(t))
	return d.Allow, d.Rule.Name
}

// Explain implements [Guard].
func (g group) Explain(t *Tuple) (lines []string) {
	for _, s := range g.Group.Explain(packetOf(t)) {
		if s.Omitted > 0 {
			lines = append(lines, fmt.Sprintf("and %d more rules that do not match", s.Omitted))
		}
		does := "decides"
		if s.Miss != 0 {
			does = "does not match: " + s.Miss.String()
		}
		lines = append(lines, fmt.Sprintf("%d %s %s", s.Rule.Priority, s.Rule.Name, does))
	}
	return lines
}

// guardsOf are the security groups of a configuration by the frontends that
// they are attached to.
func guardsOf(conf *config.LoadBalancer) map[string]guarded {
	guards := map[string]guarded{}
	for i := range conf.SecurityGroups {
		c := &conf.SecurityGroups[i]
		if len(c.Attach) == 0 {
			continue
		}
		g := group{secgroup.Compile(*c, conf.AddressGroups)}
		for _, frontend := range c.Attach {
			guards[frontend] = guarded{name: c.Name, flush: c.Flush, Guard: g}
		}
	}
	return guards
}
