package cache

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw with one cache before one backend, but for /plain.
type gateway struct {
	t       *testing.T
	backend *testkit.Backend
	file    string
	web     string
	admin   string
}

const usual = "{name: pages, maxBytes: 1MiB, maxObjectBytes: 256KiB}"

func start(t *testing.T, h testkit.Handler) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{t: t, backend: testkit.NewBackend(t, h), file: filepath.Join(dir, "appgw.yaml"), web: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
	testkit.Replace(t, g.file, g.config(usual))
	output := filepath.Join(dir, "output")
	p := testkit.Start(t, exec.Command("/bin/sh", "-c", `exec "$0" run -c "$1" >"$2" 2>&1`, testkit.Build(t, "./cmd/appgw", "-race"), g.file, output))
	t.Cleanup(func() {
		if p.Running() {
			p.Stop(soon)
		}
		text, _ := os.ReadFile(output)
		for _, trouble := range []string{"DATA RACE", "panic", "fatal error"} {
			if strings.Contains(string(text), trouble) {
				t.Errorf("%q in the output:\n%s", trouble, text[max(0, len(text)-8<<10):])
			}
		}
	})
	p.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

func (g *gateway) config(cache string) string {
	return fmt.Sprintf(`admin: {address: %q}
logs: {access: {format: "off"}}
listeners: [{name: web, address: %q, http2: true}]
backendPools: [{name: app, targets: [%q]}]
backendSettings: [{name: plain, probe: "off"}]
caches: [%s]
pathMaps:
  - name: site
    default: {backendPool: app, backendSettings: plain, cache: pages}
    paths: [{paths: [/plain], backendPool: app, backendSettings: plain}]
rules: [{name: site, listener: web, pathMap: site}]
`, g.admin, g.web, g.backend.Addr, cache)
}

// reload has the gateway read another configuration.
func (g *gateway) reload(cache string) {
	g.t.Helper()
	testkit.Replace(g.t, g.file, g.config(cache))
	if status, text := g.post("/reload"); status != 200 {
		g.t.Fatalf("reload: %d %s", status, text)
	}
}

func (g *gateway) post(path string) (status int, body string) {
	g.t.Helper()
	r, err := http.Post("http://"+g.admin+path, "", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

// get asks for a page and returns the body and what the cache did.
func (g *gateway) get(target string, lines ...string) (body, did string) {
	g.t.Helper()
	r := testkit.Get(g.t, g.web, "shop.test", target, lines...)
	return string(r.Content), strings.TrimPrefix(r.Get("Cache-Status"), "gatehouse; ")
}

// want asks for a page.
func (g *gateway) want(target, body, did string) {
	g.t.Helper()
	if b, d := g.get(target); b != body || !strings.HasPrefix(d, did) {
		g.t.Errorf("%s: %.60q, %q; want %.60q, %q", target, b, d, body, did)
	}
}

// appgw runs a command beside the gateway.
func (g *gateway) appgw(args ...string) string {
	g.t.Helper()
	out, err := exec.CommandContext(g.t.Context(), testkit.Build(g.t, "./cmd/appgw", "-race"), append(args, "--admin", g.admin)...).CombinedOutput()
	if err != nil {
		g.t.Errorf("appgw %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// counted waits until that many requests are counted: they are when their responses have left.
func (g *gateway) counted(result string, n int) {
	g.t.Helper()
	line := fmt.Sprintf("gatehouse_cache_requests_total{cache=\"pages\",result=%q} %d\n", result, n)
	testkit.Eventually(g.t, soon, line, func() bool {
		r, err := http.Get("http://" + g.admin + "/metrics")
		if err != nil {
			g.t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(text), line)
	})
}

// counting answers with the number of the request.
func counting(fields ...string) testkit.Handler {
	var n atomic.Int64
	return func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, 200, fmt.Sprint(n.Add(1)), fields...)
	}
}

func TestPurgeByCommandAndEndpoint(t *testing.T) {
	g := start(t, counting("Cache-Control: max-age=600"))
	fill := func() {
		for _, target := range []string{"/a", "/a?b", "/img/1", "/img/2", "/plain"} {
			g.get(target)
		}
	}
	purge := func(want string, args ...string) {
		t.Helper()
		fill()
		want += map[bool]string{true: " response removed\n", false: " responses removed\n"}[want == "1"]
		if out := g.appgw(append([]string{"cache", "purge"}, args...)...); out != want {
			t.Errorf("purge %v: %q, want %s", args, out, want)
		}
	}
	purge("1", "--url", "http://shop.test/a?b")
	purge("1", "--url", "http://SHOP.test:80/x/../a")
	purge("0", "--url", "https://shop.test/a")
	purge("2", "--prefix", "http://shop.test/img/")
	purge("4", "--host", "shop.test", "--cache", "pages")
	purge("4", "--all")
	g.want("/plain", "19", "") // one that has no cache was asked for each time
	for path, want := range map[string]int{"": 400, "?url=/a": 400, "?url=http://a/&all=true": 400, "?all=no": 400, "?prefix=http://a/?b": 400, "?all=true&cache=other": 404, "?all=true": 200} {
		if status, text := g.post("/cache/purge" + path); status != want {
			t.Errorf("POST /cache/purge%s: %d %s, want %d", path, status, text, want)
		}
	}
}

func TestStatsAndMetrics(t *testing.T) {
	g := start(t, counting("Cache-Control: max-age=600"))
	g.want("/", "1", "fwd=miss; stored")
	g.want("/", "1", "hit")
	g.counted("hit", 1)
	if out := g.appgw("cache", "stats"); !strings.Contains(out, "pages") || !strings.Contains(out, "CACHE") {
		t.Errorf("stats:\n%s", out)
	}
	var all []struct {
		Name     string
		Bytes    int64
		Entries  int
		Requests map[string]int
	}
	if err := json.Unmarshal([]byte(g.appgw("cache", "stats", "--json")), &all); err != nil || len(all) != 1 || all[0].Entries != 1 || all[0].Requests["hit"] != 1 || all[0].Bytes < 100 {
		t.Errorf("%v: %+v", err, all)
	}
	if out := g.appgw("status"); !strings.Contains(out, "CACHE  RESPONSES") {
		t.Errorf("status:\n%s", out)
	}
	r, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	for _, line := range []string{`gatehouse_cache_requests_total{cache="pages",result="hit"} 1`, `gatehouse_cache_requests_total{cache="pages",result="miss"} 1`,
		`gatehouse_cache_entries{cache="pages"} 1`, `gatehouse_cache_max_bytes{cache="pages"} 1.048576e+06`, `gatehouse_cache_stores_total{cache="pages"} 1`} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no metric %s", line)
		}
	}
}

func TestAReloadKeepsWhatItMay(t *testing.T) {
	g := start(t, counting("Cache-Control: max-age=600"))
	g.want("/", "1", "fwd=miss")
	g.reload("{name: pages, maxBytes: 2MiB, maxObjectBytes: 128KiB, staleIfError: 1h}")
	g.want("/", "1", "hit") // another size
	g.reload("{name: pages, key: {query: none}}")
	g.want("/", "2", "fwd=miss") // other keys
	g.want("/?any", "2", "hit")
	g.reload("{name: pages, maxBytes: 64KiB, maxObjectBytes: 64KiB, key: {query: none}}")
	g.want("/", "2", "hit")
	if status, _ := g.post("/reload"); status != 200 {
		t.Errorf("reload: %d", status)
	}
	testkit.Replace(t, g.file, g.config("{name: pages, maxBytes: 1KiB}"))
	if status, text := g.post("/reload"); status != 422 || !strings.Contains(text, "caches[0].maxBytes") {
		t.Errorf("a wrong size: %d %s", status, text)
	}
	g.want("/", "2", "hit")
}

// Everything at once, for the race detector: many clients of few pages of all
// kinds in a cache that is too small for them, with purges and reloads.
func TestManyClientsAtOnce(t *testing.T) {
	big := testkit.Pattern(100 << 10)
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		path, _, _ := strings.Cut(r.Target, "?")
		switch {
		case r.Method == "POST":
			c.Respond(r, 200, "posted")
		case strings.HasPrefix(path, "/big"):
			c.Respond(r, 200, path+big, "Cache-Control: max-age=1")
		case strings.HasPrefix(path, "/own"):
			c.Respond(r, 200, path, "Cache-Control: private")
		case strings.HasPrefix(path, "/swr"):
			c.Respond(r, 200, path, "Cache-Control: max-age=0, stale-while-revalidate=60", `ETag: "x"`)
		case r.Get("If-None-Match") != "":
			c.Send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")
		default:
			c.Respond(r, 200, path, "Cache-Control: no-cache", `ETag: "x"`, "Vary: Accept")
		}
	})
	var all sync.WaitGroup
	end := time.Now().Add(4 * time.Second)
	for worker := range 16 {
		all.Go(func() {
			client := &http.Client{Timeout: soon, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; time.Now().Before(end); n++ {
				path := []string{"/big", "/own", "/swr", "/tag"}[(worker+n)%4] + fmt.Sprint(n%20)
				q, _ := http.NewRequest("GET", "http://"+g.web+path, nil)
				q.Header.Set("Accept", fmt.Sprint(worker%3))
				want := path
				switch {
				case n%31 == 0:
					q.Method, want = "POST", "posted"
				case n%7 == 0:
					q.Header.Set("Cache-Control", "no-cache")
				}
				if strings.HasPrefix(path, "/big") && q.Method == "GET" {
					want += big
				}
				r, err := client.Do(q)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || string(body) != want || r.StatusCode != 200 {
					t.Errorf("%s %s: %d %v, %d bytes %.50q", q.Method, path, r.StatusCode, err, len(body), body)
					return
				}
			}
		})
	}
	for n := 0; time.Now().Before(end); n++ {
		time.Sleep(300 * time.Millisecond)
		g.post("/cache/purge?all=true")
		if n%3 == 0 {
			g.reload(fmt.Sprintf("{name: pages, maxBytes: %dKiB, maxObjectBytes: 256KiB}", 512+n%2*512))
		}
	}
	all.Wait()
}
