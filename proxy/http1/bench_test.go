package http1

import (
	"testing"

	"gatehouse/internal/httpmsg"
)

// Heads as clients and servers send them.
var (
	browserHead = head("GET /products/shoes/42/details.html?ref=home HTTP/1.1", "Host: shop.example.com",
		"Connection: keep-alive", "Upgrade-Insecure-Requests: 1",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Site: same-origin",
		"Referer: https://shop.example.com/", "Accept-Encoding: gzip, deflate, br",
		"Accept-Language: en-US,en;q=0.9", "Cookie: session=0123456789abcdef")
	curlHead     = head("GET / HTTP/1.1", "Host: localhost:8080", "User-Agent: curl/8.5.0", "Accept: */*")
	responseHead = head("HTTP/1.1 200 OK", "Server: nginx/1.22.1", "Date: Tue, 24 Nov 2026 11:00:00 GMT",
		"Content-Type: text/html", "Content-Length: 128", "Last-Modified: Mon, 23 Nov 2026 11:00:00 GMT",
		"Connection: keep-alive", `ETag: "6561d2f0-80"`, "Accept-Ranges: bytes")
)

func BenchmarkHeadEnd(b *testing.B) {
	buf := []byte(browserHead)
	for b.Loop() {
		HeadEnd(buf, 0)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for _, bench := range []struct{ name, head string }{{"browser", browserHead}, {"curl", curlHead}} {
		b.Run(bench.name, func(b *testing.B) {
			buf, r := []byte(bench.head), new(httpmsg.Request)
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if err := ParseRequest(buf, r, &testLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	buf, r := []byte(responseHead), new(httpmsg.Response)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if err := ParseResponse(buf, r, httpmsg.GET, &testLimits); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForward is what a plain request costs from bytes to bytes.
func BenchmarkForward(b *testing.B) {
	buf, r := []byte(browserHead), new(httpmsg.Request)
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		forward(buf, r, &out)
	}
}

func forward(buf []byte, r *httpmsg.Request, out *[]byte) {
	end, _, _ := HeadEnd(buf, 0)
	if ParseRequest(buf[:end], r, &testLimits) != nil {
		return
	}
	StripHopByHop(&r.Fields, false)
	httpmsg.DropUnsafeNames(&r.Fields)
	httpmsg.DropInternal(&r.Fields)
	*out = append(r.AppendLines(AppendRequestLine((*out)[:0], r)), "\r\n"...)
}

func BenchmarkChunkReader(b *testing.B) {
	var in []byte
	for range 16 {
		in = append(append(AppendChunkHead(in, 4096), make([]byte, 4096)...), "\r\n"...)
	}
	in = append(in, "0\r\n\r\n"...)
	c := new(ChunkReader)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		for p := in; len(p) > 0; {
			_, n, _, err := c.Next(p)
			if err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	out := make([]byte, 0, 1024)
	request, response, chunks := new(httpmsg.Request), new(httpmsg.Response), new(ChunkReader)
	trailers := new(httpmsg.Fields)
	odd := []byte(head("GET http://A.Example:80/?x HTTP/1.1", "Host: other", "Content-Length: 007",
		"Connection: X-A, upgrade", "X-A: b", "TE: trailers"))
	browser, answer := []byte(browserHead), []byte(responseHead)
	refused := []byte(head("GET / HTTP/1.1", "Host: a,b"))
	body := []byte("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")
	announced := []byte("a")
	tests := []struct {
		name string
		do   func()
	}{
		{"browser request", func() { forward(browser, request, &out) }},
		{"odd request", func() { forward(odd, request, &out) }},
		{"refused request", func() { forward(refused, request, &out) }},
		{"response", func() { ParseResponse(answer, response, httpmsg.GET, &testLimits) }},
		{"chunked body with trailers", func() {
			chunks.Reset()
			for p := body; len(p) > 0; {
				_, n, _, _ := chunks.Next(p)
				p = p[n:]
			}
			trailers.Reset(nil)
			chunks.Trailers(trailers, announced)
			out = AppendChunkHead(AppendStatusLine(out[:0], 200, nil), 4096)
		}},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(100, tt.do); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}
