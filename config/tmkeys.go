package config

import (
	"net/netip"
	"time"
)

// The table of keys: what trafficmgr.yaml can say, but for its profiles
// (profilekeys.go). It is made as that of appgw.yaml (keys.go).

func trafficManagerObject() object[TrafficManager] {
	type tm = TrafficManager
	return object[tm]{fields: []field[tm]{
		key("admin", func(t *tm) *Admin { return &t.Admin }, adminObject("127.0.0.1:9903").value(), "The operator's HTTP interface: health, metrics, status, reload, pprof.").or("{}"),
		key("metrics", func(t *tm) *Metrics { return &t.Metrics }, metricsObject().value(), "Read-only health and metrics for others than the operator."),
		inline("shutdown", dnsShutdownObject(), "How the server stops.").or("{}"),
		key("listen", func(t *tm) *[]DNSListener { return &t.Listen }, upTo(100, listOf(dnsListenerObject().value(), 1)), "Where queries come in; none: port 53 of all addresses, udp and tcp."),
		key("zones", func(t *tm) *[]DNSZone { return &t.Zones }, listOf(zoneObject().value(), 0), "The zones that are answered with authority."),
		key("geo", func(t *tm) *Geo { return &t.Geo }, geoObject().value(), "The database of places of addresses.").or("{}"),
		key("latency", func(t *tm) *Latency { return &t.Latency }, latencyObject().value(), "The table of round-trip times.").or("{}"),
		inline("ecs", ecsObject(), "EDNS Client Subnet (RFC 7871).").or("{}"),
		key("cookies", func(t *tm) *DNSCookies { return &t.Cookies }, cookiesObject().value(), "DNS cookies (RFC 7873, RFC 9018).").or("{}"),
		key("nsid", func(t *tm) *string { return &t.NSID }, nsidText(), "What a query for the server's identifier gets (RFC 5001); none: no answer to that."),
		key("rateLimit", func(t *tm) *ResponseRateLimit { return &t.RateLimit }, rateLimitObject().value(), "How many alike responses a network gets over UDP.").or("{}"),
		key("limits", func(t *tm) *DNSLimits { return &t.Limits }, dnsLimitsObject().value(), "What clients can take.").or("{}"),
		key("tsig", func(t *tm) *[]TSIGKey { return &t.TSIG }, upTo(1000, listOf(tsigObject().value(), 0)), "Keys that sign messages (RFC 8945)."),
		key("queryLog", func(t *tm) *QueryLog { return &t.QueryLog }, queryLogObject().value(), "The log of queries.").or("{}"),
		key("profiles", func(t *tm) *[]Profile { return &t.Profiles }, listOf(profileObject().value(), 0), "Names whose answers are directed."),
	}}
}

func dnsShutdownObject() object[TrafficManager] {
	return object[TrafficManager]{fields: []field[TrafficManager]{
		key("drain", func(t *TrafficManager) *time.Duration { return &t.Drain }, duration(0, day), "How long a shutdown or an upgrade waits for TCP connections.").or("10s"),
	}}
}

func dnsListenerObject() object[DNSListener] {
	protocol := oneOf(
		choice[DNSProtocol]{word: "udp", v: DNSOverUDP},
		choice[DNSProtocol]{word: "tcp", v: DNSOverTCP},
		choice[DNSProtocol]{word: "dot", v: DNSOverTLS},
		choice[DNSProtocol]{word: "doh", v: DNSOverHTTPS},
	)
	return object[DNSListener]{fields: []field[DNSListener]{
		key("address", func(l *DNSListener) *netip.AddrPort { return &l.Address }, listenAddress(), "host:port with an IP address, :port or a port for all addresses.").required(),
		key("protocols", func(l *DNSListener) *[]DNSProtocol { return &l.Protocols }, listOf(protocol, 1), "udp, tcp, dot (DNS over TLS) or doh (DNS over HTTPS); one of the last three, as all of them need a TCP port.").or("[udp, tcp]"),
		key("tls", func(l *DNSListener) *ListenerTLS { return &l.TLS }, listenerTLSObject(certificateObject(), noClientAuthField()).value(), "Certificates of dot and doh, which need them."),
		key("path", func(l *DNSListener) *string { return &l.Path }, absolutePath(), "The path of doh.").or("/dns-query"),
	}}
}

func zoneObject() object[DNSZone] {
	return object[DNSZone]{at: func(z *DNSZone, p Pos) { z.Pos = p }, fields: []field[DNSZone]{
		key("name", func(z *DNSZone) *string { return &z.Name }, zoneName(), "The zone's name.").required(),
		key("nameServers", func(z *DNSZone) *[]string { return &z.NameServers }, upTo(100, listOf(nameServer(), 0)), "Host names of the zone's servers (NS); needed unless file is given, whose own win."),
		key("hostmaster", func(z *DNSZone) *string { return &z.Hostmaster }, hostmasterName(), "Who is responsible, as a name (SOA RNAME): dns.tm.example is dns@tm.example; default hostmaster.ZONE."),
		key("file", func(z *DNSZone) *string { return &z.File }, file(), "A zone file (RFC 1035) with ordinary records beside the profiles; its SOA and NS win over the keys here."),
		key("serial", func(z *DNSZone) *uint32 { return &z.Serial }, serialNumber(), "The SOA's serial; 0: computed from the configuration, so that all instances agree.").or("0"),
		key("ttl", func(z *DNSZone) *time.Duration { return &z.TTL }, seconds(0, 7*day), "TTL of the SOA and NS records that are made from these keys.").or("1h"),
		key("negativeTTL", func(z *DNSZone) *time.Duration { return &z.NegativeTTL }, seconds(0, day), "How long resolvers may keep that there is no such name or type (SOA MINIMUM, RFC 2308).").or("60s"),
		inline("transfer", transferObject(), "Who may transfer the zone (AXFR)."),
		key("dnssec", func(z *DNSZone) *DNSSEC { return &z.DNSSEC }, dnssecObject().value(), "Signing, while answering.").or("{}"),
	}}
}

func transferObject() object[DNSZone] {
	return object[DNSZone]{fields: []field[DNSZone]{
		key("keys", func(z *DNSZone) *[]string { return &z.TransferKeys }, upTo(100, listOf(tsigName(), 0)), "Names of TSIG keys; none: nobody may."),
	}}
}

func dnssecObject() object[DNSSEC] {
	return object[DNSSEC]{fields: []field[DNSSEC]{
		key("enabled", func(s *DNSSEC) *bool { return &s.Enabled }, boolean(), "Whether the zone is signed.").or("false"),
		key("keyFile", func(s *DNSSEC) *string { return &s.KeyFile }, file(), "The private key in BIND's format (ECDSA P-256, algorithm 13); needed when enabled, and made there if it does not exist."),
	}}
}

func latencyObject() object[Latency] {
	return object[Latency]{fields: []field[Latency]{
		key("table", func(l *Latency) *string { return &l.Table }, builtinOrFile(), "builtin, or a CSV file of prefix,region,rttMs,samples that refines the built-in table.").or("builtin"),
	}}
}

func ecsObject() object[TrafficManager] {
	return object[TrafficManager]{fields: []field[TrafficManager]{
		key("trusted", func(t *TrafficManager) *[]netip.Prefix { return &t.ECSTrusted }, listOf(prefix(), 0), "Resolvers whose client subnets are believed; an empty list: none are.").or(`["0.0.0.0/0", "::/0"]`),
	}}
}

func cookiesObject() object[DNSCookies] {
	return object[DNSCookies]{fields: []field[DNSCookies]{
		key("enabled", func(k *DNSCookies) *bool { return &k.Enabled }, boolean(), "Whether clients that ask for one get a cookie.").or("true"),
		key("secretFile", func(k *DNSCookies) *string { return &k.SecretFile }, file(), "16 bytes in hexadecimal, the same on all instances that share an address; none: made at each start."),
	}}
}

func rateLimitObject() object[ResponseRateLimit] {
	type limit = ResponseRateLimit
	return object[limit]{fields: []field[limit]{
		key("perSecond", func(l *limit) *int { return &l.PerSecond }, integer(0, 1_000_000), "Alike responses to one network in a second; 0: no limit.").or("0"),
		key("slip", func(l *limit) *int { return &l.Slip }, integer(0, 100), "Every so many of the refused ones is answered with TC, which a real client asks again over TCP; 0: none is.").or("2"),
		key("ipv4Prefix", func(l *limit) *int { return &l.IPv4Prefix }, integer(8, 32), "Length of an IPv4 network.").or("24"),
		key("ipv6Prefix", func(l *limit) *int { return &l.IPv6Prefix }, integer(16, 128), "Length of an IPv6 network.").or("56"),
		key("exempt", func(l *limit) *[]netip.Prefix { return &l.Exempt }, listOf(prefix(), 0), "Networks without a limit."),
	}}
}

func dnsLimitsObject() object[DNSLimits] {
	return object[DNSLimits]{fields: []field[DNSLimits]{
		key("udpSize", func(l *DNSLimits) *int { return &l.UDPSize }, integer(512, 4096), "Bytes of the largest response over UDP; a longer one is cut and asked again over TCP.").or("1232"),
		key("tcpConnections", func(l *DNSLimits) *int { return &l.TCPConnections }, integer(1, 1<<20), "TCP connections at once, over all listeners, dot and doh among them.").or("1000"),
		key("tcpPerClient", func(l *DNSLimits) *int { return &l.TCPPerClient }, integer(1, 1<<20), "TCP connections at once from one address.").or("50"),
		key("tcpIdle", func(l *DNSLimits) *time.Duration { return &l.TCPIdle }, duration(100*time.Millisecond, time.Hour), "How long a connection may be without a query.").or("10s"),
		key("tcpQueries", func(l *DNSLimits) *int { return &l.TCPQueries }, integer(1, 1<<24), "Queries on one connection, which is closed then.").or("10000"),
		key("waitingForWriting", func(l *DNSLimits) *int { return &l.WaitingForWriting }, size(128<<10, 64<<20), "Answers that one connection has not taken yet; over: no more queries are read from it.").or("256KiB"),
	}}
}

func tsigObject() object[TSIGKey] {
	return object[TSIGKey]{at: func(k *TSIGKey, p Pos) { k.Pos = p }, fields: []field[TSIGKey]{
		key("name", func(k *TSIGKey) *string { return &k.Name }, tsigName(), "The key's name, the same on both sides.").required(),
		key("algorithm", func(k *TSIGKey) *string { return &k.Algorithm }, tsigAlgorithm(), "The message authentication code.").or("hmac-sha256"),
		key("secretFile", func(k *TSIGKey) *string { return &k.SecretFile }, needed(file()), "A file with the secret in base64.").required(),
	}}
}

func queryLogObject() object[QueryLog] {
	return object[QueryLog]{fields: []field[QueryLog]{
		outputOrOff(func(l *QueryLog) (*string, *bool) { return &l.Output, &l.Enabled }),
		key("sample", func(l *QueryLog) *int { return &l.Sample }, integer(1, 1_000_000), "One in how many queries is logged; 1: all.").or("1"),
		key("dnstap", func(l *QueryLog) *string { return &l.Dnstap }, dnstapOutput(), "A file, or unix:/path of a socket that listens, which gets the same queries as dnstap frames."),
	}}
}
