package l7

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/l7/compression"
)

// compressed runs a gateway that compresses, with the engine that does it.
func compressed(t testing.TB, h testkit.Handler, more ...func(*setup)) (*gateway, *compression.Engine) {
	t.Helper()
	e := compression.NewEngine()
	p := e.NewPolicy(&config.CompressionPolicy{Encodings: []config.ContentCoding{config.CodingZstd, config.CodingBrotli, config.CodingGzip},
		Types: []string{"text/*", "text/event-stream"}, MinLength: 200})
	s := setup{target: func(t *Target) { t.Compression = p }}
	if h != nil {
		s.backends = []*testkit.Backend{testkit.NewBackend(t, h)}
	}
	for _, m := range more {
		m(&s)
	}
	return start(t, s), e
}

// unused waits until no encoder is in use.
func unused(t *testing.T, e *compression.Engine) {
	t.Helper()
	testkit.Eventually(t, soon, "no encoder is in use", func() bool {
		encoders, bytes := e.InUse()
		return encoders == 0 && bytes == 0
	})
}

// plain is a body as the backend sent it.
func plain(t *testing.T, encoding string, body []byte) string {
	t.Helper()
	out, err := io.ReadAll(decoder(t, encoding, bytes.NewReader(body)))
	if err != nil {
		t.Fatalf("%s: %v", encoding, err)
	}
	return string(out)
}

// prose is text of a length, which compresses.
func prose(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of the text, number %d\n", i, i*7919)
	}
	return b.String()[:n]
}

// sized is a whole response with a length, chunkedResponse one in chunks.
func sized(body string, lines ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + strings.Join(append(lines, ""), "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

func chunkedResponse(body string, chunk int, trailer string) string {
	out := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
	for len(body) > 0 {
		n := min(chunk, len(body))
		out += fmt.Sprintf("%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return out + "0\r\n" + trailer + "\r\n"
}

func TestResponsesAreCompressedForWhoAcceptsIt(t *testing.T) {
	for _, size := range []int{200, 3000, 16 << 10, 64 << 10, 300 << 10} {
		for _, encoding := range []string{"zstd", "br", "gzip", ""} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprint(size, encoding, chunked), func(t *testing.T) {
					body := prose(size)
					g, e := compressed(t, func(c *testkit.Conn, r *testkit.Request) {
						if chunked {
							c.Send(chunkedResponse(body, 7000, ""))
						} else {
							c.Send(sized(body, `ETag: "a"`, "Accept-Ranges: bytes"))
						}
					})
					c := testkit.Dial(t, g.addr)
					for range 2 { // on one connection
						r := ask(t, c, get("/", "Accept-Encoding: "+encoding), 200)
						if r.Get("Content-Encoding") != encoding || r.Get("Vary") != "Accept-Encoding" {
							t.Fatalf("the head is %q", r.Head)
						}
						if got := plain(t, encoding, r.Content); got != body {
							t.Fatalf("%d bytes instead of %d", len(got), len(body))
						}
					}
					l := g.lines(t, 2)
					if sent := l[1]["sentBytes"].(float64); size > 1000 && encoding != "" && sent > float64(size) || sent < 200 {
						t.Errorf("the log says %v were sent", sent)
					}
					unused(t, e)
				})
			}
		}
	}
}

func TestHEADIsAnsweredAsGETIs(t *testing.T) {
	body := prose(1000)
	g, e := compressed(t, func(c *testkit.Conn, r *testkit.Request) {
		head, content, _ := strings.Cut(sized(body, `ETag: "a"`), "\r\n\r\n")
		if c.Send(head + "\r\n\r\n"); r.Method != "HEAD" {
			c.Send(content)
		}
	})
	c := testkit.Dial(t, g.addr)
	h := ask(t, c, request("HEAD", "/", "Accept-Encoding: br"), 200)
	r := ask(t, c, get("/", "Accept-Encoding: br"), 200)
	for _, name := range []string{"Content-Encoding", "Vary", "ETag", "Content-Type"} {
		if h.Get(name) != r.Get(name) || h.Get(name) == "" {
			t.Errorf("%s: HEAD %q, GET %q", name, h.Get(name), r.Get(name))
		}
	}
	if h.Get("Content-Length") != "" {
		t.Errorf("HEAD says %q", h.Head)
	}
	unused(t, e)
}

// What arrives is passed on before there is more.
func TestAStreamStaysAStream(t *testing.T) {
	event := "data: " + strings.Repeat("x", 30) + "\n\n"
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			next := make(chan struct{})
			defer close(next)
			g, e := compressed(t, func(c *testkit.Conn, r *testkit.Request) {
				c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
				for range next {
					c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
				}
			})
			c := testkit.Dial(t, g.addr)
			c.Send(get("/", "Accept-Encoding: "+encoding))
			c.SetReadDeadline(time.Now().Add(soon))
			r, err := http.ReadResponse(bufio.NewReader(c), nil) // there is a head before there is an event
			if err != nil {
				t.Fatal(err)
			}
			var events io.Reader
			got := make([]byte, len(event))
			for i := range 5 {
				next <- struct{}{}
				if events == nil {
					events = decoder(t, encoding, r.Body)
				}
				if _, err := io.ReadFull(events, got); err != nil || string(got) != event {
					t.Fatalf("event %d: %q, %v", i, got, err)
				}
			}
			c.Reset()
			unused(t, e)
		})
	}
}

// decoder reads a body while it comes.
func decoder(t *testing.T, encoding string, r io.Reader) io.Reader {
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err == nil {
			t.Cleanup(z.Close)
			r = z
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTrailersFollowACompressedBody(t *testing.T) {
	body := prose(5000)
	g, _ := compressed(t, testkit.Raw(strings.Replace(chunkedResponse(body, 700, "X-Sum: 1\r\nRepr-Digest: sha-256=:x:\r\n"), "Transfer", "Trailer: X-Sum, Repr-Digest\r\nTransfer", 1)))
	r := ask(t, testkit.Dial(t, g.addr), get("/", "Accept-Encoding: gzip", "TE: trailers"), 200)
	if plain(t, "gzip", r.Content) != body || r.Trailer.Get("X-Sum") != "1" || r.Trailer.Get("Repr-Digest") != "" {
		t.Errorf("trailers %v", r.Trailer)
	}
}

func TestAnHTTP10ClientGetsACompressedBody(t *testing.T) {
	for _, size := range []int{3000, 200 << 10} {
		body := prose(size)
		g, _ := compressed(t, testkit.Raw(sized(body)))
		c := testkit.Dial(t, g.addr)
		c.Send("GET / HTTP/1.0\r\nHost: shop.test\r\nAccept-Encoding: gzip\r\n\r\n")
		head, content, _ := strings.Cut(string(c.ReadAll(soon)), "\r\n\r\n")
		if !strings.Contains(head, "Content-Encoding: gzip") || strings.Contains(head, "chunked") || plain(t, "gzip", []byte(content)) != body {
			t.Errorf("the head is %q", head)
		}
	}
}

// A backend that breaks off must not look like one that was done.
func TestACompressedBodyThatBreaksOffIsNotWhole(t *testing.T) {
	g, e := compressed(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(sized(prose(100 << 10))[:50<<10])
		c.Close()
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/", "Accept-Encoding: gzip"))
	if r, err := c.TryReadResponse("GET", soon); err == nil || r == nil || r.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %v, %v", r, err)
	}
	unused(t, e)
}

// A rewrite that keeps the backend from compressing does not keep the gateway.
func TestWhatTheClientAcceptsIsReadBeforeRewrites(t *testing.T) {
	body := prose(1000)
	set := setOf(t, `actions: {requestHeaders: {Accept-Encoding: ""}, responseHeaders: {X-Was: "{http_resp_Content-Encoding}"}}`)
	var backend *testkit.Backend
	g, _ := compressed(t, testkit.Raw(sized(body)), func(s *setup) {
		with := s.target
		s.target = func(t *Target) { with(t); t.Rewrite = set }
		backend = s.backends[0]
	})
	r := ask(t, testkit.Dial(t, g.addr), get("/", "Accept-Encoding: gzip"), 200)
	if r.Get("Content-Encoding") != "gzip" || backend.Last().Get("Accept-Encoding") != "" {
		t.Errorf("the client got %q, the backend %q", r.Head, backend.Last().Head)
	}
}

// Stages see what the backend sent.
func TestStagesSeeTheBodyBeforeCompression(t *testing.T) {
	body := prose(40 << 10)
	s := respondHolding(10 << 10)
	g, _ := compressed(t, testkit.Raw(sized(body)), func(set *setup) {
		with := set.target
		set.target = func(t *Target) { with(t); t.Stages = []StageMaker{s} }
	})
	r := ask(t, testkit.Dial(t, g.addr), get("/", "Accept-Encoding: br"), 200)
	if plain(t, "br", r.Content) != body {
		t.Error("the body differs")
	}
}

// A panic in the middle of a response gives up what it had.
func TestABugDoesNotKeepEncoders(t *testing.T) {
	e := compression.NewEngine()
	p := e.NewPolicy(&config.CompressionPolicy{Encodings: []config.ContentCoding{config.CodingGzip}, Types: []string{"text/*"}})
	q := &httpmsg.Request{}
	q.Reset(nil)
	q.AddString("Accept-Encoding", "gzip")
	c := compressing{policy: p, want: p.Want(q), next: newMemoryExchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")}
	r := &httpmsg.Response{}
	r.Reset(nil)
	r.Status, r.Body = 200, httpmsg.BodyChunked
	r.AddString("Content-Type", "text/plain")
	if err := c.Respond(r, []byte("abc"), false); err != nil {
		t.Fatal(err)
	}
	if n, _ := e.InUse(); n != 1 {
		t.Fatalf("%d encoders in use", n)
	}
	if c.drop(); c.policy != nil {
		t.Error("it goes on")
	}
	unused(t, e)
}

// Random pieces of random sizes come out as they went in.
func TestPiecesOfAnySizeAreCompressed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 15 {
		body := prose(1 + random.IntN(400<<10))
		g, e := compressed(t, testkit.Raw(chunkedResponse(body, 1+random.IntN(20<<10), "")))
		encoding := []string{"gzip", "br", "zstd"}[random.IntN(3)]
		r := ask(t, testkit.Dial(t, g.addr), get("/", "Accept-Encoding: "+encoding), 200)
		if plain(t, r.Get("Content-Encoding"), r.Content) != body {
			t.Fatalf("%d bytes by %s differ", len(body), encoding)
		}
		unused(t, e)
	}
}

func TestAPolicyThatDoesNotFitCostsNothing(t *testing.T) {
	const most = 0.05
	p := compression.NewEngine().NewPolicy(&config.CompressionPolicy{Encodings: []config.ContentCoding{config.CodingGzip}, Types: []string{"text/*"}, MinLength: 1024})
	if each, last := allocations(t, setup{target: func(t *Target) { t.Compression = p }}); each > most || !strings.Contains(last, "Vary: Accept-Encoding\r\n") {
		t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
	}
}
