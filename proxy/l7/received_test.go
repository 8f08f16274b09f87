package l7

import (
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
)

// A refused request has been received all the same: a log that says 0 hides
// who sends much.
func TestTheLogCountsWhatCameOfARefusedRequest(t *testing.T) {
	small := strings.Repeat("x", 300)
	tooLarge := &fakeStage{head: func(r *httpmsg.Request) Verdict {
		if r.Body == httpmsg.BodyNone {
			return Verdict{}
		}
		return Verdict{Action: Answer, Status: 413}
	}}
	for _, w := range []struct {
		name, send string
		status     int
		more       string // behind the request, sent at once: not its own
	}{
		{"malformed head", request("GET", "/", "Bad Field: x"), 400, ""},
		{"no head at all", "\x16\x03\x01nonsense\r\n\r\n", 400, ""},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"long target", get("/" + strings.Repeat("x", 9<<10)), 414, ""},
		{"body of a length", request("PUT", "/", "Content-Length: 300") + small, 413, get("/next")},
		{"unfinished body", request("PUT", "/", "Content-Length: 301") + small, 413, ""},
		{"chunked body", request("PUT", "/", "Transfer-Encoding: chunked") + "12c\r\n" + small + "\r\n0\r\n\r\n", 413, ""},
		{"malformed chunks", request("PUT", "/", "Transfer-Encoding: chunked") + "zz\r\n" + small, 413, ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, _ := staged(t, tooLarge, testkit.Respond(200, "ok"))
			ask(t, testkit.Dial(t, g.addr), w.send+w.more, w.status)
			if l := g.lines(t, 1)[0]; l["receivedBytes"] != float64(len(w.send)) || l["httpStatus"] != float64(w.status) {
				t.Errorf("%v bytes of %d are logged, with status %v", l["receivedBytes"], len(w.send), l["httpStatus"])
			}
		})
	}
	t.Run("head over the limit", func(t *testing.T) {
		g, _ := one(t, nil)
		ask(t, testkit.Dial(t, g.addr), get("/", "X-A: "+strings.Repeat("x", 40<<10)), 431)
		if n := g.lines(t, 1)[0]["receivedBytes"].(float64); n <= float64(g.snap.Limits.HeadBytes) || n > 41<<10 {
			t.Errorf("%v bytes are logged", n)
		}
	})
	t.Run("behind another", func(t *testing.T) {
		g, _ := one(t, testkit.Respond(200, "ok"))
		first, bad := get("/first"), request("GET", "/second", "Bad Field: x")
		c := testkit.Dial(t, g.addr)
		ask(t, c, first+bad, 200)
		if r, _ := c.ReadFinal("GET"); r.StatusCode != 400 {
			t.Errorf("the second is answered %q", r.Head)
		}
		for i, l := range g.lines(t, 2)[:2] {
			if want := float64(len([]string{first, bad}[i])); l["receivedBytes"] != want {
				t.Errorf("%v bytes are logged, want %v", l["receivedBytes"], want)
			}
		}
	})
}
