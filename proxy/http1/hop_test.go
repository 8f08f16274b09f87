package http1

import (
	"testing"

	"gatehouse/internal/httpmsg"
)

func TestHopByHopFieldsAreStripped(t *testing.T) {
	const plain = "Host: a\r\nX-B: c\r\n"
	tests := []struct {
		name string
		head string
		keep bool
		want string
	}{
		{"nothing to strip", head("GET / HTTP/1.1", "Host: a", "X-B: c"), false, plain},
		{"known ones", head("GET / HTTP/1.1", "Host: a", "Connection: keep-alive", "Keep-Alive: 5", "Proxy-Connection: x",
			"TE: trailers", "HTTP2-Settings: x", "Proxy-Authorization: x", "Upgrade: h2c", "X-B: c"), false, plain},
		{"named ones", head("GET / HTTP/1.1", "X-Hop: 1", "Host: a", "connection: x-HOP ,close, X-Other", "X-B: c", "X-Other: 2", "x-hop: 3"), false, plain},
		{"named on a second line", head("GET / HTTP/1.1", "Host: a", "Connection: close", "X-Hop: 1", "X-B: c", "Connection: x-hop"), false, plain},
		{"forwarding fields named", head("GET / HTTP/1.1", "Host: a", "Connection: X-Forwarded-For, X-Real-IP", "X-Forwarded-For: 1", "X-Real-IP: 2", "X-B: c"), false, plain},
		{"protected ones named", head("GET / HTTP/1.1", "Host: a", "Connection: Host, Cookie, Authorization, Content-Length, Content-Type, Content-MD5",
			"Cookie: b", "Authorization: c", "Content-Length: 0", "Content-Type: d", "Content-MD5: e"), false,
			"Host: a\r\nCookie: b\r\nAuthorization: c\r\nContent-Length: 0\r\nContent-Type: d\r\nContent-MD5: e\r\n"},
		{"coding and expectation", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Expect: 100-continue", "X-B: c"), false, plain},
		{"announcement of trailers", head("POST / HTTP/1.1", "Host: a", "Trailer: X", "Transfer-Encoding: chunked", "Connection: trailer"), false, "Host: a\r\nTrailer: X\r\n"},
		{"announcement of what may not trail", head("POST / HTTP/1.1", "Host: a", "Trailer: X, Host,, Y,@", "Trailer: Cookie", "Transfer-Encoding: chunked"), false,
			"Host: a\r\nTrailer: X, Y\r\n"},
		{"announcement without chunks", head("POST / HTTP/1.1", "Host: a", "Trailer: X", "X-B: c"), false, plain},
		{"upgrade kept", head("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"), true, "Host: a\r\nUpgrade: websocket\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseRequest(t, tt.head)
			if err != nil {
				t.Fatal(err)
			}
			StripHopByHop(&r.Fields, tt.keep)
			if got := string(r.AppendLines(nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResponsesAreStripped(t *testing.T) {
	r, err := parseResponse(t, head("HTTP/1.1 200 OK", "Connection: close, Set-Cookie, X-Hop", "Set-Cookie: a=b", "X-Hop: 1",
		"Transfer-Encoding: chunked", "Proxy-Authenticate: x", "Trailer: ETag", "ETag: c"), httpmsg.GET)
	if err != nil {
		t.Fatal(err)
	}
	StripHopByHop(&r.Fields, false)
	if got, want := string(r.AppendLines(nil)), "Set-Cookie: a=b\r\nTrailer: ETag\r\nETag: c\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestForwardedRequestLines(t *testing.T) {
	tests := []struct{ name, head, want string }{
		{"origin form", head("GET /a?b HTTP/1.0"), "GET /a?b HTTP/1.1\r\n"},
		{"empty query", head("GET /a? HTTP/1.0"), "GET /a? HTTP/1.1\r\n"},
		{"absolute form", head("M-X http://a?b HTTP/1.0"), "M-X /?b HTTP/1.1\r\n"},
		{"asterisk", head("OPTIONS http://a HTTP/1.0"), "OPTIONS * HTTP/1.1\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseRequest(t, tt.head)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(AppendRequestLine(nil, r)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	r, _ := parseRequest(t, head("GET /a/../b?c HTTP/1.0"))
	r.Path = r.KeepString("/b")
	if got := string(AppendRequestLine(nil, r)); got != "GET /b?c HTTP/1.1\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestForwardedFields(t *testing.T) {
	tests := []struct{ name, head, want string }{
		{"as they came", head("GET / HTTP/1.1", "host: A", "x-ODD:1", "X-Even:  2 "), "host: A\r\nx-ODD:1\r\nX-Even:  2 \r\n"},
		{"host and length restated", head("GET / HTTP/1.1", "Host:\tA ", "content-length:007"), "Host: A\r\ncontent-length: 7\r\n"},
		{"length with odd white space", head("GET / HTTP/1.0", "Content-Length:\t7"), "Content-Length: 7\r\n"},
		{"host of the target", head("GET http://b/ HTTP/1.1", "X: y", "HOST: a"), "X: y\r\nHOST: b\r\n"},
		{"host of the target only", head("GET http://b/ HTTP/1.0", "X: y"), "X: y\r\nHost: b\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseRequest(t, tt.head)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.AppendLines(nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
