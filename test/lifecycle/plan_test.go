package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// plan is a configuration that can be changed step by step. Whatever becomes of it, the requests of a load are answered: its
// two listeners stay, and every pool keeps a member.
type plan struct {
	g       *gateway
	origins []string
	dir     string // of the files it names
	serial  int    // a comment, so that no two texts are the same

	members  [2][]int // weight of each origin in the pools main and images; 0: not in it
	balance  string
	settings string // further keys of the backend settings
	paths    bool   // whether there is a path map
	pages    string // file of the error pages; empty: none
	format   string // of the access log
	log      string // file of the access log
	limits   string
	policy   string // of TLS
	extra    map[string]bool
	extras   map[string]string // addresses that listeners come to and go from
}

// newPlan is the first configuration.
func newPlan(g *gateway, origins ...*origin) *plan {
	p := &plan{g: g, dir: g.t.TempDir(), extra: map[string]bool{}, extras: map[string]string{}}
	for _, o := range origins {
		p.origins = append(p.origins, o.addr)
	}
	for _, name := range []string{"one", "two", "three", "bad"} {
		p.extras[name] = testkit.FreeAddr(g.t)
	}
	for _, name := range []string{"a.html", "b.html"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte("sorry"), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	p.reset()
	return p
}

// reset goes back to the first configuration.
func (p *plan) reset() {
	for i := range p.members {
		p.members[i] = make([]int, len(p.origins))
		for j := range p.members[i] {
			p.members[i][j] = 1
		}
	}
	p.balance, p.settings, p.paths, p.pages = "roundRobin", "", true, ""
	p.format, p.log, p.limits, p.policy = "json", filepath.Join(p.dir, "access.log"), "", "AppGwSslPolicy20220101"
	clear(p.extra)
}

// text writes the configuration down.
func (p *plan) text() string {
	p.serial++
	var b strings.Builder
	fmt.Fprintf(&b, "# %d\nadmin: {address: %q}\nlogs: {access: {output: %q, format: %s}}\nlimits: {idleTimeout: 10m%s}\n",
		p.serial, p.g.admin, p.log, p.format, p.limits)
	fmt.Fprintf(&b, "shutdown: {drain: 5s}\n")
	if p.pages != "" {
		fmt.Fprintf(&b, "errorPages: {404: %q, 502: %q}\n", p.pages, p.pages)
	}
	tls := fmt.Sprintf("tls: {policy: %s, certificates: [{certFile: %q, keyFile: %q}]}", p.policy, p.g.cert.CertFile, p.g.cert.KeyFile)
	fmt.Fprintf(&b, "listeners:\n  - {name: plain, address: %q}\n  - {name: secure, address: %q, protocol: https, %s}\n", p.g.plain, p.g.secure, tls)
	for _, name := range []string{"one", "two"} {
		if p.extra[name] {
			fmt.Fprintf(&b, "  - {name: %s, address: %q}\n", name, p.extras[name])
		}
	}
	if p.extra["three"] {
		fmt.Fprintf(&b, "  - {name: three, address: %q, protocol: https, %s}\n", p.extras["three"], tls)
	}
	if p.extra["site"] {
		fmt.Fprintf(&b, "  - {name: site, address: %q, hostNames: [other.test, \"*.other.test\"]}\n", p.g.plain)
	}
	p.writePools(&b)
	p.writeRules(&b)
	return b.String()
}

func (p *plan) writePools(b *strings.Builder) {
	b.WriteString("backendPools:\n")
	for i, name := range []string{"main", "images"} {
		fmt.Fprintf(b, "  - {name: %s, balance: %s, targets: [", name, p.balance)
		for j, weight := range p.members[i] {
			if weight > 0 {
				fmt.Fprintf(b, "{address: %q, weight: %d}, ", p.origins[j], weight)
			}
		}
		b.WriteString("]}\n")
	}
	if p.extra["pool"] {
		fmt.Fprintf(b, "  - {name: spare, targets: [%q]}\n", p.origins[0])
	}
	fmt.Fprintf(b, "backendSettings:\n  - {name: plain, drain: 5s, probe: home%s}\n  - {name: other, probe: \"off\"}\n", p.settings)
	b.WriteString("probes:\n  - {name: home, path: /probe, interval: 2s}\n")
}

func (p *plan) writeRules(b *strings.Builder) {
	route := "backendPool: main, backendSettings: plain"
	if p.paths {
		fmt.Fprintf(b, "pathMaps:\n  - name: map\n    default: {%s}\n    paths:\n", route)
		b.WriteString("      - {paths: [/images/*], backendPool: images, backendSettings: plain}\n")
		if p.extra["pool"] {
			b.WriteString("      - {paths: [/api/*], backendPool: spare, backendSettings: other}\n")
		}
		route = "pathMap: map"
	}
	b.WriteString("rules:\n")
	for _, name := range []string{"plain", "secure", "one", "two", "three", "site"} {
		if name == "plain" || name == "secure" || p.extra[name] {
			fmt.Fprintf(b, "  - {name: %s, listener: %s, %s}\n", name, name, route)
		}
	}
}

// mutate changes one thing at random.
func (p *plan) mutate(r *rand.Rand) {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	switch r.IntN(10) {
	case 0, 1:
		p.remember(r)
	case 2:
		p.balance = pick("roundRobin", "leastRequests")
	case 3:
		p.settings = pick("", ", requestTimeout: 25s", ", hostName: backend.test", ", maxConnections: 500", ", affinity: {enabled: true}", ", retries: {attempts: 2}")
	case 4:
		p.paths = !p.paths
	case 5:
		p.pages = pick("", filepath.Join(p.dir, "a.html"), filepath.Join(p.dir, "b.html"))
	case 6:
		p.log, p.format = filepath.Join(p.dir, pick("access.log", "other.log")), pick("json", "combined", "off")
	case 7:
		p.limits = pick("", ", fields: 90", ", headBytes: 16KiB")
		p.policy = pick("AppGwSslPolicy20220101", "AppGwSslPolicy20220101S")
	case 8:
		p.g.cert.Replace(p.g.t, p.g.ca.Server(host))
	case 9:
		name := pick("one", "two", "three", "site", "pool")
		p.extra[name] = !p.extra[name]
	}
}

// remember gives the pools other members, at least one each.
func (p *plan) remember(r *rand.Rand) {
	for i := range p.members {
		for j := range p.members[i] {
			p.members[i][j] = r.IntN(4)
		}
		p.members[i][r.IntN(len(p.members[i]))] = 1
	}
}

// broken makes a text that must be refused, and says what about it the refusal must name.
func (p *plan) broken(r *rand.Rand, t *testing.T) (text, names string) {
	listener := func(s string) string { return strings.Replace(p.text(), "listeners:\n", "listeners:\n"+s+"\n", 1) }
	missing := filepath.Join(p.dir, "missing.pem")
	switch r.IntN(7) {
	case 0:
		return p.text() + "rules: [\n", "appgw.yaml"
	case 1:
		return strings.ReplaceAll(p.text(), "backendPool: main", "backendPool: mian"), "mian"
	case 2:
		return p.text() + "colour: blue\n", "colour"
	case 3:
		return listener(fmt.Sprintf("  - {name: bad, address: %q, protocol: https, tls: {certificates: [{certFile: %s, keyFile: %s}]}}",
			p.extras["bad"], missing, missing)), "missing.pem"
	case 4:
		taken := occupy(t)
		return listener(fmt.Sprintf("  - {name: bad, address: %q}", taken)), taken
	case 5:
		return p.text() + "errorPages: {503: /nowhere/page.html}\n", "errorPages"
	}
	return strings.Replace(p.text(), "drain: 5s, probe: home", "drain: 5s, protocol: https, tls: {caFile: "+missing+"}", 1), "missing.pem"
}
