package l7

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

func matchOf(t testing.TB, c config.RouteMatch) *Match {
	t.Helper()
	m, err := NewMatch(&c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parsed(t testing.TB, head string) *httpmsg.Request {
	t.Helper()
	q := &httpmsg.Request{}
	if err := http1.ParseRequest([]byte(head), q, &http1.Limits{HeadBytes: 8 << 10, Fields: 100, URLBytes: 8 << 10}); err != nil {
		t.Fatal(err)
	}
	return q
}

type values = []config.ValueMatch

func TestMatch(t *testing.T) {
	for _, w := range []struct {
		match config.RouteMatch
		send  string
		want  bool
	}{
		{config.RouteMatch{}, get("/"), true},
		{config.RouteMatch{Methods: []string{"GET", "HEAD"}}, get("/"), true},
		{config.RouteMatch{Methods: []string{"POST"}}, get("/"), false},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: "b"}}}, get("/", "x-a: b"), true},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: "b"}}}, get("/", "x-a: B"), false},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: "b"}}}, get("/"), false},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: ""}}}, get("/"), false},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: ""}}}, get("/", "X-A:"), true},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: "b"}}}, get("/", "X-A: b", "X-A: c"), false},
		{config.RouteMatch{Headers: values{{Name: "X-A", Value: "b, c"}}}, get("/", "X-A: b", "Y: z", "x-a: c"), true},
		{config.RouteMatch{Headers: values{{Name: "X-A", Pattern: "^b"}}}, get("/", "X-A: bc"), true},
		{config.RouteMatch{Headers: values{{Name: "X-A", Pattern: "^B", IgnoreCase: true}, {Name: "X-B", Value: "c"}}}, get("/", "X-A: bc"), false},
		{config.RouteMatch{Headers: values{{Name: "X-Forwarded-Proto", Value: "https"}}}, get("/", "X-Forwarded-Proto: https"), false},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?a=b"), true},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?x=y&a=b&a=c"), true},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?a=c&a=b"), false},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?%61=%62"), true},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?a=bc"), false},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/?ab=b"), false},
		{config.RouteMatch{Query: values{{Name: "a", Value: "b"}}}, get("/"), false},
		{config.RouteMatch{Query: values{{Name: "a", Value: ""}}}, get("/?a"), true},
		{config.RouteMatch{Query: values{{Name: "a", Value: ""}}}, get("/?"), false},
		{config.RouteMatch{Query: values{{Name: "a b", Value: "c%d e&"}}}, get("/?a+b=c%d%20e%26"), true},
		{config.RouteMatch{Query: values{{Name: "a", Pattern: "^x y$"}}}, get("/?a=x%20y"), true},
		{config.RouteMatch{Query: values{{Name: "a", Pattern: "^x y$"}}}, get("/?a=x%2520y"), false},
	} {
		if got := matchOf(t, w.match).holds(parsed(t, w.send), false); got != w.want {
			t.Errorf("%+v on %q: %t", w.match, w.send, got)
		}
	}
	if !matchOf(t, config.RouteMatch{Headers: values{{Name: "X-Forwarded-Proto", Value: "https"}}}).holds(parsed(t, get("/", "X-Forwarded-Proto: https")), true) {
		t.Error("a trusted proxy is not believed")
	}
}

// The order of the Gateway API's HTTPRouteRule.
func TestTheMostSpecificFirst(t *testing.T) {
	get, one, two := config.RouteMatch{Methods: []string{"GET"}}, config.RouteMatch{Headers: values{{Name: "A", Value: "1"}}}, config.RouteMatch{Headers: values{{Name: "A", Value: "1"}, {Name: "B", Value: "1"}}}
	query := config.RouteMatch{Query: values{{Name: "q", Value: "1"}}}
	m := NewPathMap(&Target{PathRule: "rest"})
	for _, e := range []struct {
		pattern, name string
		match         config.RouteMatch
	}{{"/*", "short", config.RouteMatch{}}, {"/a/*", "plain", config.RouteMatch{}}, {"/a/*", "query", query}, {"/a/*", "one", one}, {"/a/*", "two", two},
		{"/a/*", "get", get}, {"/a/b", "exact", query}, {"/a/*", "late", config.RouteMatch{}}, {"/a/longer*", "longer", config.RouteMatch{}}} {
		m.Add(e.pattern, matchOf(t, e.match), &Target{PathRule: e.name})
	}
	for _, order := range []string{"listed", "specific"} {
		for _, w := range []struct{ method, target, lines, listed, specific string }{
			{"GET", "/a/x", "A: 1|B: 1", "short", "get"}, {"PUT", "/a/x", "A: 1|B: 1", "short", "two"}, {"PUT", "/a/x?q=1", "A: 1", "short", "one"},
			{"PUT", "/a/x?q=1", "", "short", "query"}, {"PUT", "/a/x", "", "short", "plain"}, {"GET", "/a/b?q=1", "", "short", "exact"}, {"PUT", "/a/b", "", "short", "plain"},
			{"GET", "/a/longer/x", "", "short", "longer"}, {"GET", "/b", "", "short", "short"},
		} {
			var lines []string
			if w.lines != "" {
				lines = strings.Split(w.lines, "|")
			}
			q := parsed(t, request(w.method, w.target, lines...))
			want := map[string]string{"listed": w.listed, "specific": w.specific}[order]
			if got, _ := m.Find(q, q.Bytes(q.RawPath), false); got.PathRule != want {
				t.Errorf("%s: %s %s %s leads to %s, want %s", order, w.method, w.target, w.lines, got.PathRule, want)
			}
		}
		m.MostSpecificFirst()
	}
}

// What a request without the parameters of its path would match decides
// whether it is ambiguous.
func TestMatchesAndParameters(t *testing.T) {
	m := NewPathMap(&Target{})
	m.Add("/admin/*", matchOf(t, config.RouteMatch{Methods: []string{"POST"}}), &Target{})
	for method, want := range map[string]bool{"POST": true, "GET": false} {
		q := parsed(t, request(method, "/admin;x/y"))
		if _, ambiguous := m.Find(q, q.Bytes(q.RawPath), false); ambiguous != want {
			t.Errorf("%s: ambiguous %t", method, ambiguous)
		}
	}
}

func TestMatchesAllocateNothing(t *testing.T) {
	m := matchOf(t, config.RouteMatch{Methods: []string{"GET"}, Headers: values{{Name: "A", Value: "1"}, {Name: "B", Pattern: "^x"}}, Query: values{{Name: "q", Value: "a b"}}})
	q := parsed(t, get("/?x=y&q=a%20b", "A: 1", "B: xy"))
	if n := testing.AllocsPerRun(100, func() {
		if !m.holds(q, false) {
			t.Fatal("no match")
		}
	}); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}

// Forwarding fields route by the trust of the peer, in a whole gateway.
func TestRequestsAreRoutedByFields(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		b := testkit.NewBackend(t, nil)
		s := setup{backends: []*testkit.Backend{b}}
		s.listener = func(l *Listener) {
			special := *l.Target
			settings := l.Target.Settings.BackendSettings
			settings.HostName = "secure"
			special.Settings = NewSettings(settings, "main")
			l.Paths = NewPathMap(l.Target)
			l.Target = nil
			l.Paths.Add("/*", matchOf(t, config.RouteMatch{Headers: values{{Name: "X-Forwarded-Proto", Value: "https"}}}), &special)
		}
		s.snapshot = func(snap *Snapshot) {
			if trusted {
				snap.Trusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
			}
		}
		g := start(t, s)
		if e := echoOf(t, g, get("/", "X-Forwarded-Proto: https")); (e.Get("Host") == "secure") != trusted {
			t.Errorf("trusted %t: went to %s", trusted, e.Get("Host"))
		}
	}
}

// FuzzQueryMatch compares with a plain reading of a query.
func FuzzQueryMatch(f *testing.F) {
	f.Add("a=b&c=d", "c", "d")
	f.Add("%61=+x%", "a", " x%")
	f.Fuzz(func(t *testing.T, query, name, value string) {
		want, ok := firstParameter(query, name)
		m := valueMatch{name: name, value: value}
		if got := m.inQuery([]byte(query)); got != (ok && want == value) {
			t.Errorf("%q of %q: %t, it is %q (%t)", name, query, got, want, ok)
		}
	})
}

// firstParameter reads a query plainly.
func firstParameter(query, name string) (value string, ok bool) {
	if query == "" {
		return "", false
	}
	for _, pair := range strings.Split(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if plainly(k) == name {
			return plainly(v), true
		}
	}
	return "", false
}

// plainly decodes what can be decoded.
func plainly(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && s[i+1] != '+' && s[i+1] != '-' {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		if s[i] == '+' {
			b.WriteByte(' ')
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
