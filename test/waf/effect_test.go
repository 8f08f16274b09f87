// Package waf_test measures what the default firewall policies let pass and
// what they stop.
package waf_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"net/netip"
	"os"
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
	path, _, err := httpmsg.CanonicalPath(nil, req.Bytes(req.RawPath), httpmsg.PathOptions{KeepEncodedSlash: true})
	if err != nil {
		return true, "refused: " + err.Error()
	}
	req.Path = req.Keep(path)
	addr := netip.MustParseAddrPort("203.0.113.9:40000")
	x, err := p.Explain(req, whole(req, raw[i:]), waf.Client{Addr: addr, Peer: addr, Proto: "HTTP/1.1"}, waf.ExplainOptions{})
	if err != nil {
		return true, err.Error()
	}
	for _, f := range x.Matches {
		if f.Doubt == "" {
			why += fmt.Sprintf(" %d[%s=%.90q %s]", f.RuleID, f.Found[0].Variable, f.Found[0].Value, f.Evidence)
		}
	}
	return x.Verdict == "block", x.Reason + ":" + why
}

// whole is a body without its chunks.
func whole(req *httpmsg.Request, raw []byte) []byte {
	if req.Body != httpmsg.BodyChunked {
		return raw
	}
	data, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
	if err != nil {
		return raw
	}
	return data
}

func load(t testing.TB, dir string) []corpus.Request {
	list, err := corpus.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// run judges a corpus and returns the names of what was blocked, each with
// the reason.
func run(t *testing.T, p *waf.Policy, dir string) (blocked, passed []string) {
	for _, r := range load(t, dir) {
		name := r.Class + "/" + r.Name
		if stopped, why := judge(p, r.Raw); stopped {
			blocked = append(blocked, name+": "+why)
		} else {
			passed = append(passed, name)
		}
	}
	return blocked, passed
}

// TestBenignRequestsPass holds what docs/waf.md says of each profile. The held
// out requests are counted only, lest the profile be tuned for them.
func TestBenignRequestsPass(t *testing.T) {
	for _, tc := range []struct {
		profile         string
		tuning, heldOut int // at most so many are blocked
	}{{"crs", 139, 65}, {"balanced", 13, 17}} {
		t.Run(tc.profile, func(t *testing.T) {
			p := policy(t, tc.profile)
			blocked, _ := run(t, p, "benign/tuning")
			for _, b := range blocked {
				t.Log(b)
			}
			held, _ := run(t, p, "benign/held-out")
			t.Logf("%d for tuning and %d held out are blocked", len(blocked), len(held))
			if len(blocked) > tc.tuning || len(held) > tc.heldOut {
				t.Errorf("%d and %d are blocked, more than %d and %d", len(blocked), len(held), tc.tuning, tc.heldOut)
			}
		})
	}
}

// TestEverydayRequestsPass judges requests that others wrote, who had not seen
// the rules, and what they call attacks. All have been looked at since.
func TestEverydayRequestsPass(t *testing.T) {
	for _, tc := range []struct {
		profile string
		blocked map[string]int // at most, by the set
		caught  int            // attacks, at least
	}{
		{"crs", map[string]int{"first": 121, "second": 146, "third": 119, "fourth": 111, "fifth": 80, "sixth": 119, "seventh": 36, "eighth": 126, "ninth": 96}, 291},
		{"balanced", map[string]int{"first": 2, "second": 9, "third": 10, "fourth": 8, "fifth": 3, "sixth": 8, "seventh": 0, "eighth": 18, "ninth": 4}, 294},
	} {
		t.Run(tc.profile, func(t *testing.T) {
			p := policy(t, tc.profile)
			for dir, most := range tc.blocked {
				blocked, passed := run(t, p, "everyday/"+dir)
				t.Logf("%s: %d of %d are blocked", dir, len(blocked), len(blocked)+len(passed))
				if len(blocked) > most {
					t.Errorf("%s: %d are blocked, more than %d: %v", dir, len(blocked), most, blocked)
				}
			}
			if caught, passed := run(t, p, "everyday/attacks"); len(caught) < tc.caught {
				t.Errorf("%d attacks are caught, fewer than %d; passed: %v", len(caught), tc.caught, passed)
			}
		})
	}
}

// TestAttacksAreCaught sends the attacks to each profile.
func TestAttacksAreCaught(t *testing.T) {
	for _, profile := range []string{"crs", "balanced"} {
		t.Run(profile, func(t *testing.T) {
			if blocked, passed := run(t, policy(t, profile), "attacks"); len(passed) > 0 || len(blocked) < 182 {
				t.Errorf("%d are blocked, and %d pass: %v", len(blocked), len(passed), passed)
			}
		})
	}
}
