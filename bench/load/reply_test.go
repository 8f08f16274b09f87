//go:build linux

package load

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"testing"
)

func TestParseReply(t *testing.T) {
	tests := []struct {
		name, head string
		want       replyHead
		err        error
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\nbody", replyHead{status: 200, length: 128, close: false}, nil},
		{"any case and blanks", "HTTP/1.1 404 \r\ncONTENT-lENGTH:7 \r\n\r\n", replyHead{status: 404, length: 7, close: false}, nil},
		{"last of its connection", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n", replyHead{status: 200, length: 1, close: true}, nil},
		{"no reason", "HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", replyHead{status: 204, length: 0, close: false}, nil},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", replyHead{status: 200, chunked: true}, nil},
		{"encoded", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n", replyHead{status: 200, length: 7, gzip: true}, nil},
		{"another framing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", replyHead{}, errUnframed},
		{"both framings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", replyHead{}, errMalformed},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", replyHead{}, errUnframed},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", replyHead{}, errMalformed},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", replyHead{}, errMalformed},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", replyHead{}, errMalformed},
		{"no status", "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n", replyHead{}, errMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, size, err := parseReply([]byte(tt.head))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (got != tt.want || size != bytes.Index([]byte(tt.head), headEnd)+4) {
				t.Errorf("got %+v of %d bytes, want %+v", got, size, tt.want)
			}
		})
	}
}

func TestAReplyHeadInPiecesIsAwaited(t *testing.T) {
	whole := []byte("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n")
	for n := range whole {
		if _, size, err := parseReply(whole[:n]); size != 0 || err != nil {
			t.Fatalf("after %d bytes: size %d, %v", n, size, err)
		}
	}
}

// What we take for a reply means the same to net/http.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		head, size, err := parseReply(p)
		if err != nil || size == 0 {
			return
		}
		if size > len(p) || head.length < 0 {
			t.Fatalf("size %d of %d bytes, length %d", size, len(p), head.length)
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p)), &http.Request{Method: "GET"})
		if err != nil {
			return
		}
		res.Body.Close()
		// net/http knows better for replies that have no body.
		bodyless := head.status < 200 || head.status == 204 || head.status == 304
		if res.StatusCode != head.status || !bodyless && !head.chunked && res.ContentLength != int64(head.length) {
			t.Errorf("status %d, length %d; net/http says %d, %d", head.status, head.length, res.StatusCode, res.ContentLength)
		}
	})
}
