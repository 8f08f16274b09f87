package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/proxy/l4"
)

// collector shows what a load balancer counts. Azure's names of the metrics
// stand in their help.
type collector struct {
	app *app

	flows, total, bytes, packets, refused, ended      *prometheus.Desc
	available, up, memberFlows, memberTotal, failed   *prometheus.Desc
	probeUp, probeTook, ports, portLimit, logged, own *prometheus.Desc
}

func newCollector(a *app) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gatehouse_l4_"+name, help, labels, nil)
	}
	return &collector{app: a,
		flows:       d("flows", "Flows at the moment.", "rule", "protocol"),
		total:       d("flows_total", "Flows that reached a member (Azure: of TCP, with those refused, SYNCount).", "rule"),
		bytes:       d("bytes_total", "Bytes to members (inbound) and from them (Azure: ByteCount).", "rule", "direction"),
		packets:     d("packets_total", "Datagrams of UDP, and of TCP what was read at once (Azure: PacketCount).", "rule", "direction"),
		refused:     d("refused_total", "Flows that were not let in or reached no member.", "rule", "reason"),
		ended:       d("ended_total", "Flows that ended, by why.", "reason"),
		available:   d("available", "1 if some member of the rule gets new flows (Azure: VipAvailability).", "rule"),
		up:          d("member_up", "1 if the member gets new flows of the rule.", "rule", "pool", "member"),
		memberFlows: d("member_flows", "Flows at the moment, over all rules.", "pool", "member"),
		memberTotal: d("member_flows_total", "Flows, over all rules.", "pool", "member"),
		failed:      d("member_connect_failures_total", "Attempts to connect that failed.", "pool", "member"),
		probeUp:     d("probe_up", "1 if the probe calls the target well (Azure: DipAvailability).", "probe", "target"),
		probeTook:   d("probe_duration_seconds", "How long the last probe took.", "probe", "target"),
		ports:       d("source_ports_used", "Local ports that flows to a target take (Azure: UsedSnatPorts).", "target"),
		portLimit:   d("source_ports", "Local ports that there are for one target (Azure: AllocatedSnatPorts)."),
		logged:      d("flow_log_dropped_total", "Events of flows that the flow log had no room for."),
		own:         d("flow_log_lost_total", "Records of the flow log that could not be written."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.flows, c.total, c.bytes, c.packets, c.refused, c.ended,
		c.available, c.up, c.memberFlows, c.memberTotal, c.failed,
		c.probeUp, c.probeTook, c.ports, c.portLimit, c.logged, c.own,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.collectRules(count, gauge)
	c.collectMembers(count, gauge)
	for target, n := range portsInUse(&c.app.state.Flows) {
		gauge(c.ports, float64(n), target.String())
	}
	gauge(c.portLimit, float64(sourcePorts()))
	for _, why := range l4.Ends() {
		count(c.ended, c.app.state.Flows.Ended(why), why.String())
	}
	log := c.app.flowLog.Stats()
	count(c.logged, log.Dropped)
	count(c.own, log.Lost)
}

type countFunc func(d *prometheus.Desc, v uint64, labels ...string)
type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

func (c *collector) collectRules(count countFunc, gauge gaugeFunc) {
	b := c.app.running().balancer
	lives := c.app.carried.read(b.Rules, &c.app.state.Flows)
	for i, r := range b.Rules {
		l := &lives[i]
		gauge(c.flows, float64(l.tcp), r.Name, "tcp")
		gauge(c.flows, float64(l.udp), r.Name, "udp")
		count(c.total, r.Life.Total.Load(), r.Name)
		count(c.bytes, l.sent, r.Name, "inbound")
		count(c.bytes, l.received, r.Name, "outbound")
		count(c.packets, l.sentPackets, r.Name, "inbound")
		count(c.packets, l.receivedPackets, r.Name, "outbound")
		for _, why := range l4.Refusals() {
			count(c.refused, r.Life.Refused[why].Load(), r.Name, why.String())
		}
		available := 0.0
		for _, rt := range b.RoutesOf(r) {
			if up, _ := rt.Up(); up > 0 {
				available = 1
			}
		}
		gauge(c.available, available, r.Name)
	}
}

func (c *collector) collectMembers(count countFunc, gauge gaugeFunc) {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	b := c.app.current.balancer
	members, routes := map[*l4.Life]bool{}, map[[3]string]bool{}
	for _, r := range b.Rules {
		for _, rt := range b.RoutesOf(r) {
			for _, m := range rt.Status() {
				if k := [3]string{r.Name, rt.Pool, m.Name}; !routes[k] {
					routes[k] = true
					gauge(c.up, number(m.Eligible), r.Name, rt.Pool, m.Name)
				}
				if !members[m.Life] {
					members[m.Life] = true
					gauge(c.memberFlows, float64(m.Life.Flows.Load()), m.Pool, m.Name)
					count(c.memberTotal, m.Life.Total.Load(), m.Pool, m.Name)
					count(c.failed, m.Life.Failed.Load(), m.Pool, m.Name)
				}
			}
		}
	}
	for check, w := range c.app.current.watches {
		s := w.Status()
		gauge(c.probeUp, number(s.Usable), check.Probe.Name, check.Target.String())
		if !s.Checked.IsZero() {
			gauge(c.probeTook, s.Took.Seconds(), check.Probe.Name, check.Target.String())
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
