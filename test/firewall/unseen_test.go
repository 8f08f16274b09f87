package firewall

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// The firewall does not read trailers: prevention does not send them on, detection does, and says so.
func TestTrailersOfRequests(t *testing.T) {
	for _, w := range []struct {
		mode              string
		sent, partial     int
		outcome, fragment string
	}{{"prevention", 0, 0, "", ""}, {"detection", 1, 1, "allowed", "request trailers were not inspected"}} {
		t.Run(w.mode, func(t *testing.T) {
			g := start(t, site+"    mode: "+w.mode+"\n", nil)
			for _, body := range []string{"a=1", "a=" + testkit.Pattern(90<<10)} {
				request := chunked("/", body, 5000, isForm, "Trailer: X-Sum")
				r := g.ask(strings.TrimSuffix(request, "\r\n") + "X-Sum: 1\r\n\r\n")
				if e := testkit.DecodeEcho(t, r.Content); len(e.Trailers) != w.sent || e.BodyLen != int64(len(body)) {
					t.Errorf("the backend got %d bytes, trailers %v", e.BodyLen, e.Trailers)
				}
			}
			g.wantMetric(`gatehouse_waf_messages_total{outcome="allowed",policy="shop"}`, 2)
			g.wantMetric(`gatehouse_waf_partial_bodies_total{policy="shop"}`, float64(2*w.partial))
			if w.outcome == "" {
				return
			}
			for _, l := range g.logged("waf.log", "about trailers", func(entry) bool { return true }) {
				if message, _ := l["message"].(string); l["outcome"] != w.outcome || l["partialBody"] != true || !strings.Contains(message, w.fragment) {
					t.Errorf("the log says %v", l)
				}
			}
		})
	}
}

// A range of a compressed page cannot be decompressed, and so not inspected: that is not kept quiet.
func TestPartOfCompressedResponse(t *testing.T) {
	var coded bytes.Buffer
	w := gzip.NewWriter(&coded)
	w.Write([]byte("<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</html>"))
	w.Close()
	part := coded.String()[1:]
	g := start(t, site+"    responseBody: {inspect: true}\n", testkit.Respond(206, part, "Content-Type: text/html", "Content-Encoding: gzip", "Content-Range: bytes 1-*/*"))
	if r := g.get("/", "Range: bytes=1-"); r.StatusCode != 206 || string(r.Content) != part {
		t.Errorf("%s %q", r.Status, r.Content)
	}
	l := g.logged("waf.log", "about the response", func(e entry) bool { return e["response"] == true })[0]
	if message, _ := l["message"].(string); l["outcome"] != "allowed" || l["partialBody"] != true || !strings.Contains(message, "it is a part (206)") {
		t.Errorf("the log says %v", l)
	}
	g.wantMetric(`gatehouse_waf_partial_bodies_total{policy="shop"}`, 1)
}

// Trailers of responses that are inspected go as those of requests do.
func TestTrailersOfResponses(t *testing.T) {
	answer := testkit.Raw("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\n<p>1\r\n0\r\nX-Sum: 1\r\n\r\n")
	for _, w := range []struct {
		mode, sum string
		partial   float64
	}{{"prevention", "", 0}, {"detection", "1", 1}} {
		g := start(t, site+"    mode: "+w.mode+"\n    responseBody: {inspect: true}\n", answer)
		if r := g.get("/"); r.StatusCode != 200 || string(r.Content) != "<p>1" || r.Trailer.Get("X-Sum") != w.sum {
			t.Errorf("%s: %s %q, trailers %v", w.mode, r.Status, r.Content, r.Trailer)
		}
		g.wantMetric(`gatehouse_waf_partial_bodies_total{policy="shop"}`, w.partial)
	}
}
