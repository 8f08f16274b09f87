// Package waf_test measures what the default firewall policies let pass and
// what they stop.
package waf_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"sort"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
	"gatehouse/test/waf/corpus"
	"gatehouse/waf"
)

// policy is the policy that a user has who says no more than its name and
// profile.
func policy(t testing.TB, profile string) *waf.Policy {
	text := fmt.Sprintf(`
listeners: [{name: l, address: "127.0.0.1:8080", protocol: http}]
backendPools: [{name: p, targets: [127.0.0.1]}]
backendSettings: [{name: s}]
rules: [{name: r, listener: l, backendPool: p, backendSettings: s}]
wafPolicy: w
wafPolicies: [{name: w, mode: detection, ruleSet: {profile: %s}}]
`, profile)
	g, _, err := config.ParseGateway("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := waf.Compile(&g.WAFPolicies[0], waf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// judge is what a policy says of a request; a request that the gateway itself
// refuses is refused.
func judge(p *waf.Policy, raw []byte) (blocked bool, why string) {
	i := bytes.Index(raw, []byte("\r\n\r\n")) + 4
	req := &httpmsg.Request{}
	if err := http1.ParseRequest(raw[:i], req, &http1.Limits{HeadBytes: 64 << 10, Fields: 1000, URLBytes: 32 << 10}); err != nil {
		return true, "refused: " + err.Error()
	}
	path, _, err := httpmsg.CanonicalPath(nil, req.Bytes(req.RawPath), httpmsg.PathOptions{})
	if err != nil {
		return true, "refused: " + err.Error()
	}
	req.Path = req.Keep(path)
	addr := netip.MustParseAddrPort("203.0.113.9:40000")
	x, err := p.Explain(req, raw[i:], waf.Client{Addr: addr, Peer: addr, Proto: "HTTP/1.1"})
	if err != nil {
		return true, err.Error()
	}
	for _, f := range x.Matches {
		why += fmt.Sprintf(" %d[%s=%.60q]", f.RuleID, f.Found[0].Variable, f.Found[0].Value)
	}
	return x.Verdict == "block", x.Reason + ":" + why
}

func load(t testing.TB, dir string) []corpus.Request {
	list, err := corpus.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// run judges a corpus and returns the names of what was blocked.
func run(t *testing.T, p *waf.Policy, dir string, show bool) (blocked, passed []string, total int) {
	rules := map[string]int{}
	for _, r := range load(t, dir) {
		total++
		stopped, why := judge(p, r.Raw)
		name := r.Class + "/" + r.Name
		if !stopped {
			passed = append(passed, name)
			continue
		}
		blocked = append(blocked, name)
		for _, w := range strings.Fields(why) {
			if id, _, ok := strings.Cut(w, "["); ok {
				rules[id]++
			}
		}
		if show {
			t.Logf("blocked %s: %s", name, why)
		}
	}
	if show {
		var list []string
		for id, n := range rules {
			list = append(list, fmt.Sprintf("%4d %s", n, id))
		}
		sort.Sort(sort.Reverse(sort.StringSlice(list)))
		t.Log("\n" + strings.Join(list, "\n"))
	}
	return blocked, passed, total
}

func TestShow(t *testing.T) {
	p := policy(t, os.Getenv("PROFILE"))
	b, _, n := run(t, p, "benign/tuning", true)
	t.Logf("tuning: %d of %d blocked", len(b), n)
	b, _, n = run(t, p, "benign/held-out", false)
	t.Logf("held-out: %d of %d blocked", len(b), n)
	b, passed, n := run(t, p, "attacks", false)
	t.Logf("attacks: %d of %d blocked; passed %v", len(b), n, passed)
}
