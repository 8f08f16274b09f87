package waf

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// answer is the head of a response without a body.
func answer(status int) *httpmsg.Response {
	m := &httpmsg.Response{}
	m.Reset(nil)
	m.Status = status
	return m
}

// lastLine is the last line of the log: the verdict.
func (e *events) lastLine(t *testing.T) (l line) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(e.lines.String(), "\n"), "\n")
	if lines[0] == "" {
		return l
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTrailersAreNotSeenUnsaid(t *testing.T) {
	kind := post("application/x-www-form-urlencoded", "")
	detection := func(c *config.WAFPolicy) { c.Mode, c.RequestBody.InspectLimit = config.WAFDetection, 8<<10 }
	heads := func(c *config.WAFPolicy) { detection(c); c.RequestBody.Inspect = false }
	allowed := func(c *config.WAFPolicy) {
		detection(c)
		c.CustomRules = []config.CustomRule{{Name: "a", Priority: 1, Enabled: true, Action: config.CustomAllow,
			Match: []config.MatchCondition{{Variable: config.MatchURI, Operator: config.OperatorBeginsWith, Values: []string{"/orders"}}}}}
	}
	const said = "request trailers were not inspected; prevention would not send them on"
	for _, w := range []struct {
		name             string
		change           func(*config.WAFPolicy)
		body             string
		send             bool
		partial          uint64
		outcome, message string // of the line, if there is one
		marked           bool
	}{
		{"prevention", nil, "a=1", false, 0, "", "", false},
		{"detection", detection, "a=1", true, 1, "allowed", said, true},
		{"detection of an attack", detection, script, true, 1, "detected", "rule 949110, score 20", true},
		{"detection of a long body", detection, strings.Repeat("a", 20<<10), true, 1, "", "", false},
		{"detection by heads", heads, "a=1", true, 1, "", "", false},
		{"allowed by a custom rule", allowed, "a=1", true, 0, "allowed", "custom rule a", false},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, log := newPolicy(t, w.change)
			tx := p.Begin(client)
			defer tx.Done()
			tx.Head(message(kind))
			streamed := 0
			if !p.prevents() {
				streamed = len(w.body) / 2
				tx.Body([]byte(w.body[:streamed]), false)
			}
			if send := tx.Trailers(); send != w.send {
				t.Errorf("send %v", send)
			}
			tx.Body([]byte(w.body[streamed:]), true)
			if l := log.lastLine(t); l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != w.marked {
				t.Errorf("logged %+v", l)
			}
			if n := p.Metrics.Partial.Load(); n != w.partial {
				t.Errorf("%d partial, want %d", n, w.partial)
			}
			var all uint64
			for o := range p.Metrics.Outcomes {
				all += p.Metrics.Outcomes[o].Load()
			}
			if all != 1 {
				t.Errorf("counted %d times", all)
			}
		})
	}
}

func TestResponsesAreNotUnseenUnsaid(t *testing.T) {
	const leak = "<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</html>"
	p, log := newPolicy(t, func(c *config.WAFPolicy) {
		c.ResponseBody = config.ResponseBody{Inspect: true, Limit: 8 << 10, ContentTypes: []string{"text/html"}}
	})
	coded := gzipped(leak)
	for _, w := range []struct {
		name             string
		status           int
		coding, body     string // one that begins with -- is ranges
		end, blocks      bool
		partial          uint64
		outcome, message string // of the line, if there is one
	}{
		{"a page", 200, "", "<html>", true, false, 0, "", ""},
		{"the beginning of a page", 200, "", "<html>", false, false, 1, "", ""},
		{"a leak at the beginning", 200, "", leak, false, true, 1, "blocked", "rule 959100, score 5"},
		{"a part of a page", 206, "", "<html>", true, false, 0, "", ""},
		{"a leak in a part", 206, "", leak, true, true, 0, "blocked", "rule 959100, score 5"},
		{"a leak in one of two ranges", 206, "", "--b1\r\nContent-Range: bytes 0-0/120\r\n\r\n<\r\n--b1\r\nContent-Range: bytes 0-119/120\r\n\r\n" + leak + "\r\n--b1--", true, true, 0, "blocked", "rule 959100, score 5"},
		{"a coded leak", 200, "gzip", coded, true, true, 0, "blocked", "rule 959100, score 5"},
		{"a part that is all of it", 206, "gzip", coded, true, true, 0, "blocked", "rule 959100, score 5"},
		{"a part of a coded leak", 206, "gzip", coded[1:], true, false, 1, "allowed", "response body with content coding gzip was not inspected: it is a part (206)"},
		{"the beginning of a part of one", 206, "gzip", coded[1:20], false, false, 1, "allowed", "response body with content coding gzip was not inspected: it is a part (206)"},
		{"the beginning of a coded one", 200, "gzip", coded[:20], false, false, 1, "", ""},
		{"a coded one that is too large", 200, "gzip", gzipped(strings.Repeat(leak, 100)), true, false, 1, "", ""},
		{"a coding that nobody knows", 200, "rot13", coded, true, false, 1, "allowed", "response body with content coding rot13 was not inspected: body refused: Content-Encoding: coding that is not read"},
	} {
		t.Run(w.name, func(t *testing.T) {
			before := p.Metrics.Partial.Load()
			log.lines.Reset()
			tx := p.Begin(client)
			defer tx.Done()
			tx.Head(message("GET / HTTP/1.1" + browserHead))
			m := &httpmsg.Response{}
			m.Reset(nil)
			m.Status, m.Body = w.status, httpmsg.BodyLength
			if strings.HasPrefix(w.body, "--") {
				m.AddString("Content-Type", "multipart/byteranges; boundary=b1")
			} else {
				m.AddString("Content-Type", "text/html")
			}
			if w.coding != "" {
				m.AddString("Content-Encoding", w.coding)
			}
			if d := tx.ResponseHead(m); d.Action != Hold {
				t.Fatalf("%+v", d)
			}
			if d := tx.ResponseBody([]byte(w.body), w.end); (d.Action == Block) != w.blocks {
				t.Errorf("%+v", d)
			}
			l := log.lastLine(t)
			if l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != (w.partial > 0 && w.outcome != "") || l.Response != (w.outcome != "") {
				t.Errorf("logged %+v", l)
			}
			if n := p.Metrics.Partial.Load() - before; n != w.partial {
				t.Errorf("%d partial, want %d", n, w.partial)
			}
		})
	}
}

func TestResponseTrailersAreNotSeenUnsaid(t *testing.T) {
	const said = "response trailers were not inspected; prevention would not send them on"
	const leak = "<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</html>"
	for _, w := range []struct {
		name, kind, body string
		mode             config.WAFMode
		whole, send      bool
		partial          uint64
		outcome, message string // of the line, if there is one
	}{
		{"prevention", "text/html", "<html>", config.WAFPrevention, true, false, 0, "", ""},
		{"detection", "text/html", "<html>", config.WAFDetection, true, true, 1, "allowed", said},
		{"detection of a leak", "text/html", leak, config.WAFDetection, true, true, 1, "detected", "rule 959100, score 5"},
		{"detection of a long one", "text/html", "<html>", config.WAFDetection, false, true, 1, "", ""},
		{"prevention, a long one", "text/html", "<html>", config.WAFPrevention, false, false, 1, "", ""},
		{"a type that is not looked at", "application/grpc", "", config.WAFPrevention, true, true, 0, "", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			p, log := newPolicy(t, func(c *config.WAFPolicy) {
				c.Mode = w.mode
				c.ResponseBody = config.ResponseBody{Inspect: true, Limit: 8 << 10, ContentTypes: []string{"text/html"}}
			})
			tx := p.Begin(client)
			defer tx.Done()
			tx.Head(message("GET / HTTP/1.1" + browserHead))
			m := answer(200)
			m.Body = httpmsg.BodyChunked
			m.AddString("Content-Type", w.kind)
			held := tx.ResponseHead(m).Action == Hold
			if held && !w.whole {
				tx.ResponseBody([]byte(w.body), false)
			}
			if send := tx.ResponseTrailers(); send != w.send {
				t.Errorf("send %v", send)
			}
			if held && w.whole {
				tx.ResponseBody([]byte(w.body), true)
			}
			if l := log.lastLine(t); l.Outcome != w.outcome || l.Message != w.message || l.PartialBody != (w.outcome != "") {
				t.Errorf("logged %+v", l)
			}
			if n := p.Metrics.Partial.Load(); n != w.partial {
				t.Errorf("%d partial, want %d", n, w.partial)
			}
		})
	}
}
