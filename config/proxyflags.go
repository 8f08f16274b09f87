package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// ProxyFlags is what `appgw proxy` is told on its command line.
type ProxyFlags struct {
	From  string   // address to listen on; empty: :8080
	To    []string // backends as URLs, or several in one separated by commas
	Paths []string // /path=URL[,URL...]; the longest path is tried first
	// Affinity pins clients to backends by cookie.
	Affinity bool
	// TLSCert and TLSKey are PEM files; with them the listener is https.
	TLSCert, TLSKey string
	WAF             string // prevention, detection, or off; empty: off
	Admin           string // admin.address; empty: the default
}

// SimpleProxy is the gateway that flags describe, by way of the YAML that
// [ProxyFlags.YAML] shows.
func SimpleProxy(p ProxyFlags) (*Gateway, Warnings, error) {
	data, err := p.YAML()
	if err != nil {
		return nil, nil, err
	}
	return ParseGateway("appgw-proxy.yaml", data)
}

// YAML writes the configuration that the flags stand for, fit to be saved
// and grown. Errors name the flag.
func (p ProxyFlags) YAML() ([]byte, error) {
	groups, err := p.groups()
	if err = errors.Join(err, p.check()); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if p.Admin != "" {
		fmt.Fprintf(&b, "admin: {address: %s}\n", scalarText(p.Admin))
	}
	p.writePolicy(&b)
	p.writeListener(&b)
	for _, write := range []func(*bytes.Buffer, []proxyGroup){writePools, p.writeSettings, writeRouting} {
		write(&b, groups)
	}
	return b.Bytes(), nil
}

// check checks the flags that stand for themselves.
func (p ProxyFlags) check() error {
	var errs []error
	if _, err := parseListenAddress(p.from()); err != nil {
		errs = append(errs, fmt.Errorf("--from: %w", err))
	}
	if (p.TLSCert == "") != (p.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together; add the other"))
	}
	switch p.WAF {
	case "", "off", "prevention", "detection":
	default:
		errs = append(errs, fmt.Errorf("--waf: must be prevention, detection or off, not %s", quote(p.WAF)))
	}
	return errors.Join(errs...)
}

func (p ProxyFlags) from() string { return cmp.Or(p.From, ":8080") }

// proxyGroup is a pool and its settings: what one --to or --path names.
type proxyGroup struct {
	name     string
	paths    []string // of the path rule; none for --to
	https    bool
	targets  []string
	override string
}

// groups is --to, then every --path, the longest first: the first match
// decides in a path map.
func (p ProxyFlags) groups() ([]proxyGroup, error) {
	var errs []error
	to, err := newGroup("app", p.To)
	switch {
	case len(p.To) == 0:
		errs = append(errs, errors.New("--to is missing; write a URL such as http://127.0.0.1:3000"))
	case err != nil:
		errs = append(errs, fmt.Errorf("--to: %w", err))
	}
	var groups []proxyGroup
	for _, flag := range p.Paths {
		path, urls, _ := strings.Cut(flag, "=")
		g, err := newGroup("", []string{urls})
		if err == nil {
			g.paths, err = pathPatterns(path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--path %s: %w", quote(flag), err))
		}
		groups = append(groups, g)
	}
	slices.SortStableFunc(groups, func(a, b proxyGroup) int { return cmp.Compare(len(b.first()), len(a.first())) })
	for i := range groups {
		groups[i].name = fmt.Sprintf("path%d", i+1)
	}
	return append([]proxyGroup{to}, groups...), errors.Join(errs...)
}

func (g proxyGroup) first() string {
	if len(g.paths) == 0 {
		return ""
	}
	return g.paths[0]
}

// cookie is one of its own for each group: with one for all, a client that
// visits two would lose its member each time.
func (g proxyGroup) cookie() string {
	const azure = "ApplicationGatewayAffinity"
	if len(g.paths) == 0 {
		return azure
	}
	return azure + "-" + g.name
}

// pathPatterns makes /api stand for itself and everything below, but not for
// /apiary; a path that ends in * or / is taken at its word.
func pathPatterns(path string) ([]string, error) {
	if err := checkPath(strings.TrimSuffix(path, "*"), ""); err != nil {
		return nil, err
	}
	switch {
	case strings.HasSuffix(path, "*"):
		return []string{path}, nil
	case strings.HasSuffix(path, "/"):
		return []string{path + "*"}, nil
	}
	return []string{path, path + "/*"}, nil
}

// newGroup reads URLs, which must agree on what settings say once for all
// members of a pool.
func newGroup(name string, lists []string) (proxyGroup, error) {
	g := proxyGroup{name: name}
	for _, text := range strings.Split(strings.Join(lists, ","), ",") {
		one, err := parseBackendURL(strings.TrimSpace(text))
		if err != nil {
			return g, err
		}
		if len(g.targets) > 0 && (one.https != g.https || one.override != g.override) {
			return g, fmt.Errorf("%s has another scheme or path than the URL before it; those of one list must agree", quote(text))
		}
		g.https, g.override = one.https, one.override
		g.targets = append(g.targets, one.targets...)
	}
	return g, nil
}

// parseBackendURL reads http(s)://host[:port][/path], or unix:/path.
func parseBackendURL(text string) (proxyGroup, error) {
	if strings.HasPrefix(text, "unix:/") {
		return proxyGroup{targets: []string{text}}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return proxyGroup{}, fmt.Errorf("must be a URL such as http://127.0.0.1:3000, not %s", quote(text))
	}
	if u.User != nil || strings.ContainsAny(text, "?#") {
		return proxyGroup{}, fmt.Errorf("%s must not have a user, query or fragment", quote(text))
	}
	g := proxyGroup{https: u.Scheme == "https", targets: []string{u.Host}}
	if prefix := strings.TrimSuffix(u.EscapedPath(), "/"); prefix != "" {
		g.override = prefix + "/"
		err = checkPath(g.override, "")
	}
	if err == nil {
		_, err = (&decoder{}).parseTarget(u.Host)
	}
	return g, err
}

// writePolicy writes out what the profile and the mode are, for people to
// grow it from there.
func (p ProxyFlags) writePolicy(b *bytes.Buffer) {
	if p.WAF == "" || p.WAF == "off" {
		return
	}
	fmt.Fprintf(b, "wafPolicy: waf\nwafPolicies:\n  - name: waf\n    mode: %s\n    ruleSet: {name: crs, profile: balanced}\n", p.WAF)
}

func (p ProxyFlags) writeListener(b *bytes.Buffer) {
	fmt.Fprintf(b, "listeners:\n  - name: proxy\n    address: %s\n", scalarText(p.from()))
	if p.TLSCert != "" {
		fmt.Fprintf(b, "    protocol: https\n    tls:\n      certificates: [{certFile: %s, keyFile: %s}]\n", scalarText(p.TLSCert), scalarText(p.TLSKey))
	}
	// An application behind a plain proxy sees the paths that clients send.
	b.WriteString("    encodedSlash: keep\n")
}

func writePools(b *bytes.Buffer, groups []proxyGroup) {
	b.WriteString("backendPools:\n")
	for _, g := range groups {
		targets := make([]string, len(g.targets))
		for i, t := range g.targets {
			targets[i] = scalarText(t)
		}
		fmt.Fprintf(b, "  - name: %s\n    targets: [%s]\n", g.name, strings.Join(targets, ", "))
	}
}

func (p ProxyFlags) writeSettings(b *bytes.Buffer, groups []proxyGroup) {
	b.WriteString("backendSettings:\n")
	for _, g := range groups {
		protocol, probe := "http", "tcp"
		if g.https {
			protocol, probe = "https", "https"
		}
		fmt.Fprintf(b, "  - name: %s\n    protocol: %s\n    probe: %s\n", g.name, protocol, probe)
		if g.override != "" {
			fmt.Fprintf(b, "    pathOverride: %s\n", scalarText(g.override))
		}
		if p.Affinity {
			fmt.Fprintf(b, "    affinity: {enabled: true, cookie: %s}\n", g.cookie())
		}
	}
	writeProbes(b, groups)
}

// writeProbes writes what can be asked of applications that nobody described:
// a connection, or, where TLS is spoken, any answer over it. A backend that
// speaks no TLS, or whose certificate does not verify, is not healthy.
func writeProbes(b *bytes.Buffer, groups []proxyGroup) {
	b.WriteString("probes:\n")
	if slices.ContainsFunc(groups, func(g proxyGroup) bool { return !g.https }) {
		b.WriteString("  - {name: tcp, protocol: tcp, interval: 5s, timeout: 2s, unhealthyThreshold: 2}\n")
	}
	if slices.ContainsFunc(groups, func(g proxyGroup) bool { return g.https }) {
		b.WriteString("  - {name: https, protocol: https, interval: 5s, timeout: 5s, unhealthyThreshold: 2, match: {status: [100-599]}}\n")
	}
}

func writeRouting(b *bytes.Buffer, groups []proxyGroup) {
	if len(groups) == 1 {
		b.WriteString("rules:\n  - {name: proxy, listener: proxy, backendPool: app, backendSettings: app}\n")
		return
	}
	b.WriteString("pathMaps:\n  - name: proxy\n    default: {backendPool: app, backendSettings: app}\n    paths:\n")
	for _, g := range groups[1:] {
		paths := make([]string, len(g.paths))
		for i, path := range g.paths {
			paths[i] = scalarText(path)
		}
		fmt.Fprintf(b, "      - {paths: [%s], backendPool: %s, backendSettings: %s}\n", strings.Join(paths, ", "), g.name, g.name)
	}
	b.WriteString("rules:\n  - {name: proxy, listener: proxy, pathMap: proxy}\n")
}

// scalarText writes text as YAML: in JSON's quotes, which YAML shares.
func scalarText(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic("config: text is not JSON: " + err.Error()) // no string fails
	}
	return string(out)
}
