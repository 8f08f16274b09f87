//go:build linux

package load

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestChunkedBodies(t *testing.T) {
	for _, tt := range []struct {
		name, body, rest string
		total            int
		done, bad        bool
	}{
		{name: "two", body: "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", total: 15, done: true},
		{name: "not whole", body: "5\r\nhello\r\n0\r\n", total: 5},
		{name: "more behind it", body: "1\r\nx\r\n0\r\n\r\nHTTP", total: 1, rest: "HTTP", done: true},
		{name: "no size", body: "\r\n", bad: true},
		{name: "no number", body: "g\r\n", bad: true},
		{name: "too long", body: "12345678\r\n", bad: true},
		{name: "data too long", body: "1\r\nxy\r\n", bad: true},
		{name: "extension", body: "1;a=b\r\nx\r\n", bad: true},
		{name: "trailer", body: "0\r\nA: b\r\n\r\n", bad: true},
		{name: "lone LF", body: "1\nx\n", bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for step := 1; step <= len(tt.body); step++ {
				var c chunks
				var rest string
				var err error
				for p := tt.body; p != "" && err == nil; p = p[min(step, len(p)):] {
					var r []byte
					r, err = c.pass([]byte(p[:min(step, len(p))]))
					rest += string(r)
				}
				if (err != nil) != tt.bad {
					t.Fatalf("in steps of %d: %v", step, err)
				}
				if !tt.bad && (c.total != tt.total || rest != tt.rest || (c.state == allDone) != tt.done) {
					t.Fatalf("in steps of %d: %+v, rest %q", step, c, rest)
				}
			}
		})
	}
}

// What we take for a whole body, net/http does.
func FuzzChunks(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\n\r\n")
	f.Add("a\r\n0123456789\r\n000\r\n\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		var c chunks
		if _, err := c.pass([]byte(body)); err != nil || c.state != allDone {
			return
		}
		r, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(c.total) {
			t.Fatalf("%q: %d bytes, net/http says %d, %v", body, c.total, n, err)
		}
	})
}
