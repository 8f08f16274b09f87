package hygiene

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rule is one row of "Who may import what" in docs/architecture.md. Patterns are directories of this module or import paths of
// others; a trailing /... takes in what is below.
type rule struct {
	subject []string
	except  []string // of the subject
	never   []string // must not be reached, also not by way of other packages of this module
	why     string
	planned bool // the subject does not exist yet; the test says when this mark is to go
}

// ours stands for every package of this module.
const ours = "gatehouse/..."

var rules = []rule{
	{subject: []string{"config"}, never: []string{ours},
		why: "the vocabulary is pure data: everything speaks it, so it can depend on nothing"},
	{subject: []string{"internal/httpmsg"}, never: []string{ours},
		why: "a leaf: the message that proxy and waf share must not pull one into the other"},
	{subject: []string{"proxy/balance"}, never: []string{ours, "net", "net/http"},
		why: "a leaf: picking a member is arithmetic on weights and a key, for L4 and L7 alike"},
	{subject: []string{"proxy/gcra"}, never: []string{ours, "net", "net/http"},
		why: "a leaf: a rate limit is arithmetic on a key and the time"},
	{subject: []string{"dnslb/geo"}, never: []string{ours},
		why: "a leaf: waf and dnslb go by places alike, and neither may pull in the other"},
	{subject: []string{"dnslb/dnssec"}, never: []string{ours, "net"},
		why: "a leaf: what is signed is records, whoever made them, and the key never leaves it"},
	{subject: []string{"waf/..."}, never: []string{"proxy/..."},
		why: "they meet in cmd/appgw through a small interface over httpmsg, so that either can be replaced"},
	{subject: []string{"waf/..."}, never: []string{"net/http", "health/...", "internal/admin", "internal/daemon", "internal/telemetry"},
		why: "a request is judged by what it says: the firewall listens to nobody and writes no log itself, it hands out events"},
	{subject: []string{"waf/variables", "waf/transform"}, never: []string{ours},
		why: "leaves: the reading of a request and the changes to texts are the same for every judge, so they know none"},
	{subject: []string{"waf/..."}, except: []string{"waf"}, never: []string{"config", "waf"},
		why: "parts have options of their own and package waf translates, so that each is tested and fuzzed without a configuration"},
	{subject: []string{"waf/..."}, except: []string{"waf"}, never: []string{"github.com/corazawaf/coraza/v3/..."},
		why: "only package waf asks Coraza; the parts are compared with it by their tests and must not be it"},
	{subject: []string{"waf/..."}, except: []string{"waf", "waf/bot"}, never: []string{"net"},
		why: "judging waits for no network; only the names of crawlers are asked for, beside the requests"},
	{subject: []string{"test/stock"}, never: []string{ours, "github.com/corazawaf/coraza/v3/experimental/plugins"},
		why: "it is Coraza as it comes, which the firewall is compared with: what ours registers counts for the whole process"},
	{subject: []string{"proxy/..."}, never: []string{"waf/..."},
		why: "they meet in cmd/appgw through a small interface over httpmsg, so that either can be replaced"},
	{subject: []string{"proxy/cache"}, never: []string{"config", "net", "internal/stream", "proxy/l7/...", "proxy/http1"},
		why: "what may be stored and used is decided without sockets and clocks, so that each section of RFC 9111 is a table"},
	{subject: []string{"proxy/l4/..."}, never: []string{"proxy/l7/..."},
		why: "two data planes that share only what is in proxy"},
	{subject: []string{"proxy/l4"}, never: []string{"proxy/l4/relay", "proxy/l4/udp", "internal/stream"},
		why: "what becomes of a flow is decided without sockets, for every plane alike"},
	{subject: []string{"proxy/l4/sni"}, never: []string{ours, "net", "crypto/tls"},
		why: "a leaf: bytes to a name, with no say in what becomes of the connection"},
	{subject: []string{"proxy/l4/secgroup"}, never: []string{"proxy", "proxy/l4", "health", "internal/..."},
		why: "a leaf that knows the configuration alone: every plane decides by it, and so does explain"},
	{subject: []string{"proxy/l7/..."}, never: []string{"proxy/l4/..."},
		why: "two data planes that share only what is in proxy"},
	{subject: []string{"proxy/l7/auth"}, never: []string{"proxy", "proxy/l7", "proxy/http1", "internal/..."},
		why: "who asks is found out from what a request shows, without connections and files, so that it is tested and fuzzed alone"},
	{subject: []string{"internal/jwks"}, never: []string{ours},
		why: "it fetches beside the requests, and what it fetched is for others to read: nothing of the data path may reach it"},
	{subject: []string{"proxy/..."}, never: []string{"internal/jwks"},
		why: "keys are fetched over net/http, which never is on the data path; the verifier takes what cmd gives it"},
	{subject: []string{"dnslb/..."}, except: []string{"dnslb/doh"}, never: []string{"proxy/...", "waf/...", "net/http"},
		why: "DNS answers are pure functions of question and health; only DoH speaks HTTP"},
	{subject: []string{"health"}, never: []string{"net/http", "health/probe"},
		why: "the state machine is asked on every pick and knows no protocol; probes are in health/probe"},
	{subject: []string{"proxy/..."}, never: []string{"github.com/quic-go/quic-go/http3"},
		why: "it goes through net/http: of quic-go the data path has QUIC alone"},
	{subject: []string{"proxy/multiplex"}, never: []string{"proxy/http2", "proxy/http3", "github.com/quic-go/..."},
		why: "what two protocols have in common knows neither"},
	{subject: []string{"internal/acme"}, never: []string{"proxy/...", "waf/...", "health/...", "internal/admin", "internal/telemetry"},
		why: "it asks authorities, in the background: listeners get certificates and challenges of it through what tlscert and l7 define"},
	{subject: []string{"internal/responder"}, never: []string{ours},
		why: "a leaf: one question over HTTP to an OCSP responder, whoever asks; tlscert, which is on the data path, knows an interface"},
	{subject: []string{"proxy/...", "internal/httpmsg", "internal/stream"}, never: []string{"net/http", "net/http/httputil"},
		why: "net/http accepts what smuggling needs and costs four times as much: never on the data path"},
}

func TestImportRules(t *testing.T) {
	graph := importGraph(t)
	for _, r := range rules {
		name := strings.Join(r.subject, "+") + " never " + strings.Join(r.never, "+")
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) { r.check(t, graph) })
	}
}

func (r rule) check(t *testing.T, graph map[string][]string) {
	for _, pattern := range r.subject {
		found := false
		for dir := range graph {
			if matches(pattern, dir) && !matchesAny(r.except, dir) {
				found = true
				r.checkPackage(t, graph, dir)
			}
		}
		switch {
		case !found && !r.planned:
			t.Errorf("%s has vanished: the rule guards nothing; change or remove it", pattern)
		case found && r.planned:
			t.Errorf("%s exists now: remove the mark planned from its rule", pattern)
		}
	}
}

func (r rule) checkPackage(t *testing.T, graph map[string][]string, dir string) {
	for _, chain := range reach(graph, dir) {
		last := chain[len(chain)-1]
		if matchesAny(r.never, last) && !matchesAny(r.subjectIfOwn(), last) {
			t.Errorf("%s: %s", strings.Join(chain, " -> "), r.why)
		}
	}
}

// subjectIfOwn lets the packages of one subject import each other, except for leaves, which are alone in theirs.
func (r rule) subjectIfOwn() []string {
	if slices.Contains(r.never, ours) {
		return nil
	}
	return r.subject
}

func TestOnlyCommandsAreAtTheTop(t *testing.T) {
	for dir, imports := range importGraph(t) {
		for _, imp := range imports {
			if matches("cmd/...", imp) && !matches("cmd/...", dir) {
				t.Errorf("%s imports %s: commands see everything and are seen by nobody", dir, imp)
			}
		}
	}
}

func TestOnlyTestsSeeTestkit(t *testing.T) {
	for dir, imports := range importGraph(t) {
		for _, imp := range imports {
			if matches("internal/testkit/...", imp) && !matches("internal/testkit/...", dir) {
				t.Errorf("%s imports %s outside tests", dir, imp)
			}
		}
	}
}

// Where net/http may be used at all: a new place is a decision, not an accident.
func TestNetHTTPStaysWhereItBelongs(t *testing.T) {
	allowed := []string{"internal/acme", "internal/admin", "internal/responder", "internal/testkit", "internal/jwks", "internal/testkit/acmeca", "health/probe", "dnslb/doh", "cmd/...", "bench/...", "test/..."}
	for dir, imports := range importGraph(t) {
		if slices.Contains(imports, "net/http") && !matchesAny(allowed, dir) {
			t.Errorf("%s imports net/http, which is for %s", dir, strings.Join(allowed, ", "))
		}
	}
}

// importGraph maps each directory with a package to what its files that are not tests import: directories for packages of
// this module, paths for others.
func importGraph(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		graph[s.dir()] = append(graph[s.dir()], nil...)
		for _, spec := range s.file.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			graph[s.dir()] = append(graph[s.dir()], strings.TrimPrefix(imp, module+"/"))
		}
	}
	return graph
}

// reach lists one chain of imports to each package that dir sees, directly or by way of packages of this module.
func reach(graph map[string][]string, dir string) [][]string {
	seen := map[string]bool{dir: true}
	chains, queue := [][]string(nil), [][]string{{dir}}
	for len(queue) > 0 {
		chain := queue[0]
		queue = queue[1:]
		for _, imp := range graph[chain[len(chain)-1]] {
			if seen[imp] {
				continue
			}
			seen[imp] = true
			next := append(slices.Clone(chain), imp)
			chains, queue = append(chains, next), append(queue, next)
		}
	}
	return chains
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

func matches(pattern, pkg string) bool {
	if pattern == ours {
		// Paths of other modules and the standard library are told by what is on disk: only ours were cut to directories.
		return isOurs(pkg)
	}
	base, below := strings.CutSuffix(pattern, "/...")
	return pkg == base || below && strings.HasPrefix(pkg, base+"/")
}

// isOurs tells a directory of this module from an import path of another: its first element is one of our top directories.
func isOurs(pkg string) bool {
	top, _, _ := strings.Cut(pkg, "/")
	return slices.Contains([]string{"cmd", "config", "health", "proxy", "waf", "dnslb", "internal", "bench", "test", "examples"}, top)
}

// The rules are only as good as the reading of imports: a chain that breaks one must be found.
func TestImportRulesNoticeABreach(t *testing.T) {
	graph := map[string][]string{
		"proxy/l7": {"net", "health"}, "health": {"waf/rules"}, "waf/rules": {"config"}, "config": nil,
	}
	tests := []struct {
		name, subject, never string
		want                 string
	}{
		{"direct", "health", "waf/...", "health -> waf/rules"},
		{"by way of another", "proxy/...", "waf/...", "proxy/l7 -> health -> waf/rules"},
		{"leaf", "proxy/l7", ours, "proxy/l7 -> health"},
		{"standard library", "proxy/...", "net", "proxy/l7 -> net"},
		{"clean", "config", ours, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for dir := range graph {
				if !matches(tt.subject, dir) {
					continue
				}
				for _, chain := range reach(graph, dir) {
					if matches(tt.never, chain[len(chain)-1]) && got == "" {
						got = strings.Join(chain, " -> ")
					}
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
