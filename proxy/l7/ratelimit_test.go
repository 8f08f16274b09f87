package l7

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/testkit"
	"net/netip"
)

// limit is a rate limit that hardly gives anything back while a test runs.
func limit(burst int, change func(*config.ClientRateLimit)) *RateLimit {
	c := config.ClientRateLimit{Name: "few", Requests: 1, Per: time.Hour, Burst: burst, IPv6Bits: 64, Keys: 1000}
	if change != nil {
		change(&c)
	}
	return NewRateLimit(c, nil)
}

// limited runs a gateway whose listener has rate limits.
func limited(t *testing.T, trusted string, limits ...*RateLimit) *gateway {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	return start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) { l.RateLimits = limits }, snapshot: func(s *Snapshot) {
		if trusted != "" {
			s.Trusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix(trusted)})
		}
	}})
}

func TestWhoIsOverARateLimitIsToldWhenToComeBack(t *testing.T) {
	g := limited(t, "", limit(2, nil))
	c := testkit.Dial(t, g.addr)
	for range 2 {
		if r := ask(t, c, get("/"), 200); r.Get("RateLimit") != "" {
			t.Error("what passes is told without headers: true")
		}
	}
	r := ask(t, c, get("/over"), 429)
	for name, want := range map[string]string{"RateLimit-Policy": `"few";q=1;w=3600`, "RateLimit": `"few";r=0;t=3600`, "Retry-After": "3600", "Cache-Control": "no-store"} {
		if got := r.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if l := g.lineOf(t, "/over"); l.text("reason") != "rate limit few" {
		t.Errorf("the log says %v", l)
	}
	if s := g.listener.RateLimits[0].Limiter.Stats(); s.Passed != 2 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWhatPassesIsToldWhatIsLeft(t *testing.T) {
	headers := func(c *config.ClientRateLimit) { c.Headers = true }
	second := limit(1, func(c *config.ClientRateLimit) { c.Name, c.Headers = "second", true })
	g := limited(t, "", limit(2, headers), second)
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/"), 200)
	if got := r.Get("RateLimit"); got != `"few";r=1;t=3600, "second";r=0;t=3600` {
		t.Errorf("RateLimit: %q", got)
	}
	if got := r.Get("Retry-After"); got != "" {
		t.Errorf("Retry-After: %q", got)
	}
	if r := ask(t, c, get("/"), 429); !strings.Contains(r.Get("RateLimit"), `"second";r=0`) {
		t.Errorf("RateLimit: %q", r.Get("RateLimit"))
	}
}

func TestWhatCountsTogether(t *testing.T) {
	on := func(on config.LimitOn, name string) func(*config.ClientRateLimit) {
		return func(c *config.ClientRateLimit) { c.Key = config.LimitKey{On: on, Name: name} }
	}
	tests := []struct {
		name    string
		trusted string
		key     func(*config.ClientRateLimit)
		ask     []string // one after the other: path or field
		want    []int
	}{
		{"client", "", on(config.LimitByClientAddr, ""), []string{"/a", "/b"}, []int{200, 429}},
		{"strangers say who they are", "", on(config.LimitByClientAddr, ""), []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"}, []int{200, 429}},
		{"a trusted proxy says who they are", "127.0.0.0/8", on(config.LimitByClientAddr, ""),
			[]string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-For: 192.0.2.1"}, []int{200, 200, 429}},
		{"IPv6 networks", "127.0.0.0/8", on(config.LimitByClientAddr, ""),
			[]string{"X-Forwarded-For: 2001:db8::1", "X-Forwarded-For: 2001:db8::2", "X-Forwarded-For: 2001:db8:0:1::2"}, []int{200, 429, 200}},
		{"path", "", on(config.LimitByPath, ""), []string{"/a", "/b", "/x/../a", "/%61?q"}, []int{200, 200, 429, 429}},
		{"listener", "", on(config.LimitByListener, ""), []string{"/a", "/b"}, []int{200, 429}},
		{"field", "", on(config.LimitByHeader, "X-Key"), []string{"X-Key: 1", "x-key: 2", "X-KEY: 1", "/none", "X-Key: ", "/none"}, []int{200, 200, 429, 200, 429, 429}},
		{"a proxy's field of strangers", "", on(config.LimitByHeader, "X-Real-IP"), []string{"X-Real-IP: 1", "X-Real-IP: 2"}, []int{200, 429}},
		{"cookie", "", on(config.LimitByCookie, "u"), []string{"Cookie: a=b; u=1", "Cookie: u=2", "Cookie: u=1"}, []int{200, 200, 429}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := limited(t, tt.trusted, limit(1, tt.key))
			var got []int
			for _, what := range tt.ask {
				text := get(what)
				if what[0] != '/' {
					text = get("/", what)
				}
				c := testkit.Dial(t, g.addr)
				c.Send(text)
				r, _ := c.ReadFinal("GET")
				got = append(got, r.StatusCode)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestALimitThatListenerAndRuleNameCountsARequestOnce(t *testing.T) {
	few := limit(2, func(c *config.ClientRateLimit) { c.Headers = true })
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	g := start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) {
		l.RateLimits = []*RateLimit{few}
		l.Target.RateLimits = []*RateLimit{few}
	}})
	c := testkit.Dial(t, g.addr)
	if got := ask(t, c, get("/"), 200).Get("RateLimit"); got != `"few";r=1;t=3600` {
		t.Errorf("RateLimit: %q", got)
	}
	ask(t, c, get("/"), 200)
	ask(t, c, get("/"), 429)
}

func TestADryRunOnlyLogs(t *testing.T) {
	g := limited(t, "", limit(1, func(c *config.ClientRateLimit) { c.DryRun = true }))
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/1"), 200)
	ask(t, c, get("/2"), 200)
	if l := g.lineOf(t, "/2"); l.text("reason") != "over rate limit few, which refuses nothing (dryRun)" {
		t.Errorf("the log says %v", l)
	}
	if l := g.lineOf(t, "/1"); l.text("reason") != "" {
		t.Errorf("the log says %v", l)
	}
}

// A limit comes before the firewall, and before a redirect.
func TestARateLimitIsAskedBeforeStages(t *testing.T) {
	b := testkit.NewBackend(t, testkit.Respond(200, "ok"))
	seen := 0
	maker := &counting{begun: &seen}
	g := start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) {
		t.RateLimits, t.Stages = []*RateLimit{limit(1, nil)}, []StageMaker{maker}
	}})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	ask(t, c, get("/"), 429)
	if seen != 1 {
		t.Errorf("stages of %d requests were made, want 1", seen)
	}
	g = start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) {
		t.RateLimits, t.Redirect = []*RateLimit{limit(1, nil)}, &Redirect{Status: 308, Scheme: "https", Host: "there.test"}
	}})
	c = testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 308)
	ask(t, c, get("/"), 429)
}

// counting counts requests and sees nothing of them.
type counting struct{ begun *int }

func (m *counting) Begin(Client) Stage { *m.begun++; return nil }

func TestALimitOfTheSameNameGoesOnAfterAReload(t *testing.T) {
	old := limit(1, nil)
	old.Limiter.Allow(old.Limiter.Name("k"), 0)
	if a := NewRateLimit(old.conf, old).Limiter.Allow(old.Limiter.Name("k"), 0); a.OK {
		t.Error("it begins anew")
	}
	other := old.conf
	other.Key.On = config.LimitByPath
	l := NewRateLimit(other, old)
	if a := l.Limiter.Allow(l.Limiter.Name("k"), 0); !a.OK {
		t.Error("keys of two kinds are counted together")
	}
}

func TestARateLimitedRequestAllocatesNothing(t *testing.T) {
	const most = 0.1
	all := limit(1, func(c *config.ClientRateLimit) {
		c.Requests, c.Per, c.Burst, c.Headers = 1_000_000, time.Second, 1_000_000, true
	})
	for _, on := range []config.LimitOn{config.LimitByClientAddr, config.LimitByHeader, config.LimitByCookie, config.LimitByPath, config.LimitByListener} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			l := limit(1, func(c *config.ClientRateLimit) {
				c.Requests, c.Per, c.Burst, c.Key = 1_000_000, time.Second, 1_000_000, config.LimitKey{On: on, Name: "c"}
			})
			each, last := allocations(t, setup{target: func(t *Target) { t.RateLimits = []*RateLimit{l, all} }})
			if each > most || !strings.Contains(last, "RateLimit: \"few\";r=") {
				t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
			}
		})
	}
}
