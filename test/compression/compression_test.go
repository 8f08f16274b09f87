package compression

import (
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// body compresses, and is longer than one piece.
var body = strings.Repeat("a line of text that is there many times\n", 5000)

type gateway struct {
	proc                       *testkit.Process
	admin, plain, secure, file string
	ca                         *testkit.CA
	backend                    *testkit.Backend
}

// start runs appgw: /raw/* is not compressed.
func start(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{admin: testkit.FreeAddr(t), plain: testkit.FreeAddr(t), secure: testkit.FreeAddr(t), ca: testkit.NewCA(t)}
	g.backend = testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		text := body
		if strings.HasSuffix(r.Target, "short") {
			text = "short"
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nContent-Length: " + fmt.Sprint(len(text)) + "\r\n\r\n" + text)
	})
	g.file = filepath.Join(t.TempDir(), "appgw.yaml")
	g.write(t, "gzip")
	g.proc = testkit.Start(t, exec.Command(testkit.Build(t, "./cmd/appgw", "-race"), "run", "-c", g.file))
	t.Cleanup(func() {
		if g.proc.Running() {
			g.proc.Stop(soon)
		}
	})
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

func (g *gateway) write(t *testing.T, encoding string) {
	cert := g.ca.Server("shop.test")
	testkit.Replace(t, g.file, fmt.Sprintf(`
admin: {address: %s}
logs: {access: {output: %s}}
compressionPolicies: [{name: web, encodings: [%s]}]
listeners:
  - {name: plain, address: %q, compression: web}
  - {name: secure, address: %q, protocol: https, http2: true, compression: web, tls: {certificates: [{certFile: %s, keyFile: %s}]}}
backendPools: [{name: app, targets: [%q]}]
backendSettings: [{name: app, probe: "off"}]
pathMaps:
  - name: site
    default: {backendPool: app, backendSettings: app}
    paths: [{paths: [/raw/*], backendPool: app, backendSettings: app, compression: "off"}]
rules:
  - {name: plain, listener: plain, pathMap: site}
  - {name: secure, listener: secure, pathMap: site}
`, g.admin, os.DevNull, encoding, g.plain, g.secure, cert.CertFile, cert.KeyFile, g.backend.Addr))
}

// get asks by a client of net/http's that leaves encodings alone.
func (g *gateway) get(t *testing.T, method, url, accept string) (*http.Response, string) {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: g.ca.ClientConfig("shop.test")}
	defer tr.CloseIdleConnections()
	tr.TLSClientConfig.NextProtos = nil
	tr.TLSClientConfig.MinVersion = tls.VersionTLS12
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	resp, err := (&http.Client{Transport: tr, Timeout: soon}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" && method != "HEAD" {
		if from, err = gzip.NewReader(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestCompressionOverBothProtocols(t *testing.T) {
	g := start(t)
	for _, at := range []struct {
		name, url string
		major     int
	}{{"HTTP/1.1", "http://" + g.plain, 1}, {"HTTP/2", "https://" + g.secure, 2}} {
		t.Run(at.name, func(t *testing.T) {
			r, text := g.get(t, "GET", at.url+"/", "gzip")
			if r.ProtoMajor != at.major || text != body || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("ETag") != `W/"a"` || r.ContentLength >= 0 {
				t.Errorf("%s, %d bytes, %v", r.Proto, len(text), r.Header)
			}
			if r, text = g.get(t, "GET", at.url+"/", ""); text != body || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("who does not ask gets %d bytes, %v", len(text), r.Header)
			}
			if r, text = g.get(t, "GET", at.url+"/raw/a", "gzip"); text != body || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Vary") != "" {
				t.Errorf("where it is off: %v", r.Header)
			}
			if r, text = g.get(t, "GET", at.url+"/short", "gzip"); text != "short" || r.Header.Get("Content-Encoding") != "" {
				t.Errorf("a short one: %v", r.Header)
			}
		})
	}
	// What a response counts is counted when it has left.
	for _, want := range []string{`gatehouse_compressed_responses_total{encoding="gzip"} 2`, `gatehouse_compression_input_bytes_total{encoding="gzip"} 400000`,
		`gatehouse_compression_skipped_total{reason="short"} 2`, `gatehouse_compression_skipped_total{reason="not_accepted"} 2`, "gatehouse_compression_encoders 0"} {
		testkit.Eventually(t, soon, want+" among the metrics", func() bool {
			metrics, _ := io.ReadAll(g.metrics(t))
			return strings.Contains(string(metrics), want)
		})
	}
}

func (g *gateway) metrics(t *testing.T) io.Reader {
	t.Helper()
	r, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r.Body
}

func TestAReloadChangesThePolicy(t *testing.T) {
	g := start(t)
	g.get(t, "GET", "http://"+g.plain+"/", "gzip, br")
	g.write(t, "br")
	testkit.Eventually(t, soon, "the new policy", func() bool {
		r, _ := g.get(t, "HEAD", "http://"+g.plain+"/", "gzip, br")
		return r.Header.Get("Content-Encoding") == "br"
	})
	if metrics, _ := io.ReadAll(g.metrics(t)); !strings.Contains(string(metrics), `gatehouse_compressed_responses_total{encoding="gzip"} 1`) {
		t.Error("the counters were lost")
	}
}

func TestExplainSaysHowItIsCompressed(t *testing.T) {
	g := start(t)
	out, err := exec.Command(testkit.Build(t, "./cmd/appgw", "-race"), "explain", "-c", g.file, "--url", "http://"+g.plain+"/", "--header", "Accept-Encoding: gzip").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "compress   gzip, if the response is fit for it") {
		t.Errorf("%v: %s", err, out)
	}
}
