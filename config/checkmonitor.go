package config

// checkMonitor checks what the keys of a monitor say together. What an
// endpoint's has from the profile's is not there at its path.
func (c *tmChecker) checkMonitor(path string, m *Monitor) {
	if c.failed(path) || c.failed(path+".protocol") {
		return
	}
	c.checkTiming(path, m)
	var senseless []string
	var why string
	switch m.Protocol {
	case MonitorHTTP:
		senseless, why = []string{"tls"}, "only https has certificates; remove it, or set protocol: https"
	case MonitorTCP:
		senseless, why = []string{"path", "headers", "expectedStatus", "tls"}, "a tcp probe only connects; remove it, or set protocol: http"
		if m.Port == 0 && !c.failed(path+".port") {
			c.errorf(path, "a tcp probe needs a port; add port")
		}
	case MonitorNone:
		senseless, why = []string{"port", "path", "headers", "expectedStatus", "tls"}, "with protocol: none nothing is probed; remove it"
	}
	for _, key := range senseless {
		if c.has(path + "." + key) {
			c.errorf(path+"."+key, "%s", why)
		}
	}
}

// checkTiming keeps one probe of an endpoint from meeting the next.
func (c *tmChecker) checkTiming(path string, m *Monitor) {
	if m.Interval == 0 || c.failed(path+".timeout") || m.Timeout <= m.Interval {
		return
	}
	at := path + ".timeout"
	if !c.has(at) {
		at = path + ".interval"
	}
	if !c.has(at) {
		return // the profile's, and reported there
	}
	c.errorf(at, "the timeout, %s, is longer than the interval, %s; a probe must end before the next", short(m.Timeout), short(m.Interval))
}
