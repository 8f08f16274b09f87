package compression

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
)

func policyOf(change func(*config.CompressionPolicy)) *Policy {
	c := &config.CompressionPolicy{Encodings: allCodings, Types: []string{"text/*", "application/json", "application/*+json"}, MinLength: 100}
	if change != nil {
		change(c)
	}
	return NewEngine().NewPolicy(c)
}

// answering is a response with these fields; those without a type get one.
func answering(status int, lines ...string) *httpmsg.Response {
	r := &httpmsg.Response{}
	r.Reset(nil)
	r.Status, r.Body = status, httpmsg.BodyLength
	if !strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "content-type:") {
		lines = append(lines, "Content-Type: text/plain; charset=utf-8")
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		r.AddString(name, strings.TrimSpace(value))
	}
	return r
}

var page = text(3000, rand.New(rand.NewPCG(7, 7)))

func lines(r *httpmsg.Response) string { return string(r.AppendLines(nil)) }

func TestWhatIsNotCompressed(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		fields []string
		body   []byte
		accept string
		want   Reason
		vary   bool
	}{
		{name: "an ordinary page", status: 200, want: None, vary: true},
		{name: "an error page", status: 404, want: None, vary: true},
		{name: "json", status: 200, fields: []string{"Content-Type: application/JSON"}, want: None, vary: true},
		{name: "a suffix", status: 200, fields: []string{"Content-Type: application/problem+json"}, want: None, vary: true},
		{name: "another type", status: 200, fields: []string{"Content-Type: image/png"}, want: Type},
		{name: "a type that begins like one", status: 200, fields: []string{"Content-Type: application/jsonp"}, want: Type},
		{name: "no subtype", status: 200, fields: []string{"Content-Type: text/"}, want: Type},
		{name: "two types", status: 200, fields: []string{"Content-Type: text/plain", "Content-Type: text/css"}, want: Type},
		{name: "events", status: 200, fields: []string{"Content-Type: text/event-stream"}, want: Type},
		{name: "gRPC", status: 200, fields: []string{"Content-Type: application/grpc+json"}, want: Type},
		{name: "encoded already", status: 200, fields: []string{"Content-Encoding: br"}, want: Encoded},
		{name: "encoded, the type behind it", status: 200, fields: []string{"content-encoding: zstd", "Content-Type: image/png"}, want: Encoded},
		{name: "identity", status: 200, fields: []string{"Content-Encoding: identity"}, want: None, vary: true},
		{name: "no-transform", status: 200, fields: []string{"Cache-Control: public, No-Transform"}, want: NoTransform},
		{name: "other directives", status: 200, fields: []string{"Cache-Control: public"}, want: None, vary: true},
		{name: "a range", status: 206, fields: []string{"Content-Range: bytes 0-1/2"}, want: Status},
		{name: "a range with another status", status: 416, fields: []string{"Content-Range: bytes */2"}, want: Status},
		{name: "no content", status: 204, want: Status},
		{name: "reset content", status: 205, want: Status},
		{name: "delta", status: 226, want: Status},
		{name: "MD5", status: 200, fields: []string{"Content-MD5: Q2hlY2s="}, want: Integrity},
		{name: "digest", status: 200, fields: []string{"Digest: sha-256=x"}, want: Integrity},
		{name: "repr digest", status: 200, fields: []string{"Repr-Digest: sha-256=:x:"}, want: Integrity},
		{name: "content digest", status: 200, fields: []string{"Content-Digest: sha-256=:x:"}, want: Integrity},
		{name: "signature", status: 200, fields: []string{"Signature: a=:x:"}, want: Integrity},
		{name: "a short one", status: 200, body: page[:99], want: Short, vary: true},
		{name: "long enough", status: 200, body: bytes.Repeat([]byte("ab"), 50), want: None, vary: true},
		{name: "short, but identity is not wanted", status: 200, body: page[:99], accept: "gzip, identity;q=0", want: None, vary: true},
		{name: "empty", status: 200, body: []byte{}, accept: "gzip, identity;q=0", want: Short, vary: true},
		{name: "the client does not want it", status: 200, accept: "deflate", want: NotAccepted, vary: true},
		{name: "no gain", status: 200, body: random(5000), want: Incompressible, vary: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := policyOf(nil)
			if test.body == nil {
				test.body = page
			}
			if test.accept == "" {
				test.accept = "gzip"
			}
			r := answering(test.status, append(test.fields, "Accept-Ranges: bytes", `ETag: "x"`, "X: y")...)
			r.ContentLength = int64(len(test.body))
			was := lines(r)
			c, out, err := p.Begin(p.Want(asking(test.accept)), r, test.body, true)
			now := lines(r)
			if vary := strings.Contains(now, "Vary: Accept-Encoding\r\n"); err != nil || vary != test.vary {
				t.Errorf("Vary %v, error %v", vary, err)
			}
			if test.want != None {
				if n := p.engine.counts.skipped[test.want].Load(); c != nil || n != 1 || !bytes.Equal(out, test.body) || strings.Replace(now, "Vary: Accept-Encoding\r\n", "", 1) != was {
					t.Errorf("encoder %v, counted %d; %q became %q", c, n, was, now)
				}
				return
			}
			if c == nil || !bytes.Equal(decoded(t, "gzip", out), test.body) || r.ContentLength != int64(len(out)) || r.Body != httpmsg.BodyLength {
				t.Fatalf("encoder %v, length %d", c, r.ContentLength)
			}
			c.Release()
			if strings.Contains(now, "Accept-Ranges") || !strings.Contains(now, "Content-Encoding: gzip\r\n") || strings.Contains(now, "identity") || !strings.Contains(now, `ETag: W/"x"`) || !strings.Contains(now, "X: y") {
				t.Errorf("the head is %q", now)
			}
		})
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestEntityTagsBecomeWeak(t *testing.T) {
	for _, test := range []struct{ name, tag, want string }{
		{"strong", `"a"`, `ETag: W/"a"`},
		{"weak", `W/"a"`, `ETag: W/"a"`},
		{"none at all", `a`, ``},
		{"empty", ``, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := answering(200, "ETag: "+test.tag)
			weaken(&r.Fields)
			if got := lines(r); test.want != "" && !strings.Contains(got, test.want+"\r\n") || test.want == "" && strings.Contains(got, "ETag") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestVaryIsSaidOnce(t *testing.T) {
	for _, field := range []string{"Vary: Accept-Encoding", "Vary: Origin, accept-encoding", "Vary: *"} {
		r := answering(200, field)
		vary(&r.Fields)
		if got := lines(r); strings.Count(got, "Vary") != 1 {
			t.Errorf("got %q", got)
		}
	}
	r := answering(200, "Vary: Origin")
	vary(&r.Fields)
	if got := lines(r); !strings.Contains(got, "Vary: Origin\r\n") || !strings.Contains(got, "Vary: Accept-Encoding\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestA304AgreesWithTheResponseThatItConfirms(t *testing.T) {
	p := policyOf(nil)
	r := answering(304, `ETag: "x"`)
	if c, _, _ := p.Begin(p.Want(asking("gzip")), r, nil, true); c != nil || !strings.Contains(lines(r), `W/"x"`) || !strings.Contains(lines(r), "Vary") || strings.Contains(lines(r), "Content-Encoding") {
		t.Errorf("got %q", lines(r))
	}
	r = answering(304, `ETag: "x"`)
	if p.Begin(p.Want(asking("deflate")), r, nil, true); !strings.Contains(lines(r), `ETag: "x"`) {
		t.Errorf("got %q for who got it as it is", lines(r))
	}
}

func TestHEADHasTheFieldsOfGET(t *testing.T) {
	p := policyOf(nil)
	ask := asking("gzip")
	ask.Method = httpmsg.HEAD
	for _, test := range []struct {
		name   string
		length int64
		want   bool
	}{{"long", 3000, true}, {"unknown", -1, true}, {"short", 50, false}} {
		r := answering(200, "Content-Length: 3000", `ETag: "x"`)
		r.Body, r.ContentLength = httpmsg.BodyNone, test.length
		c, _, _ := p.Begin(p.Want(ask), r, nil, true)
		if got := lines(r); c != nil || strings.Contains(got, "Content-Encoding: gzip") != test.want || strings.Contains(got, "Content-Length") == test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	if encoders, _ := p.engine.InUse(); encoders != 0 {
		t.Error("an encoder is in use")
	}
}

func TestTheClientMayWantNoChange(t *testing.T) {
	p := policyOf(nil)
	ask := asking("gzip")
	ask.AddString("Cache-Control", "no-transform")
	if c, _, _ := p.Begin(p.Want(ask), answering(200), page, true); c != nil {
		t.Error("it was compressed")
	}
}

func TestEventsAreCompressedWhenTheyAreNamed(t *testing.T) {
	p := policyOf(func(c *config.CompressionPolicy) { c.Types = []string{"text/event-stream"} })
	r := answering(200, "Content-Type: text/event-stream")
	r.Body, r.ContentLength = httpmsg.BodyChunked, -1
	c, _, err := p.Begin(p.Want(asking("gzip")), r, []byte("data: 1\n\n"), false)
	if c == nil || err != nil || r.Body != httpmsg.BodyChunked {
		t.Fatal("not compressed", err)
	}
	c.Release()
}

func TestWhatCostsTooMuchIsNotCompressed(t *testing.T) {
	p := policyOf(nil)
	p.engine.Limit(1, 1)
	if c, out, err := p.Begin(p.Want(asking("gzip")), answering(200), page, true); c != nil || err != nil || !bytes.Equal(out, page) || p.engine.counts.skipped[Memory].Load() != 1 {
		t.Errorf("without memory: %v, %v, %v", c, err, p.engine.Skipped())
	}
	p.engine.budget.spend(1, 1<<50)
	if c, _, _ := p.Begin(p.Want(asking("gzip")), answering(200), page, true); c != nil || p.engine.counts.skipped[Processor].Load() != 1 {
		t.Errorf("without time: %v, %v", c, p.engine.Skipped())
	}
}

func TestCompressingAllocatesNothing(t *testing.T) {
	p := policyOf(nil)
	ask, r := asking("gzip"), answering(200)
	n := testing.AllocsPerRun(200, func() {
		r.Reset(nil)
		r.Status, r.Body = 200, httpmsg.BodyLength
		r.AddString("Content-Type", "text/plain")
		r.AddString("ETag", `"x"`)
		c, _, _ := p.Begin(p.Want(ask), r, page, true)
		c.Release()
	})
	if n > 1 && !testkit.Race {
		t.Errorf("%v allocations", n)
	}
}
