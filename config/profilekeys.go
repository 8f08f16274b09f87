package config

import (
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// The keys of profiles, their monitors and their endpoints.

// maxEndpoints is Azure's limit for one profile.
const maxEndpoints = 200

func profileObject() object[Profile] {
	routing := oneOf(
		choice[RoutingMethod]{word: "priority", v: RoutePriority},
		choice[RoutingMethod]{word: "weighted", v: RouteWeighted},
		choice[RoutingMethod]{word: "performance", v: RoutePerformance},
		choice[RoutingMethod]{word: "geographic", v: RouteGeographic},
		choice[RoutingMethod]{word: "multiValue", v: RouteMultiValue},
		choice[RoutingMethod]{word: "subnet", v: RouteSubnet},
	)
	fields := []field[Profile]{
		key("name", func(p *Profile) *string { return &p.Name }, profileName(), `What other profiles, metrics and logs call it; unique among all profiles.`).required(),
		key("label", func(p *Profile) *string { return &p.Label }, profileName(), `A label or several under the zone, or "@" for the zone itself; none: the name.`),
		key("zone", func(p *Profile) *string { return &p.Zone }, lowerName(), "The zone that the name is in; none: the profile is for nesting only, and has no name in DNS."),
		key("enabled", func(p *Profile) *bool { return &p.Enabled }, boolean(), "Whether the profile answers.").or("true"),
		key("routing", func(p *Profile) *RoutingMethod { return &p.Routing }, routing, "How an endpoint is chosen.").required(),
		key("ttl", func(p *Profile) *time.Duration { return &p.TTL }, seconds(0, day), "TTL of the answers.").or("30s"),
		degradedTTL(),
	}
	fields = append(fields, answerFields()...)
	fields = append(fields,
		key("monitor", func(p *Profile) *Monitor { return &p.Monitor }, monitorObject().value(), "How its endpoints are probed.").or("{}"),
		endpointsField())
	return object[Profile]{at: func(p *Profile, at Pos) { p.Pos = at }, fields: fields}
}

// degradedTTL reads the word ttl as the profile's, which stands before it in
// the table: 0 is a TTL too, and cannot stand for none.
func degradedTTL() field[Profile] {
	v := seconds(0, day)
	return field[Profile]{
		name:   "degradedTTL",
		doc:    "TTL while an enabled endpoint is degraded, at most ttl.",
		def:    "ttl",
		schema: schema{"type": "string", "pattern": v.schema["pattern"].(string) + "|^ttl$", "description": v.schema["description"]},
		read: func(c cursor, into *Profile) {
			if c.node.Kind == yaml.ScalarNode && c.node.Value == "ttl" {
				into.DegradedTTL = into.TTL
				return
			}
			into.DegradedTTL, _ = v.read(c)
		},
	}
}

// answerFields are the keys that say what an answer looks like once the
// method has been asked.
func answerFields() []field[Profile] {
	records := oneOf(choice[RecordType]{word: "any", v: RecordAny}, choice[RecordType]{word: "a", v: RecordA}, choice[RecordType]{word: "aaaa", v: RecordAAAA}, choice[RecordType]{word: "cname", v: RecordCNAME})
	match := oneOf(choice[bool]{word: "early", v: false}, choice[bool]{word: "late", v: true})
	unhealthy := oneOf(choice[OnUnhealthy]{word: "climb", v: UnhealthyClimb}, choice[OnUnhealthy]{word: "serve", v: UnhealthyServe}, choice[OnUnhealthy]{word: "nodata", v: UnhealthyNoData})
	return []field[Profile]{
		key("maxReturn", func(p *Profile) *int { return &p.MaxReturn }, integer(1, 10), "How many addresses multiValue answers with.").or("2"),
		key("recordType", func(p *Profile) *RecordType { return &p.RecordType }, records, "What every endpoint must be: an IPv4 address (a), an IPv6 address (aaaa), a host name (cname), or anything (any).").or("any"),
		key("match", func(p *Profile) *bool { return &p.LateMatch }, match, "early: only endpoints are candidates that have the type asked for; late: one is chosen first, as Azure does, and the answer is empty if it has not.").or("early"),
		inline("sticky", stickyObject(), "Weighted by the client's network instead of by lot.").or("{}"),
		key("disabled", func(p *Profile) *bool { return &p.NXDomain }, nothingWord(), "The answer of a profile that is disabled or has no enabled endpoint: nodata (empty), or nxdomain (no such name), as Azure does.").or("nodata"),
		key("unmatched", func(p *Profile) *bool { return &p.UnmatchedNXDomain }, nothingWord(), "The answer to a client that no endpoint of a subnet profile is for.").or("nodata"),
		key("onUnhealthy", func(p *Profile) *OnUnhealthy { return &p.OnUnhealthy }, unhealthy, "When the endpoint of a client's region is degraded, in a geographic profile: climb to the next larger region, serve it all the same, as Azure does, or answer with nothing (nodata).").or("climb"),
		key("flatten", func(p *Profile) *bool { return &p.Flatten }, boolean(), "Answer with the addresses of endpoints that are host names instead of with a CNAME; always so for the name @ and for multiValue.").or("false"),
	}
}

func nothingWord() value[bool] {
	return oneOf(choice[bool]{word: "nodata", v: false}, choice[bool]{word: "nxdomain", v: true})
}

func stickyObject() object[Profile] {
	return object[Profile]{fields: []field[Profile]{
		key("enabled", func(p *Profile) *bool { return &p.Sticky }, boolean(), "Whether a network keeps its endpoint while that is well.").or("false"),
		key("ipv4Prefix", func(p *Profile) *int { return &p.StickyIPv4 }, integer(8, 32), "Length of an IPv4 network.").or("24"),
		key("ipv6Prefix", func(p *Profile) *int { return &p.StickyIPv6 }, integer(16, 128), "Length of an IPv6 network.").or("56"),
	}}
}

func monitorObject() object[Monitor] { return monitorWith(monitorTLSObject()) }

// inheritingMonitor is the monitor of an endpoint: what it does not name is
// as in the profile's.
func inheritingMonitor() object[Monitor] {
	return monitorWith(monitorTLSObject().inheriting()).inheriting()
}

func monitorWith(tls object[Monitor]) object[Monitor] {
	protocol := oneOf(
		choice[MonitorProtocol]{word: "http", v: MonitorHTTP},
		choice[MonitorProtocol]{word: "https", v: MonitorHTTPS},
		choice[MonitorProtocol]{word: "tcp", v: MonitorTCP},
		choice[MonitorProtocol]{word: "none", v: MonitorNone},
	)
	return object[Monitor]{fields: []field[Monitor]{
		key("protocol", func(m *Monitor) *MonitorProtocol { return &m.Protocol }, protocol, "http, https, tcp, or none: endpoints are taken to be well.").or("http"),
		key("port", func(m *Monitor) *int { return &m.Port }, integer(1, 65535), "The port to ask; default 80, 443 for https; tcp needs one."),
		key("path", func(m *Monitor) *string { return &m.Path }, probePath(), "What http and https ask for.").or("/"),
		key("interval", func(m *Monitor) *time.Duration { return &m.Interval }, duration(time.Second, time.Hour), "From one probe of an endpoint to the next.").or("30s"),
		key("timeout", func(m *Monitor) *time.Duration { return &m.Timeout }, duration(100*time.Millisecond, time.Hour), "How long an answer may take, at most interval; default 10s, or nine tenths of an interval of up to 10s."),
		key("toleratedFailures", func(m *Monitor) *int { return &m.ToleratedFailures }, integer(0, 9), "Failures in a row that do not degrade an endpoint yet.").or("3"),
		key("successes", func(m *Monitor) *int { return &m.Successes }, integer(1, 20), "Successes in a row that bring it back.").or("2"),
		key("holdDown", func(m *Monitor) *time.Duration { return &m.HoldDown }, duration(0, day), "The least time that it stays degraded.").or("0s"),
		key("headers", func(m *Monitor) *[]Header { return &m.Headers }, probeHeaders(), "Header fields of each probe, by name; Host sets the host. An endpoint's replace all of the profile's."),
		key("expectedStatus", func(m *Monitor) *[]StatusRange { return &m.ExpectedStatus }, upTo(8, listOf(statusRange(), 1)), "Statuses that mean well, and ranges of them.").or("[200]"),
		inline("tls", tls, "Certificates of https endpoints.").or("{}"),
	}}
}

func monitorTLSObject() object[Monitor] {
	return object[Monitor]{fields: []field[Monitor]{
		key("verify", func(m *Monitor) *bool { return &m.VerifyTLS }, boolean(), "Whether the certificate must be one that the system trusts, for serverName or else the endpoint's name.").or("false"),
		key("serverName", func(m *Monitor) *string { return &m.ServerName }, emptyOr(dnsNameValue()), "The name to ask for and to verify; none: the endpoint's."),
	}}
}

// endpointsField notes the profile's monitor, which the table has read
// before, for those of the endpoints to begin with.
func endpointsField() field[Profile] {
	list := upTo(maxEndpoints, listOf(endpointObject().value(), 0))
	return field[Profile]{
		name:   "endpoints",
		doc:    "The places that it directs to.",
		schema: list.schema,
		read: func(c cursor, into *Profile) {
			c.d.monitor = into.Monitor
			into.Endpoints, _ = list.read(c)
		},
	}
}

func endpointObject() object[Endpoint] {
	return object[Endpoint]{at: func(e *Endpoint, p Pos) { e.Pos = p }, fields: []field[Endpoint]{
		key("name", func(e *Endpoint) *string { return &e.Name }, name(), "Unique in the profile.").required(),
		endpointTarget(),
		key("profile", func(e *Endpoint) *string { return &e.Profile }, lowerName(), "Another profile, nested here instead of a target."),
		key("enabled", func(e *Endpoint) *bool { return &e.Enabled }, boolean(), "Whether it is there at all.").or("true"),
		key("alwaysServe", func(e *Endpoint) *bool { return &e.AlwaysServe }, boolean(), "Never probed and always taken to be well; not with profile.").or("false"),
		key("weight", func(e *Endpoint) *int { return &e.Weight }, integer(1, 1000), "Its share, relative to the others, in a weighted profile.").or("1"),
		key("priority", func(e *Endpoint) *int { return &e.Priority }, integer(1, 1000), "1 comes first, unique in the profile; endpoints without one come after those that have one, in the order of the list."),
		key("location", func(e *Endpoint) *string { return &e.Location }, azureLocation(), "The Azure region that it is in or near, such as West Europe or westeurope; a performance profile needs one."),
		key("geo", func(e *Endpoint) *[]string { return &e.Geo }, listOf(geoCode(), 0), "Regions whose clients it is for, in a geographic profile: WORLD, GEO-EU, DE, US-CA."),
		key("subnets", func(e *Endpoint) *[]AddressRange { return &e.Subnets }, listOf(addressRange(), 0), "Clients that it is for whatever the method says, while it is well; the method of subnet profiles, where an endpoint without any takes all others."),
		key("minChildEndpoints", func(e *Endpoint) *int { return &e.MinChildEndpoints }, integer(1, maxEndpoints), "How many endpoints of the nested profile must be well.").or("1"),
		key("minChildIPv4", func(e *Endpoint) *int { return &e.MinChildIPv4 }, integer(0, maxEndpoints), "How many of them with an IPv4 address; at most minChildEndpoints.").or("0"),
		key("minChildIPv6", func(e *Endpoint) *int { return &e.MinChildIPv6 }, integer(0, maxEndpoints), "How many of them with an IPv6 address; at most minChildEndpoints.").or("0"),
		key("port", func(e *Endpoint) *int { return &e.Port }, integer(0, 65535), "The port in SVCB and HTTPS records; 0: none.").or("0"),
		endpointMonitor(),
	}}
}

func endpointMonitor() field[Endpoint] {
	o := inheritingMonitor()
	return field[Endpoint]{
		name:   "monitor",
		doc:    "How this endpoint is probed; keys that are not named are as in the profile's monitor.",
		schema: o.schema(),
		read: func(c cursor, into *Endpoint) {
			m := c.d.monitor
			if o.read(c, &m) {
				into.Monitor = &m
			}
		},
	}
}
