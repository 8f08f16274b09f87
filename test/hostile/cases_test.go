package hostile

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// smuggled is the request that hides behind each hostile one. It must never reach a backend.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"

// refusal is a request that the gateway must answer itself, and end the connection after.
type refusal struct {
	name string
	send string
	want int // status; 0: the connection ends without a byte
	// body says that the request is wrong only in its body: where that comes late, the backend may have seen the head, but
	// never a whole request.
	body bool
}

// firstRead is what arrives together even over TLS, whose first records are short: a body that is wrong within it is seen
// before a backend is asked.
const firstRead = 1000

// request makes a request of a head's lines, which end in CRLF here, and what follows the head.
func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// post is a POST with these lines besides Host, and a body.
func post(body string, lines ...string) string {
	return request(append([]string{"POST /hostile HTTP/1.1", "Host: a.test"}, lines...)...) + body
}

// get is a GET with these lines besides Host.
func get(lines ...string) string {
	return request(append([]string{"GET /hostile HTTP/1.1", "Host: a.test"}, lines...)...)
}

// refuseAll runs refusals in each way that bytes may come in: at once on plain TCP, byte by byte, and over TLS.
func (g *gateway) refuseAll(t *testing.T, cases []refusal) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.body {
				g.refuse(t, c, "body late", dialFrom(t, stranger, g.plain), g.bodyLate(t))
			} else if len(c.send) < firstRead {
				g.refuse(t, c, "byte by byte", dialFrom(t, stranger, g.plain), byByte)
			}
			if c.body && len(c.send) > firstRead {
				return
			}
			g.refuse(t, c, "at once", dialFrom(t, stranger, g.plain), whole)
			c.send = strings.Replace(c.send, "a.test", "shop.test", 1)
			g.refuse(t, c, "over TLS", g.dialTLS(t, "shop.test"), whole)
		})
	}
}

// bodyLate sends the body byte by byte once the backend has the head.
func (g *gateway) bodyLate(t *testing.T) func(*testkit.Client, string) {
	return func(c *testkit.Client, s string) {
		head, body, _ := strings.Cut(s, "\r\n\r\n")
		before := g.mark().requests
		whole(c, head+"\r\n\r\n")
		testkit.Eventually(t, soon, "the head at the backend", func() bool { return g.mark().requests > before })
		byByte(c, body)
	}
}

// whole sends everything in one write. The gateway may have closed before the end.
func whole(c *testkit.Client, s string) { _, _ = c.TrySend(s, soon) }

// byByte sends each byte on its own; the reader has a chance to see it alone, and gets some together.
func byByte(c *testkit.Client, s string) {
	for i := range len(s) {
		if _, err := c.TrySend(s[i:i+1], soon); err != nil {
			return
		}
		runtime.Gosched()
	}
}

// refuse sends one hostile request with another one behind it, and judges both sides.
func (g *gateway) refuse(t *testing.T, c refusal, how string, client *testkit.Client, send func(*testkit.Client, string)) {
	t.Helper()
	defer client.Reset()
	before := g.mark()
	send(client, c.send+smuggled)
	if c.want != 0 {
		r := client.ReadResponse("GET")
		if r.StatusCode != c.want || !strings.EqualFold(r.Get("Connection"), "close") {
			t.Errorf("%s: answer is %q, want %d and Connection: close", how, r.Head, c.want)
		}
	}
	client.ExpectClosed(soon)
	g.untouched(t, how, before, how == "body late")
	g.honest(t)
}

// untouched checks that nothing reached the backend since a mark. If a head is allowed, that may be there, but its request
// must not be complete, and its connection must be over.
func (g *gateway) untouched(t *testing.T, how string, before mark, head bool) {
	t.Helper()
	got, n := g.since(before)
	if n > 0 && !head {
		t.Errorf("%s: %d bytes reached the backend: %s", how, n, describe(got))
	}
	for _, r := range got {
		conn := g.backend.Conns()[r.Conn-1]
		testkit.Eventually(t, soon, "the end of the backend's connection", func() bool { return conn.ReadError() != nil })
		if r.Target != "/hostile" || g.backend.Requests()[before.requests].Complete {
			t.Errorf("%s: the backend takes this for a whole request: %s", how, describe(got))
		}
	}
}

// honest checks that the gateway serves others still, and that theirs is what the backend gets.
func (g *gateway) honest(t *testing.T) {
	t.Helper()
	before := g.mark()
	if r := testkit.Get(t, g.plain, "honest.test", "/honest"); r.StatusCode != 200 {
		t.Errorf("an honest request is answered %q", r.Head)
	}
	if got, _ := g.since(before); len(got) != 1 || got[0].Target != "/honest" {
		t.Errorf("of an honest request the backend got %s", describe(got))
	}
}

func describe(list []*testkit.Request) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d requests", len(list))
	for _, r := range list {
		fmt.Fprintf(&s, "\n%q %q", r.Head, r.Body)
	}
	return s.String()
}

// pass is a request that must be answered 200 and reach the backend, changed only as said.
type pass struct {
	name string
	send string
	from string // if empty, stranger

	method string   // if empty, that of send
	target string   // if empty, /hostile
	body   string   // decoded
	has    []string // "Name: value" for a field that is there once, with this value
	lacks  []string // names
	check  func(t *testing.T, r *testkit.Request)
}

// passAll runs passes at once, byte by byte, and over TLS, each with a second request behind it, which must be
// answered, too, and be the next that the backend gets.
func (g *gateway) passAll(t *testing.T, cases []pass) {
	const host = "Host: a.test\r\n"
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			from := c.from
			if from == "" {
				from = stranger
			}
			g.pass(t, c, "at once", dialFrom(t, from, g.plain), whole)
			if len(c.send) < firstRead {
				g.pass(t, c, "byte by byte", dialFrom(t, from, g.plain), byByte)
			}
			if strings.Contains(c.send, host) && from == stranger && len(c.send) < firstRead {
				c.send = strings.Replace(c.send, host, "Host: shop.test\r\n", 1)
				c.has = overTLS(c.has)
				g.pass(t, c, "over TLS", g.dialTLS(t, "shop.test"), whole)
			}
		})
	}
}

// overTLS is what fields are to be for the same request on the https listener.
func overTLS(has []string) (fields []string) {
	for _, f := range has {
		if f == "X-Forwarded-Proto: http" {
			f = "X-Forwarded-Proto: https"
		}
		fields = append(fields, strings.Replace(f, ": a.test", ": shop.test", 1))
	}
	return fields
}

// pass sends a request and another one behind it, and judges both sides.
func (g *gateway) pass(t *testing.T, c pass, how string, client *testkit.Client, send func(*testkit.Client, string)) {
	t.Helper()
	defer client.Reset()
	method, rest, _ := strings.Cut(strings.TrimLeft(c.send, "\r\n"), " ")
	before := g.mark()
	host := "a.test"
	if how == "over TLS" {
		host = "shop.test"
	}
	ends := strings.Contains(rest[:strings.Index(rest, "\r\n")], "HTTP/1.0")
	next := "GET /next HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	if ends {
		next = ""
	}
	send(client, c.send+next)
	if r, _ := client.ReadFinal(method); r.StatusCode != 200 {
		t.Fatalf("%s: answer is %q", how, r.Head)
	}
	want := 1
	if !ends {
		want = 2
		if r, _ := client.ReadFinal("GET"); r.StatusCode != 200 {
			t.Fatalf("%s: the next request is answered %q", how, r.Head)
		}
	}
	got, _ := g.since(before)
	if len(got) != want || want == 2 && got[1].Target != "/next" {
		t.Fatalf("%s: the backend got %s", how, describe(got))
	}
	if c.method == "" {
		c.method = method
	}
	c.judge(t, how, got[0])
}

// judge compares what the backend got with what it should have.
func (c *pass) judge(t *testing.T, how string, r *testkit.Request) {
	t.Helper()
	target := c.target
	if target == "" {
		target = "/hostile"
	}
	if r.Method != c.method || r.Target != target || r.Proto != "HTTP/1.1" || string(r.Body) != c.body || !r.Complete {
		t.Errorf("%s: the backend got %q %q, want %s %s %q", how, r.Head, r.Body, c.method, target, c.body)
	}
	for _, field := range c.has {
		name, value, _ := strings.Cut(field, ": ")
		if got := r.Values(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s: %s is %q, want %q", how, name, got, value)
		}
	}
	for _, name := range c.lacks {
		if got := append(r.Values(name), fieldsOf(r.Trailers, name)...); len(got) > 0 {
			t.Errorf("%s: %s is %q, want none", how, name, got)
		}
	}
	if c.check != nil {
		c.check(t, r)
	}
}

func fieldsOf(fields []testkit.Field, name string) (values []string) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}
