package config

import (
	"net/netip"
	"time"
)

// The table of keys: what appgw.yaml can say. One function per mapping, one
// line per key. The decoder, the JSON Schema and the test of
// docs/configuration.md all read it.

const day = 24 * time.Hour

func gatewayObject() object[Gateway] {
	return object[Gateway]{fields: []field[Gateway]{
		key("admin", func(g *Gateway) *Admin { return &g.Admin }, adminObject("127.0.0.1:9901").value(), "The operator's HTTP interface: health, metrics, status, reload, pprof.").or("{}"),
		key("metrics", func(g *Gateway) *Metrics { return &g.Metrics }, metricsObject().value(), "Read-only health and metrics for others than the operator."),
		key("logs", func(g *Gateway) *Logs { return &g.Logs }, logsObject().value(), "Where logs go.").or("{}"),
		key("limits", func(g *Gateway) *Limits { return &g.Limits }, limitsObject().value(), "What one client can make the gateway hold or wait for.").or("{}"),
		key("trustedProxies", func(g *Gateway) *[]netip.Prefix { return &g.TrustedProxies }, listOf(prefix(), 0), "Peers whose X-Forwarded-* fields are believed; nothing is believed from anyone else: theirs are dropped, as are Forwarded, X-Real-IP, True-Client-IP, X-Client-IP, CF-Connecting-IP, X-Cluster-Client-IP, X-Original-*, X-Scheme, X-Url-Scheme, Front-End-Https and SSL-Client-*."),
		key("forwardedFor", func(g *Gateway) *ForwardedFor { return &g.ForwardedFor }, forwardedFor(), "The form of the address appended to X-Forwarded-For: ip, or Azure's address:port.").or("ip"),
		inline("affinity", gatewayAffinityObject(), "What affinity cookies of the whole gateway share."),
		inline("shutdown", shutdownObject(), "How the gateway stops.").or("{}"),
		key("errorPages", func(g *Gateway) *map[int]string { return &g.ErrorPages }, errorPages(), "Files served for errors that the gateway itself answers, by status; a listener's own pages win."),
		key("listeners", func(g *Gateway) *[]Listener { return &g.Listeners }, listOf(listenerObject().value(), 0), "Where the gateway accepts connections."),
		key("backendPools", func(g *Gateway) *[]BackendPool { return &g.BackendPools }, listOf(poolObject().value(), 0), "Named sets of backends."),
		key("backendSettings", func(g *Gateway) *[]BackendSettings { return &g.BackendSettings }, listOf(settingsObject().value(), 0), "How requests are sent to the members of a pool."),
		key("probes", func(g *Gateway) *[]Probe { return &g.Probes }, listOf(probeObject().value(), 0), "Health probes."),
		key("pathMaps", func(g *Gateway) *[]PathMap { return &g.PathMaps }, listOf(pathMapObject().value(), 0), "Routing by path."),
		key("redirects", func(g *Gateway) *[]Redirect { return &g.Redirects }, listOf(redirectObject().value(), 0), "Answers that send the client elsewhere."),
		key("rules", func(g *Gateway) *[]Rule { return &g.Rules }, listOf(ruleObject().value(), 0), "What becomes of a listener's requests."),
		key("rewriteSets", func(g *Gateway) *[]RewriteSet { return &g.RewriteSets }, upTo(1000, listOf(rewriteSetObject().value(), 0)), "Changes to requests and responses: fields, path and query."),
		key("rateLimits", func(g *Gateway) *[]ClientRateLimit { return &g.RateLimits }, upTo(1000, listOf(clientRateLimitObject().value(), 0)), "How many requests of a client, or of another key, pass."),
		key("compressionPolicies", func(g *Gateway) *[]CompressionPolicy { return &g.CompressionPolicies }, upTo(1000, listOf(compressionPolicyObject().value(), 0)), "Which responses are compressed, and how."),
		key("caches", func(g *Gateway) *[]Cache { return &g.Caches }, upTo(1000, listOf(cacheObject().value(), 0)), "Memory for responses that several requests may have (RFC 9111)."),
		key("authentications", func(g *Gateway) *[]Authentication { return &g.Authentications }, upTo(1000, listOf(authenticationObject().value(), 0)), "Who may send requests, and how they prove it."),
		key("corsPolicies", func(g *Gateway) *[]CORSPolicy { return &g.CORSPolicies }, upTo(1000, listOf(corsPolicyObject().value(), 0)), "Which pages of other origins may use a site."),
		key("wafPolicies", func(g *Gateway) *[]WAFPolicy { return &g.WAFPolicies }, upTo(1000, listOf(wafPolicyObject().value(), 0)), "Web application firewall policies."),
		key("wafPolicy", func(g *Gateway) *string { return &g.WAFPolicy }, reference(), "The firewall policy of every request that no listener and no path rule has one for."),
		key("geo", func(g *Gateway) *Geo { return &g.Geo }, geoObject().value(), "The database of places of addresses.").or("{}"),
	}}
}

func gatewayAffinityObject() object[Gateway] {
	return object[Gateway]{fields: []field[Gateway]{
		key("secretFile", func(g *Gateway) *string { return &g.AffinitySecretFile }, file(), "The secret that affinity cookies are derived from, the same for all instances; none: one is made at each start, and handed on by an upgrade."),
	}}
}

func shutdownObject() object[Gateway] {
	return object[Gateway]{fields: []field[Gateway]{
		key("drain", func(g *Gateway) *time.Duration { return &g.Drain }, duration(0, day), "How long a shutdown or an upgrade waits for requests in flight.").or("30s"),
	}}
}

// adminObject takes the default address: each binary has its own port.
func adminObject(address string) object[Admin] {
	return object[Admin]{fields: []field[Admin]{
		key("address", func(a *Admin) *string { return &a.Address }, adminAddressValue(), "A loopback host:port, unix:/path, or off.").or(address),
	}}
}

func metricsObject() object[Metrics] {
	return object[Metrics]{fields: []field[Metrics]{
		key("address", func(m *Metrics) *string { return &m.Address }, metricsAddressValue(), "host:port, :port or a port; off: none.").or("off"),
	}}
}

func logsObject() object[Logs] {
	return object[Logs]{fields: []field[Logs]{
		key("access", func(l *Logs) *AccessLog { return &l.Access }, accessLogObject().value(), "The access log: one line per request.").or("{}"),
		key("waf", func(l *Logs) *WAFLog { return &l.WAF }, wafLogObject().value(), "The web application firewall's log: one line per request that a rule matched.").or("{}"),
	}}
}

func accessLogObject() object[AccessLog] {
	format := oneOf(
		choice[AccessFormat]{word: "json", v: AccessJSON},
		choice[AccessFormat]{word: "combined", v: AccessCombined},
		choice[AccessFormat]{word: "off", v: AccessOff},
	)
	return object[AccessLog]{fields: []field[AccessLog]{
		key("output", func(l *AccessLog) *string { return &l.Output }, logOutput(), "stdout, stderr, or a file, which is reopened on SIGUSR1.").or("stdout"),
		key("format", func(l *AccessLog) *AccessFormat { return &l.Format }, format, "json, combined (Apache's), or off.").or("json"),
	}}
}

func limitsObject() object[Limits] {
	return object[Limits]{fields: []field[Limits]{
		key("headBytes", func(l *Limits) *int { return &l.HeadBytes }, size(1<<10, 64<<10), "Size of a request head; over: 431.").or("32KiB"),
		key("fields", func(l *Limits) *int { return &l.Fields }, integer(1, 1000), "Header fields in a request; over: 431.").or("100"),
		key("urlBytes", func(l *Limits) *int { return &l.URLBytes }, size(64, 32<<10), "Size of a request's target; over: 414.").or("8KiB"),
		key("headTimeout", func(l *Limits) *time.Duration { return &l.HeadTimeout }, duration(10*time.Millisecond, time.Hour), "From the first byte of a head to its last, and from accept to the first byte; over: 408, without a byte the connection is just closed.").or("10s"),
		key("bodyMinRate", func(l *Limits) *int { return &l.BodyMinRate }, integer(0, 1<<30), "Bytes per second that a request body must average after 10 seconds; 0: no minimum; under, or silent for a minute: 408.").or("500"),
		key("idleTimeout", func(l *Limits) *time.Duration { return &l.IdleTimeout }, duration(10*time.Millisecond, day), "How long a client connection may wait for its next request.").or("75s"),
		key("tunnelIdleTimeout", func(l *Limits) *time.Duration { return &l.TunnelIdleTimeout }, duration(0, 7*day), "How long an upgraded connection (WebSocket) may be silent in both directions; 0s: for ever. Once one side has ended, the other may be silent for 30s.").or("1h"),
		key("writeStall", func(l *Limits) *time.Duration { return &l.WriteStall }, duration(10*time.Millisecond, time.Hour), "How long a write may make no progress.").or("30s"),
		key("connections", func(l *Limits) *int { return &l.Connections }, integer(0, 1<<24), "Client connections in all; 0: half of the limit of descriptors less 128.").or("0"),
		key("connectionsPerClient", func(l *Limits) *int { return &l.ConnectionsPerClient }, integer(0, 1<<24), "Client connections from one address, trusted proxies exempt; 0: no limit.").or("1000"),
		key("responseHeadBytes", func(l *Limits) *int { return &l.ResponseHeadBytes }, size(1<<10, 64<<10), "Size of a backend's response head; over: 502.").or("64KiB"),
		key("heldBytes", func(l *Limits) *int { return &l.HeldBytes }, size(8<<20, 1<<36), "Memory for bodies that are held, by the firewall until it has judged them, by buffering or for mirrors, of all requests together; over: 503, in detection: not inspected.").or("256MiB"),
		key("heldBytesPerClient", func(l *Limits) *int { return &l.HeldBytesPerClient }, size(8<<20, 1<<36), "How much of it the requests of one address may take, trusted proxies exempt; heldBytes: all; over: the same.").or("32MiB"),
		key("compressionCPU", func(l *Limits) *int { return &l.CompressionCPU }, percent(1), "Share of the time of all processors that compression may take; over: responses go out as they are. 100%: no limit.").or("50%"),
		key("compressionBytes", func(l *Limits) *int { return &l.CompressionBytes }, size(8<<20, 1<<36), "Memory of the encoders in use; over: responses go out as they are.").or("64MiB"),
		key("maxBodySize", func(l *Limits) *int { return &l.MaxBodySize }, bodySize(), "Size of a request body, where neither the listener nor the backend settings have a bound; 0: none; over: 413.").or("0"),
	}}
}

func listenerObject() object[Listener] {
	protocol := oneOf(
		choice[ListenerProtocol]{word: "http", v: ListenerHTTP},
		choice[ListenerProtocol]{word: "https", v: ListenerHTTPS},
		choice[ListenerProtocol]{word: "tcp", v: ListenerL4TCP},
		choice[ListenerProtocol]{word: "tls", v: ListenerL4TLS},
	)
	clientAuth := key("clientAuth", func(t *ListenerTLS) *ClientAuth { return &t.ClientAuth }, clientAuthObject().value(), "Certificates of clients (mutual TLS).").or("{}")
	slash := oneOf(choice[EncodedSlash]{word: "reject", v: EncodedSlashReject}, choice[EncodedSlash]{word: "keep", v: EncodedSlashKeep})
	slashes := oneOf(choice[DuplicateSlashes]{word: "merge", v: DuplicateSlashesMerge}, choice[DuplicateSlashes]{word: "keep", v: DuplicateSlashesKeep})
	return object[Listener]{at: func(l *Listener, p Pos) { l.Pos = p }, fields: []field[Listener]{
		key("name", func(l *Listener) *string { return &l.Name }, name(), "What rules and redirects call it.").required(),
		key("address", func(l *Listener) *netip.AddrPort { return &l.Address }, listenAddress(), "host:port with an IP address, :port or a port for all addresses.").required(),
		key("protocol", func(l *Listener) *ListenerProtocol { return &l.Protocol }, protocol, "http or https; tcp or tls carry bytes and know no requests (layer 4).").or("http"),
		key("hostNames", func(l *Listener) *[]string { return &l.HostNames }, listOf(hostNameValue(), 0), "Names it serves, with the wildcards * and ?; none: any host."),
		key("http2", func(l *Listener) *bool { return &l.HTTP2 }, boolean(), "Offer HTTP/2 beside HTTP/1.1: on https by ALPN; on http to clients that begin with it (h2c by prior knowledge).").or("false"),
		key("http3", func(l *Listener) *bool { return &l.HTTP3 }, boolean(), "Offer HTTP/3 beside the others, on https: the same port on UDP.").or("false"),
		key("http3EarlyData", func(l *Listener) *bool { return &l.HTTP3EarlyData }, boolean(), "Take HTTP/3 requests of clients that come back before the end of the handshake (0-RTT): they may be replays.").or("false"),
		key("tls", func(l *Listener) *ListenerTLS { return &l.TLS }, listenerTLSObject(servedCertificateObject(), clientAuth, acmeField(), staplingField(), ticketKeysField()).value(), "TLS offload, on https and tls listeners."),
		key("errorPages", func(l *Listener) *map[int]string { return &l.ErrorPages }, errorPages(), "Files served for errors that the gateway itself answers, by status."),
		key("accessRules", func(l *Listener) *[]AccessRule { return &l.AccessRules }, listOf(accessRuleObject().value(), 0), "Allow or deny by client address; the first match by priority decides, none allows."),
		inline("proxyProtocol", proxyProtocolObject(), "The PROXY protocol, v1 and v2."),
		key("encodedSlash", func(l *Listener) *EncodedSlash { return &l.EncodedSlash }, slash, "What becomes of %2F in a path: reject (400) or keep.").or("reject"),
		key("duplicateSlashes", func(l *Listener) *DuplicateSlashes { return &l.DuplicateSlashes }, slashes, "What becomes of // in a path: merge or keep.").or("merge"),
		key("wafPolicy", func(l *Listener) *string { return &l.WAFPolicy }, reference(), "The firewall policy of its requests; none: the gateway's."),
		key("authentication", func(l *Listener) *string { return &l.Authentication }, reference(), "What its clients must show; none: nothing."),
		key("corsPolicy", func(l *Listener) *string { return &l.CORSPolicy }, reference(), "Which pages of other origins may use it; none: the backend says."),
		key("compression", func(l *Listener) *string { return &l.Compression }, reference(), "The compression policy of its responses; none, or off: they are not compressed."),
		key("rateLimits", func(l *Listener) *[]string { return &l.RateLimits }, rateLimitNames(), "Names of limits on all of its requests."),
		key("maxBodySize", func(l *Listener) *int { return &l.MaxBodySize }, bodySize(), "Size of a request body, where the backend settings have no bound; 0: that of limits; over: 413.").or("0"),
	}}
}

func proxyProtocolObject() object[Listener] {
	return object[Listener]{fields: []field[Listener]{
		key("accept", func(l *Listener) *[]netip.Prefix { return &l.ProxyProtocol }, listOf(prefix(), 1), "Peers that must begin a connection with a PROXY header, and are believed.").required(),
	}}
}

// listenerTLSObject describes TLS of a listener, and what only some listeners
// have.
func listenerTLSObject(certificate object[Certificate], more ...field[ListenerTLS]) object[ListenerTLS] {
	return object[ListenerTLS]{fields: append([]field[ListenerTLS]{
		key("certificates", func(t *ListenerTLS) *[]Certificate { return &t.Certificates }, listOf(certificate.value(), 0), "Certificates, chosen by the client's server name; the first is the default."),
		key("policy", func(t *ListenerTLS) *TLSPolicy { return &t.Policy }, tlsPolicy(), "A predefined Azure policy by name, or a custom one.").or(defaultPolicy),
	}, more...)}
}

func certificateObject() object[Certificate] {
	return object[Certificate]{fields: []field[Certificate]{
		key("certFile", func(c *Certificate) *string { return &c.CertFile }, needed(file()), "PEM file of the certificate and its chain; watched and reloaded.").required(),
		key("keyFile", func(c *Certificate) *string { return &c.KeyFile }, needed(file()), "PEM file of the private key.").required(),
	}}
}

func accessRuleObject() object[AccessRule] {
	action := oneOf(choice[bool]{word: "allow", v: false}, choice[bool]{word: "deny", v: true})
	return object[AccessRule]{fields: []field[AccessRule]{
		key("name", func(a *AccessRule) *string { return &a.Name }, name(), "For logs."),
		key("priority", func(a *AccessRule) *int { return &a.Priority }, integer(1, 65535), "1 is looked at first; unique in the listener.").required(),
		key("action", func(a *AccessRule) *bool { return &a.Deny }, action, "allow or deny.").required(),
		key("source", func(a *AccessRule) *[]netip.Prefix { return &a.Sources }, listOf(prefix(), 1), "Prefixes of client addresses.").required(),
	}}
}

func poolObject() object[BackendPool] {
	return object[BackendPool]{at: func(b *BackendPool, p Pos) { b.Pos = p }, fields: []field[BackendPool]{
		key("name", func(b *BackendPool) *string { return &b.Name }, name(), "What rules and path maps call it.").required(),
		key("targets", func(b *BackendPool) *[]Target { return &b.Targets }, listOf(target(), 0), "The backends; an empty pool answers 502."),
		key("balance", func(b *BackendPool) *Balance { return &b.Balance }, balanceValue(), "How a member is picked: roundRobin (weighted and smooth), leastRequests (fewest in flight for its weight), p2c (of two by chance, the one with fewer in flight for its weight), ewma (of two by chance, the one that will be done first, by its response times and what it has in flight) or hash (the same member for the same key).").or("roundRobin"),
		key("hash", func(b *BackendPool) *HashKey { return &b.Hash }, hashObject().value(), "What balance: hash goes by.").or("{}"),
		key("slowStart", func(b *BackendPool) *time.Duration { return &b.SlowStart }, duration(0, time.Hour), "How long the weight of a member takes to rise, from a tenth, when it is added or comes back from ill health, ejection or a drain; 0s: it counts at once.").or("0s"),
		key("minHealthy", func(b *BackendPool) *int { return &b.MinHealthy }, percent(0), "Share of the targets of a priority that must be healthy for them to serve alone; below it the next priority serves as well. 0%: one is enough.").or("0%"),
		key("panicThreshold", func(b *BackendPool) *int { return &b.PanicThreshold }, percent(0), "Share of members below which probes and ejections are not believed: all are used. 0%: never.").or("0%"),
		key("resolve", func(b *BackendPool) *time.Duration { return &b.Resolve }, duration(100*time.Millisecond, day), "How often host names are looked up again.").or("30s"),
	}}
}

func settingsObject() object[BackendSettings] {
	protocol := oneOf(
		choice[BackendProtocol]{word: "http", v: BackendHTTP},
		choice[BackendProtocol]{word: "https", v: BackendHTTPS},
		choice[BackendProtocol]{word: "tcp", v: BackendL4TCP},
		choice[BackendProtocol]{word: "tls", v: BackendL4TLS},
		choice[BackendProtocol]{word: "h2", reserved: true, instead: "https with http2: true"},
		choice[BackendProtocol]{word: "h2c", reserved: true, instead: "http with http2: true"},
	)
	return object[BackendSettings]{at: func(b *BackendSettings, p Pos) { b.Pos = p }, fields: []field[BackendSettings]{
		key("name", func(b *BackendSettings) *string { return &b.Name }, name(), "What rules and path maps call them.").required(),
		key("protocol", func(b *BackendSettings) *BackendProtocol { return &b.Protocol }, protocol, "http or https; tcp or tls for listeners of layer 4.").or("http"),
		key("http2", func(b *BackendSettings) *bool { return &b.HTTP2 }, boolean(), "Speak HTTP/2 to backends: on https with those that agree to it (ALPN), on http with all of them (prior knowledge).").or("false"),
		key("grpcWeb", func(b *BackendSettings) *bool { return &b.GRPCWeb }, boolean(), "Make gRPC of gRPC-Web, which is what browsers speak; with http2 only.").or("false"),
		key("port", func(b *BackendSettings) *int { return &b.Port }, integer(1, 65535), "Port of targets that name none; default 80, or 443 for https; with tcp and tls there is none."),
		key("requestTimeout", func(b *BackendSettings) *time.Duration { return &b.RequestTimeout }, duration(time.Millisecond, day), "Until the response head, and between two pieces of its body; over: 504.").or("20s"),
		key("connectTimeout", func(b *BackendSettings) *time.Duration { return &b.ConnectTimeout }, duration(time.Millisecond, 10*time.Minute), "Until a connection stands, TLS included.").or("5s"),
		key("idleTimeout", func(b *BackendSettings) *time.Duration { return &b.IdleTimeout }, duration(time.Second, day), "How long both sides of a connection may be silent; with tcp and tls only.").or("4m"),
		key("proxyProtocol", func(b *BackendSettings) *ProxyProtocol { return &b.ProxyProtocol }, proxyProtocolVersion(), "Tell backends who the client is, by a PROXY header before its bytes, and before TLS: v1, v2 or off; with tcp and tls only.").or("off"),
		key("affinity", func(b *BackendSettings) *Affinity { return &b.Affinity }, affinityObject().value(), "Pins a client to a member by cookie.").or("{}"),
		key("drain", func(b *BackendSettings) *time.Duration { return &b.Drain }, duration(0, time.Hour), "How long requests in flight to a removed or drained member may go on.").or("30s"),
		key("hostName", func(b *BackendSettings) *string { return &b.HostName }, emptyOr(backendHost()), "Host sent to the backend; empty: the client's."),
		key("pickHostFromBackend", func(b *BackendSettings) *bool { return &b.PickHostFromBackend }, boolean(), "Send the target's own name as Host.").or("false"),
		key("pathOverride", func(b *BackendSettings) *string { return &b.PathOverride }, emptyOr(absolutePath()), "Replaces the part of the path that the path rule matched; with a rule that has no path map it is put in front."),
		key("probe", func(b *BackendSettings) *string { return &b.Probe }, reference(), "A probe's name; off: none; empty: the default probe."),
		key("retries", func(b *BackendSettings) *Retries { return &b.Retries }, retriesObject().value(), "When a request may be sent again to another member.").or("{}"),
		key("maxConnections", func(b *BackendSettings) *int { return &b.MaxConnections }, integer(0, 1<<24), "Connections, which are requests in flight, per member; over: another member, else the queue, else 503. 0: no limit.").or("0"),
		key("maxRequests", func(b *BackendSettings) *int { return &b.MaxRequests }, integer(0, 1<<24), "Requests in flight to all members of a pool together; over: the queue, else 503. 0: no limit.").or("0"),
		key("adaptive", func(b *BackendSettings) *Adaptive { return &b.Adaptive }, adaptiveObject().value(), "A limit of requests in flight per member that follows its response times.").or("{}"),
		key("queue", func(b *BackendSettings) *Queue { return &b.Queue }, queueObject().value(), "Where requests wait while all members are at their limit.").or("{}"),
		key("hedge", func(b *BackendSettings) *Hedge { return &b.Hedge }, hedgeObject().value(), "Asks a second member when the first takes long.").or("{}"),
		key("maxBodySize", func(b *BackendSettings) *int { return &b.MaxBodySize }, bodySize(), "Size of a request body; 0: the bound of the listener, or of limits; over: 413.").or("0"),
		key("requestBuffering", func(b *BackendSettings) *BodyBuffering { return &b.RequestBuffering }, bufferingObject().value(), "Hold a request's body before a member is asked; without it, bodies stream."),
		key("responseBuffering", func(b *BackendSettings) *BodyBuffering { return &b.ResponseBuffering }, bufferingObject().value(), "Take a response from the member as fast as it sends it; without it, at the client's pace."),
		key("tls", func(b *BackendSettings) *BackendTLS { return &b.TLS }, backendTLSObject().value(), "Verification of https backends.").or("{}"),
		key("ejection", func(b *BackendSettings) *Ejection { return &b.Ejection }, ejectionObject().value(), "Takes a member out after consecutive failures of requests.").or("{}"),
	}}
}

func affinityObject() object[Affinity] {
	return object[Affinity]{fields: []field[Affinity]{
		key("enabled", func(a *Affinity) *bool { return &a.Enabled }, boolean(), "Whether clients are pinned.").or("false"),
		key("cookie", func(a *Affinity) *string { return &a.Cookie }, cookieName(), "The cookie's name; its twin for cross-site requests has CORS appended.").or("ApplicationGatewayAffinity"),
	}}
}

func backendTLSObject() object[BackendTLS] {
	return object[BackendTLS]{fields: []field[BackendTLS]{
		key("caFile", func(t *BackendTLS) *string { return &t.CAFile }, file(), "PEM file of the roots to trust; empty: the system's."),
		key("serverName", func(t *BackendTLS) *string { return &t.ServerName }, emptyOr(dnsNameValue()), "Name sent (SNI) and verified; empty: hostName, else the target's name, else the client's Host."),
		key("verify", func(t *BackendTLS) *bool { return &t.Verify }, boolean(), "Whether the backend's certificate is verified.").or("true"),
		key("clientCertificate", func(t *BackendTLS) *Certificate { return &t.ClientCertificate }, certificateObject().value(), "The gateway's own certificate for backends, and probes, that ask for one."),
	}}
}

func ejectionObject() object[Ejection] {
	return object[Ejection]{fields: []field[Ejection]{
		key("connectFailures", func(e *Ejection) *int { return &e.ConnectFailures }, integer(0, 1000), "Consecutive connect failures that take a member out; 0: off.").or("5"),
		key("serverErrors", func(e *Ejection) *int { return &e.ServerErrors }, integer(0, 1000), "Consecutive requests that take a member out because it answered them 5xx, not in time, or closed the connection instead; 0: off.").or("0"),
		key("time", func(e *Ejection) *time.Duration { return &e.Time }, duration(10*time.Millisecond, day), "How long it stays out the first time.").or("10s"),
		key("maxTime", func(e *Ejection) *time.Duration { return &e.MaxTime }, duration(10*time.Millisecond, day), "How long it stays out at most: each ejection in a row is twice as long as the one before.").or("1m"),
		key("maxShare", func(e *Ejection) *int { return &e.MaxShare }, percent(1), "How many of a pool's members may be out at once, though one always may.").or("100%"),
	}}
}

func probeObject() object[Probe] {
	protocol := oneOf(
		choice[ProbeProtocol]{word: "http", v: ProbeHTTP},
		choice[ProbeProtocol]{word: "https", v: ProbeHTTPS},
		choice[ProbeProtocol]{word: "tcp", v: ProbeTCP},
		choice[ProbeProtocol]{word: "grpc", v: ProbeGRPC},
	)
	return object[Probe]{at: func(b *Probe, p Pos) { b.Pos = p }, fields: []field[Probe]{
		key("name", func(b *Probe) *string { return &b.Name }, name(), "What backend settings call it; not off.").required(),
		key("protocol", func(b *Probe) *ProbeProtocol { return &b.Protocol }, protocol, "http, https, tcp or grpc; that of the settings, or one of the last two.").or("http"),
		key("host", func(b *Probe) *string { return &b.Host }, emptyOr(backendHost()), "Host field and server name; empty: the settings' host name, else the target's."),
		key("path", func(b *Probe) *string { return &b.Path }, probePath(), "What is asked for.").or("/"),
		key("service", func(b *Probe) *string { return &b.Service }, emptyOr(grpcService()), "The service that a grpc probe asks about; empty: the whole server."),
		key("port", func(b *Probe) *int { return &b.Port }, integer(1, 65535), "Port to ask; default: the member's."),
		key("interval", func(b *Probe) *time.Duration { return &b.Interval }, duration(10*time.Millisecond, day), "Time between two probes of a member.").or("30s"),
		key("timeout", func(b *Probe) *time.Duration { return &b.Timeout }, duration(time.Millisecond, day), "How long an answer may take.").or("30s"),
		key("unhealthyThreshold", func(b *Probe) *int { return &b.UnhealthyThreshold }, integer(1, 20), "Failures in a row that take a member out.").or("3"),
		key("healthyThreshold", func(b *Probe) *int { return &b.HealthyThreshold }, integer(1, 20), "Successes in a row that bring it back.").or("1"),
		key("startUnhealthy", func(b *Probe) *bool { return &b.StartUnhealthy }, boolean(), "Keep a member out until its first success, as Azure does.").or("false"),
		key("match", func(b *Probe) *ProbeMatch { return &b.Match }, matchObject().value(), "What a healthy answer looks like.").or("{}"),
	}}
}

func matchObject() object[ProbeMatch] {
	return object[ProbeMatch]{fields: []field[ProbeMatch]{
		key("status", func(m *ProbeMatch) *[]StatusRange { return &m.Status }, listOf(statusRange(), 1), "Status codes and ranges of them.").or("[200-399]"),
		key("body", func(m *ProbeMatch) *string { return &m.Body }, bodyMatch(), "Text that the body must contain; empty: any body."),
	}}
}

func pathMapObject() object[PathMap] {
	order := oneOf(choice[PathOrder]{word: "listed", v: OrderListed}, choice[PathOrder]{word: "specific", v: OrderSpecific})
	return object[PathMap]{at: func(m *PathMap, p Pos) { m.Pos = p }, fields: []field[PathMap]{
		key("name", func(m *PathMap) *string { return &m.Name }, name(), "What rules call it.").required(),
		key("order", func(m *PathMap) *PathOrder { return &m.Order }, order, "Which path rule takes a request that several match: the first as listed, or the most specific.").or("listed"),
		key("default", func(m *PathMap) *Action { return &m.Default }, defaultActionObject().value(), "Where a path goes that nothing matches.").required(),
		key("paths", func(m *PathMap) *[]PathRule { return &m.Paths }, listOf(pathRuleObject().value(), 0), "Path rules."),
	}}
}

func defaultActionObject() object[Action] {
	return object[Action]{fields: pathActionFields(func(a *Action) *Action { return a })}
}

func pathRuleObject() object[PathRule] {
	fields := []field[PathRule]{
		key("paths", func(r *PathRule) *[]string { return &r.Paths }, listOf(pathPattern(), 1), "Paths; * at the very end stands for the rest; upper and lower case are the same.").required(),
		key("match", func(r *PathRule) *RouteMatch { return &r.Match }, routeMatchObject().value(), "What else a request must have."),
	}
	fields = append(fields, pathActionFields(func(r *PathRule) *Action { return &r.Action })...)
	return object[PathRule]{at: func(r *PathRule, p Pos) { r.Pos = p }, fields: fields}
}

// actionFields are the keys of a rule, a path rule and a default alike.
func actionFields[T any](at func(*T) *Action) []field[T] {
	return []field[T]{
		key("backendPool", func(t *T) *string { return &at(t).BackendPool }, reference(), "The pool that requests go to; with backendSettings."),
		key("backendSettings", func(t *T) *string { return &at(t).BackendSettings }, reference(), "The settings they are sent with; with backendPool."),
		key("backendPools", func(t *T) *[]WeightedPool { return &at(t).BackendPools }, upTo(maxWeightedPools, listOf(weightedPoolObject().value(), 1)), "Pools that share the requests by weight, instead of backendPool."),
		key("redirect", func(t *T) *string { return &at(t).Redirect }, reference(), "A redirect to answer with, instead of a pool."),
		key("mirror", func(t *T) *Mirror { return &at(t).Mirror }, mirrorObject().value(), "Where copies of the requests go, whose responses nobody gets."),
		key("rewriteSet", func(t *T) *string { return &at(t).RewriteSet }, reference(), "What changes these requests and their responses; with backendPool."),
		key("rateLimits", func(t *T) *[]string { return &at(t).RateLimits }, rateLimitNames(), "Names of limits on these requests, besides the listener's."),
		key("cache", func(t *T) *string { return &at(t).Cache }, reference(), "The cache that keeps the responses; none: nothing is kept; with backendPool."),
	}
}

// pathActionFields are the keys of a path rule and a default. A rule has one
// listener, which has the policy for both.
func pathActionFields[T any](at func(*T) *Action) []field[T] {
	return append(actionFields(at),
		key("wafPolicy", func(t *T) *string { return &at(t).WAFPolicy }, reference(), "The firewall policy of these requests; none: the listener's, or the gateway's."),
		key("compression", func(t *T) *string { return &at(t).Compression }, reference(), "The compression policy of their responses; off: they are not compressed; none: the listener's."),
		key("authentication", func(t *T) *string { return &at(t).Authentication }, reference(), "What clients must show for these requests; off: nothing; none: the listener's."),
		key("corsPolicy", func(t *T) *string { return &at(t).CORSPolicy }, reference(), "Which pages of other origins may use this; off: the backend says; none: the listener's."))
}

func redirectObject() object[Redirect] {
	status := oneOf(
		choice[int]{word: "permanent", v: 301},
		choice[int]{word: "found", v: 302},
		choice[int]{word: "seeOther", v: 303},
		choice[int]{word: "temporary", v: 307},
		choice[int]{word: "permanent308", v: 308},
	)
	return object[Redirect]{at: func(r *Redirect, p Pos) { r.Pos = p }, fields: []field[Redirect]{
		key("name", func(r *Redirect) *string { return &r.Name }, name(), "What rules and path maps call it.").required(),
		key("type", func(r *Redirect) *int { return &r.Status }, status, "permanent (301), found (302), seeOther (303), temporary (307) or permanent308 (308).").or("found"),
		inline("target", redirectTargetObject(), "Where to: a URL, or a listener of this gateway.").required(),
		key("includePath", func(r *Redirect) *bool { return &r.IncludePath }, boolean(), "Append the request's path.").or("true"),
		key("includeQuery", func(r *Redirect) *bool { return &r.IncludeQuery }, boolean(), "Append the request's query.").or("true"),
	}}
}

func redirectTargetObject() object[Redirect] {
	return object[Redirect]{fields: []field[Redirect]{
		key("url", func(r *Redirect) *string { return &r.TargetURL }, emptyOr(absoluteURL()), "An http or https URL without query and fragment."),
		key("listener", func(r *Redirect) *string { return &r.TargetListener }, reference(), "A listener's name: its scheme and port, and the request's host, if one there takes it."),
	}}
}

func ruleObject() object[Rule] {
	fields := []field[Rule]{
		key("name", func(r *Rule) *string { return &r.Name }, name(), "For logs, metrics and explain.").required(),
		key("priority", func(r *Rule) *int { return &r.Priority }, integer(1, 20000), "1 is looked at first, unique; none: after those that have one, the most specific host first."),
		key("listener", func(r *Rule) *string { return &r.Listener }, reference(), "The listener whose requests it takes; one rule per listener.").required(),
		key("pathMap", func(r *Rule) *string { return &r.PathMap }, reference(), "A path map, instead of a pool or a redirect."),
	}
	fields = append(fields, actionFields(func(r *Rule) *Action { return &r.Action })...)
	return object[Rule]{at: func(r *Rule, p Pos) { r.Pos = p }, fields: fields}
}
