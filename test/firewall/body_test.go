package firewall

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// Without strict, what is beyond inspectLimit streams: the backend has the beginning while the end is not sent yet.
func TestLongBodiesStreamAfterInspection(t *testing.T) {
	g := start(t, site+"    requestBody: {inspectLimit: 8KiB, strict: false}\n", nil)
	body := "text=" + testkit.Pattern(200<<10)
	for name, request := range map[string]string{"length": message("POST", "/up", body, isForm), "chunked": chunked("/up", body, 3000, isForm)} {
		t.Run(name, func(t *testing.T) {
			before := g.backend.RequestCount()
			c := testkit.Dial(t, g.web)
			c.Send(request[:len(request)-1000])
			testkit.Eventually(t, soon, "the beginning at the backend", func() bool { return g.backend.RequestCount() > before })
			c.Send(request[len(request)-1000:])
			r, _ := c.ReadFinal("POST")
			if e := testkit.DecodeEcho(t, r.Content); e.BodyLen != int64(len(body)) || e.Body != body[:64<<10] {
				t.Errorf("the backend got %d bytes of %d", e.BodyLen, len(body))
			}
		})
	}
}

// With strict, no end of a form is unseen, however far behind inspectLimit.
func TestNoEndIsUnseen(t *testing.T) {
	g := start(t, site+"    requestBody: {inspectLimit: 8KiB}\n", nil)
	c := testkit.Dial(t, g.web)
	c.Send(message("POST", "/up", "text="+testkit.Pattern(200<<10)+"&"+attack, isForm))
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 403 {
		t.Errorf("%s, want 403", r.Status)
	}
	g.untouched()
}

// Until the body is judged, nobody is dialled.
func TestBackendWaitsForTheVerdict(t *testing.T) {
	g := start(t, site, nil)
	c := testkit.Dial(t, g.web)
	c.Send(message("POST", "/", "", isForm, "Content-Length: 4"), "id=")
	c.ExpectSilence(300 * time.Millisecond)
	g.untouched()
	if n := g.backend.ConnCount(); n > 0 {
		t.Errorf("%d connections to the backend before the verdict", n)
	}
	c.Send("1")
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 200 {
		t.Errorf("%s, want 200", r.Status)
	}
}

func TestExpectContinue(t *testing.T) {
	g := start(t, site, nil)
	for name, tt := range map[string]struct {
		body string
		want int
	}{"clean": {"id=1", 200}, "attack": {attack, 403}} {
		t.Run(name, func(t *testing.T) {
			c := testkit.Dial(t, g.web)
			whole := message("POST", "/", tt.body, isForm, "Expect: 100-continue")
			head := whole[:len(whole)-len(tt.body)]
			c.Send(head)
			if r := c.ReadResponse("POST"); r.StatusCode != 100 {
				t.Fatalf("%s, want 100", r.Status)
			}
			c.Send(tt.body)
			if r, _ := c.ReadFinal("POST"); r.StatusCode != tt.want {
				t.Errorf("%s, want %d", r.Status, tt.want)
			}
		})
	}
	t.Run("attack in the head", func(t *testing.T) {
		c := testkit.Dial(t, g.web)
		c.Send(message("POST", "/?"+attack, "", isForm, "Expect: 100-continue", "Content-Length: 4"))
		for {
			r := c.ReadResponse("POST")
			if r.StatusCode == 100 {
				c.Send("id=1") // the managed rules look at head and body together
				continue
			}
			if r.StatusCode != 403 {
				t.Errorf("%s, want 403", r.Status)
			}
			return
		}
	})
	if n := g.backend.RequestCount(); n != 1 {
		t.Errorf("the backend got %d requests, want the clean one", n)
	}
}

// A blocked request takes nothing with it that is not its own.
func TestPipelinedBehindABlockedOne(t *testing.T) {
	g := start(t, site, nil)
	for name, first := range map[string]string{
		"query": message("GET", "/first?"+attack, ""), "form": message("POST", "/first", attack, isForm), "chunked": chunked("/first", attack, 9, isForm),
		"HEAD": message("HEAD", "/first?"+attack, ""),
	} {
		t.Run(name, func(t *testing.T) {
			c := testkit.Dial(t, g.web)
			c.Send(first, message("GET", "/second?id=1", ""))
			method, _, _ := strings.Cut(first, " ")
			r, _ := c.ReadFinal(method)
			if r.StatusCode != 403 {
				t.Fatalf("%s, want 403", r.Status)
			}
			if r.Close {
				c.ExpectClosed(soon)
				return
			}
			r, _ = c.ReadFinal("GET")
			if e := testkit.DecodeEcho(t, r.Content); e.Target != "/second?id=1" {
				t.Errorf("the second is %s", e.Target)
			}
		})
	}
	for _, r := range g.backend.Requests() {
		if strings.HasPrefix(r.Target, "/first") {
			t.Errorf("the backend got %s", r.Target)
		}
	}
}

func TestWebSocket(t *testing.T) {
	g := start(t, site+"    responseBody: {inspect: true}\n", func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				c.Close()
				return
			}
			c.Send(string(buf[:n]))
		}
	})
	upgrade := func(target string) string {
		return message("GET", target, "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	}
	c := testkit.Dial(t, g.web)
	c.Send(upgrade("/ws?" + attack))
	if r, _ := c.ReadFinal("GET"); r.StatusCode != 403 {
		t.Errorf("with an attack in the query: %s", r.Status)
	}
	g.untouched()
	c = testkit.Dial(t, g.web)
	c.Send(upgrade("/ws?room=1"))
	if r, _ := c.ReadFinal("GET"); r.StatusCode != 101 {
		t.Fatalf("clean: %s", r.Status)
	}
	c.Send("1' UNION SELECT") // the firewall does not look into tunnels
	if got := c.ReadN(15); got != "1' UNION SELECT" {
		t.Errorf("through the tunnel: %q", got)
	}
}

// What comes slowly is not held until it is whole, unless it is of a kind that is inspected.
func TestEventStreamIsNotStalled(t *testing.T) {
	release := make(chan struct{})
	g := start(t, site+"    responseBody: {inspect: true}\n", func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n")
		select {
		case <-release:
		case <-c.Done():
		}
		c.Send("e\r\ndata: second\n\n\r\n0\r\n\r\n")
	})
	c := testkit.Dial(t, g.web)
	c.Send(message("GET", "/events", ""))
	got := ""
	for !strings.Contains(got, "data: first") {
		got += c.ReadN(1)
	}
	close(release)
	for !strings.Contains(got, "data: second") {
		got += c.ReadN(1)
	}
}

// A response that is inspected, and comes slowly, comes whole.
func TestSlowInspectedResponse(t *testing.T) {
	page := "<html>" + testkit.Pattern(30<<10) + "</html>"
	g := start(t, site+"    responseBody: {inspect: true, limit: 8KiB}\n", func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " + strconv.Itoa(len(page)) + "\r\n\r\n")
		c.Dribble(page, 3000, 20*time.Millisecond)
	})
	if r := g.get("/"); r.StatusCode != 200 || string(r.Content) != page {
		t.Errorf("%s, %d bytes of %d", r.Status, len(r.Content), len(page))
	}
}

func TestResponsesThatLeakAreBlocked(t *testing.T) {
	leak := "<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use near</html>"
	g := start(t, site+"    responseBody: {inspect: true}\n", testkit.Respond(200, leak, "Content-Type: text/html"))
	if r := g.get("/"); r.StatusCode != 403 || strings.Contains(string(r.Content), "MySQL") {
		t.Errorf("%s %.200s", r.Status, r.Content)
	}
	var coded bytes.Buffer
	w := gzip.NewWriter(&coded)
	w.Write([]byte(leak))
	w.Close()
	g = start(t, site+"    responseBody: {inspect: true}\n", testkit.Respond(200, coded.String(), "Content-Type: text/html", "Content-Encoding: gzip"))
	if r := g.get("/", "Accept-Encoding: gzip"); r.StatusCode != 403 || r.Get("Content-Encoding") != "" {
		t.Errorf("coded: %s %.200s", r.Status, r.Content)
	}
}
