package operator

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

func TestHealthAndReadiness(t *testing.T) {
	g := start(t, "off", "")
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, text := g.ask(t, http.MethodGet, path, nil); status != 200 || text != want {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	// While it drains the process is alive and not ready.
	g.change(t, "drain: 1s", "drain: 1m")
	release := make(chan struct{})
	g.main.Handle(func(c *testkit.Conn, r *testkit.Request) {
		select {
		case <-release:
		case <-c.Done():
		}
		c.Respond(r, 200, "0123456789")
	})
	c := testkit.Dial(t, g.web)
	c.Send("GET /held HTTP/1.1\r\nHost: web.test\r\n\r\n")
	g.expectMetrics(t, map[string]float64{`gatehouse_requests_in_flight{listener="web"}`: 1})
	g.Signal(syscall.SIGTERM)
	g.WaitLine(`"msg":"draining"`, soon)
	testkit.Eventually(t, soon, "/readyz to say so", func() bool {
		status, text := g.ask(t, http.MethodGet, "/readyz", nil)
		return status == 503 && text == "draining\n"
	})
	if status, _ := g.ask(t, http.MethodGet, "/healthz", nil); status != 200 {
		t.Errorf("/healthz while draining: %d", status)
	}
	close(release)
	if r := c.ReadResponse("GET"); string(r.Content) != "0123456789" {
		t.Errorf("the request under way got %q", r.Content)
	}
}

func TestStatusIsJSON(t *testing.T) {
	g := start(t, "off", "")
	g.get(t, "web.test", "/")
	status, text := g.ask(t, http.MethodGet, "/status", nil)
	var s struct {
		Version   string
		File      string
		Reloads   struct{ Outcome, Trigger string }
		Listeners []struct{ Name, Address, Protocol string }
		Pools     []struct{ Pool, Settings string }
	}
	if err := json.Unmarshal([]byte(text), &s); status != 200 || err != nil {
		t.Fatalf("%d %v %s", status, err, text)
	}
	if s.File != "appgw.yaml" || s.Reloads.Outcome != "applied" || len(s.Listeners) != 7 || len(s.Pools) != 5 || s.Listeners[0].Address != g.web {
		t.Errorf("status: %+v", s)
	}
	status, text = g.ask(t, http.MethodGet, "/backends", nil)
	var pools []struct {
		Backends []struct{ Name, State, Reason, Since string }
	}
	if err := json.Unmarshal([]byte(text), &pools); status != 200 || err != nil || len(pools) != 5 {
		t.Fatalf("%d %v %s", status, err, text)
	}
	for _, p := range pools {
		for _, b := range p.Backends {
			if b.Name == "" || b.State == "" || b.Reason == "" && b.State != "healthy" || b.Since == "" {
				t.Errorf("backend %+v", b)
			}
		}
	}
}

func TestReloadAnswersWithEveryError(t *testing.T) {
	g := start(t, "off", "")
	good := g.read(t)
	if status, text := g.ask(t, http.MethodPost, "/reload", nil); status != 200 || !strings.Contains(text, "applied") {
		t.Errorf("%d %s", status, text)
	}
	g.write(t, strings.NewReplacer("attempts: 0", "attempts: many", "timeout: 1s", "timeout: never").Replace(good))
	status, text := g.ask(t, http.MethodPost, "/reload", nil)
	var f struct {
		Error  string
		Errors []string
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil || status != 422 {
		t.Fatalf("%d %v %s", status, err, text)
	}
	if len(f.Errors) != 2 || !strings.HasPrefix(f.Errors[0], "appgw.yaml:26: ") || !strings.HasPrefix(f.Errors[1], "appgw.yaml:30: ") {
		t.Errorf("errors: %q", f.Errors)
	}
}

func TestDrainNeedsAKnownBackend(t *testing.T) {
	g := start(t, "off", "")
	for path, want := range map[string]int{
		"/drain": 400, "/drain?backend=10.9.9.9:1": 404, "/undrain?backend=": 400, "/undrain?backend=10.9.9.9:1": 404,
		"/drain?backend=" + g.main.Addr: 200, "/undrain?backend=" + g.main.Addr: 200,
	} {
		if status, text := g.ask(t, http.MethodPost, path, nil); status != want {
			t.Errorf("POST %s: %d %s, want %d", path, status, text, want)
		}
	}
}

// What changes something is not reached by a link.
func TestActionsNeedPOST(t *testing.T) {
	g := start(t, "off", "")
	for _, path := range []string{"/reload", "/drain?backend=" + g.main.Addr, "/undrain?backend=" + g.main.Addr, "/upgrade"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			if status, _ := g.ask(t, method, path, nil); status != 405 {
				t.Errorf("%s %s: %d, want 405", method, path, status)
			}
		}
	}
	if status, _ := g.ask(t, http.MethodPost, "/status", nil); status != 405 {
		t.Errorf("POST /status: %d", status)
	}
}

// A page of another site can send requests here, also under a name that it lets resolve to 127.0.0.1.
func TestOtherSitesAreRefused(t *testing.T) {
	g := start(t, "off", "")
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	tests := []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"as it is", nil, 200},
		{"localhost", host("localhost:9901"), 200},
		{"IPv6", host("[::1]:9901"), 200},
		{"own page", set("Origin", "http://"+g.admin), 200},
		{"rebound name", host("evil.test"), 403},
		{"rebound name with port", host("evil.test:9901"), 403},
		{"name that begins well", host("localhost.evil.test"), 403},
		{"other site", set("Origin", "http://evil.test"), 403},
		{"null origin", set("Origin", "null"), 403},
		{"other port of this machine", set("Origin", "http://127.0.0.1:1"), 403},
		{"cross-site", set("Sec-Fetch-Site", "cross-site"), 403},
		{"same-site", set("Sec-Fetch-Site", "same-site"), 403},
		{"typed in", set("Sec-Fetch-Site", "none"), 200},
	}
	for _, tt := range tests {
		for method, path := range map[string]string{http.MethodGet: "/status", http.MethodPost: "/reload"} {
			if status, text := g.ask(t, method, path, tt.change); status != tt.want {
				t.Errorf("%s: %s %s: %d %s, want %d", tt.name, method, path, status, text, tt.want)
			}
		}
	}
}

func TestProfilesAreForTheOperator(t *testing.T) {
	public := testkit.FreeAddr(t)
	g := start(t, "off", "metrics: {address: \""+public+"\"}\n")
	if status, text := g.ask(t, http.MethodGet, "/debug/pprof/goroutine?debug=1", nil); status != 200 || !strings.Contains(text, "goroutine profile") {
		t.Errorf("pprof at the admin address: %d", status)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, _ := askAt(t, public, http.MethodGet, path, func(r *http.Request) { r.Host = "any.test" }); status != 200 {
			t.Errorf("%s at the metrics address: %d", path, status)
		}
	}
	for _, path := range []string{"/", "/status", "/backends", "/debug/pprof/", "/debug/pprof/cmdline", "/reload", "/drain", "/undrain", "/upgrade"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if status, _ := askAt(t, public, method, path, nil); status != 404 {
				t.Errorf("%s %s at the metrics address: %d, want 404", method, path, status)
			}
		}
	}
	if status, _ := askAt(t, public, http.MethodPost, "/metrics", nil); status != 405 {
		t.Errorf("POST /metrics: %d", status)
	}
}

// The operator's page has what the endpoints are, and no name from the configuration becomes HTML.
func TestIndexPage(t *testing.T) {
	g := start(t, "off", "")
	status, text := g.ask(t, http.MethodGet, "/", nil)
	if status != 200 {
		t.Fatalf("%d", status)
	}
	for _, want := range []string{"/healthz", "/readyz", "/metrics", "/status", "/backends", "/reload", "/drain", "/undrain", "/upgrade", "/debug/pprof/", "Serving."} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "<script") {
		t.Error("a script on the operator's page")
	}
}
