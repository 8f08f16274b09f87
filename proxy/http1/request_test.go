package http1

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
)

var testLimits = Limits{HeadBytes: 32 << 10, Fields: 100, URLBytes: 8 << 10}

// head joins lines with CRLF and ends them with an empty one.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// parseRequest parses one head, which must be found where it ends.
func parseRequest(t testing.TB, text string) (*httpmsg.Request, error) {
	t.Helper()
	end, _, err := HeadEnd([]byte(text), 0)
	if err != nil {
		return nil, err
	}
	if end == 0 {
		t.Fatalf("no end found in %q", text)
	}
	r := new(httpmsg.Request)
	return r, ParseRequest([]byte(text[:end]), r, &testLimits)
}

// parsed is a request as text, for comparing.
type parsed struct {
	method, path, query, authority, host, upgrade string
	port                                          uint16
	minor                                         uint8
	form                                          httpmsg.TargetForm
	body                                          httpmsg.BodyKind
	length                                        int64
	close, expect, te                             bool
}

func describe(r *httpmsg.Request) parsed {
	text := func(s httpmsg.Span) string { return string(r.Bytes(s)) }
	p := parsed{
		method: text(r.MethodText), path: text(r.RawPath), authority: text(r.Authority), host: text(r.HostName),
		upgrade: text(r.UpgradeTo), port: r.Port, minor: r.Minor, form: r.Form, body: r.Body,
		length: r.ContentLength, close: r.Close, expect: r.Expect100, te: r.TETrailers,
	}
	if r.HasQuery {
		p.query = "?" + text(r.Query)
	}
	return p
}

func TestRequestsAreUnderstood(t *testing.T) {
	const upgrade = "Connection: keep-alive, Upgrade"
	tests := []struct {
		name string
		head string
		want parsed
	}{
		{"plain", head("GET /a?b=c HTTP/1.1", "Host: Shop.Example:8080"),
			parsed{method: "GET", path: "/a", query: "?b=c", authority: "Shop.Example:8080", host: "shop.example", port: 8080, minor: 1}},
		{"empty query", head("GET /? HTTP/1.1", "Host: a."),
			parsed{method: "GET", path: "/", query: "?", authority: "a.", host: "a", minor: 1}},
		{"second question mark", head("GET /?a?b HTTP/1.1", "Host: a:"),
			parsed{method: "GET", path: "/", query: "?a?b", authority: "a:", host: "a", minor: 1}},
		{"white space around values", head("GET / HTTP/1.1", "Host:\t a \t", "Content-Length:  7\t"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength, length: 7}},
		{"leading zeros", head("POST / HTTP/1.1", "Host: a", "Content-Length: 0012"),
			parsed{method: "POST", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength, length: 12}},
		{"largest length", head("POST / HTTP/1.1", "Host: a", "Content-Length: 9223372036854775807"),
			parsed{method: "POST", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength, length: 1<<63 - 1}},
		{"chunked", head("POST / HTTP/1.1", "Host: a", "tRANSFER-eNCODING: Chunked"),
			parsed{method: "POST", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyChunked}},
		{"IPv6", head("GET / HTTP/1.1", "Host: [2001:DB8::1]:443"),
			parsed{method: "GET", path: "/", authority: "[2001:DB8::1]:443", host: "[2001:db8::1]", port: 443, minor: 1}},
		{"absolute form wins", head("GET http://real.example/x?y HTTP/1.1", "Host: other"),
			parsed{method: "GET", path: "/x", query: "?y", authority: "real.example", host: "real.example", minor: 1, form: httpmsg.AbsoluteForm}},
		{"absolute form without path", head("GET HTTPS://real:1?y HTTP/1.1", "Host: real:1"),
			parsed{method: "GET", path: "/", query: "?y", authority: "real:1", host: "real", port: 1, minor: 1, form: httpmsg.AbsoluteForm}},
		{"absolute form in HTTP/1.0", head("GET http://real/ HTTP/1.0"),
			parsed{method: "GET", path: "/", authority: "real", host: "real", form: httpmsg.AbsoluteForm, close: true}},
		{"asterisk", head("OPTIONS * HTTP/1.1", "Host: a"),
			parsed{method: "OPTIONS", authority: "a", host: "a", minor: 1, form: httpmsg.AsteriskForm}},
		{"asterisk for a proxy", head("OPTIONS http://a HTTP/1.1", "Host: a"),
			parsed{method: "OPTIONS", authority: "a", host: "a", minor: 1, form: httpmsg.AsteriskForm}},
		{"path that looks like an authority", head("GET //evil/x HTTP/1.1", "Host: a"),
			parsed{method: "GET", path: "//evil/x", authority: "a", host: "a", minor: 1}},
		{"extension method", head("PROPFIND / HTTP/1.1", "Host: a"),
			parsed{method: "PROPFIND", path: "/", authority: "a", host: "a", minor: 1}},
		{"close", head("GET / HTTP/1.1", "Host: a", "Connection: foo", "Connection: TE , Close"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, close: true}},
		{"HTTP/1.0", head("GET / HTTP/1.0"), parsed{method: "GET", path: "/", close: true}},
		{"HTTP/1.0 keep-alive", head("GET / HTTP/1.0", "Connection: Keep-Alive"), parsed{method: "GET", path: "/"}},
		{"HTTP/1.0 keep-alive and close", head("GET / HTTP/1.0", "Connection: keep-alive, close"),
			parsed{method: "GET", path: "/", close: true}},
		{"expectation", head("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: 100-Continue"),
			parsed{method: "POST", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength, length: 1, expect: true}},
		{"expectation without a body", head("GET / HTTP/1.1", "Host: a", "Expect: 100-continue"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1}},
		{"expectation in HTTP/1.0", head("POST / HTTP/1.0", "Content-Length: 1", "Expect: what"),
			parsed{method: "POST", path: "/", body: httpmsg.BodyLength, length: 1, close: true}},
		{"TE trailers", head("GET / HTTP/1.1", "Host: a", "TE: deflate, trailers"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, te: true}},
		{"websocket", head("GET / HTTP/1.1", "Host: a", upgrade, "Upgrade: websocket"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, upgrade: "websocket"}},
		{"upgrade list", head("GET / HTTP/1.1", "Host: a", upgrade, "Upgrade: h2c, TLS/1.0, foo/2"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, upgrade: "foo/2"}},
		{"h2c never", head("GET / HTTP/1.1", "Host: a", upgrade, "Upgrade: H2C"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1}},
		{"upgrade not in Connection", head("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1}},
		{"upgrade twice", head("GET / HTTP/1.1", "Host: a", upgrade, "Upgrade: websocket", "Upgrade: websocket"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1}},
		{"upgrade in HTTP/1.0", head("GET / HTTP/1.0", upgrade, "Upgrade: websocket"), parsed{method: "GET", path: "/"}},
		{"upgrade with a body", head("GET / HTTP/1.1", "Host: a", upgrade, "Upgrade: websocket", "Content-Length: 3"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength, length: 3}},
		{"upgrade of a POST", head("POST / HTTP/1.1", "Host: a", upgrade, "Upgrade: websocket", "Content-Length: 0"),
			parsed{method: "POST", path: "/", authority: "a", host: "a", minor: 1, body: httpmsg.BodyLength}},
		{"obs-text in a value", head("GET / HTTP/1.1", "Host: a", "X: \xe9\tx"),
			parsed{method: "GET", path: "/", authority: "a", host: "a", minor: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseRequest(t, tt.head)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(r); got != tt.want {
				t.Errorf("\ngot  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// hostileRequests are the request heads of the hostile-input list, by row,
// and what becomes of them.
var hostileRequests = []struct {
	name   string
	head   string
	status int
}{
	{"1 length and coding", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"), 400},
	{"1 coding and length", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"), 400},
	{"2 equal lengths", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 5"), 400},
	{"2 length list", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5, 6"), 400},
	{"2 equal length list", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5,5"), 400},
	{"3 plus", head("POST / HTTP/1.1", "Host: a", "Content-Length: +5"), 400},
	{"3 minus", head("POST / HTTP/1.1", "Host: a", "Content-Length: -5"), 400},
	{"3 hex", head("POST / HTTP/1.1", "Host: a", "Content-Length: 0x5"), 400},
	{"3 underscore", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5_0"), 400},
	{"3 inner space", head("POST / HTTP/1.1", "Host: a", "Content-Length: 5 5"), 400},
	{"3 empty", head("POST / HTTP/1.1", "Host: a", "Content-Length:"), 400},
	{"3 too large", head("POST / HTTP/1.1", "Host: a", "Content-Length: 9223372036854775808"), 400},
	{"3 far too large", head("POST / HTTP/1.1", "Host: a", "Content-Length: 18446744073709551621"), 400},
	{"4 xchunked", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"), 400},
	{"4 leading comma", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: ,chunked"), 400},
	{"4 identity behind", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked,identity"), 400},
	{"4 identity", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: identity"), 400},
	{"4 parameter", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked;x"), 400},
	{"4 quoted", head("POST / HTTP/1.1", "Host: a", `Transfer-Encoding: "chunked"`), 400},
	{"4 vertical tab", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: \x0bchunked"), 400},
	{"4 no-break space", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked\xa0"), 400},
	{"4 empty", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:"), 400},
	{"4 gzip", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked"), 501},
	{"5 coding twice", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
	{"5 coding twice behind a number", head("POST / HTTP/1.1", "X: 5", "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
	{"5 chunked twice", head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"), 400},
	{"6 coding in HTTP/1.0", head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400},
	{"7 space before colon", head("POST / HTTP/1.1", "Host: a", "Content-Length : 5"), 400},
	{"7 tab before name", head("POST / HTTP/1.1", "Host: a", "\tTransfer-Encoding: chunked"), 400},
	{"7 CR in name", head("POST / HTTP/1.1", "Host: a", "Transfer\r-Encoding: chunked"), 400},
	{"7 high byte in name", head("POST / HTTP/1.1", "Host: a", "X\x80: 1"), 400},
	{"7 NUL in name", head("POST / HTTP/1.1", "Host: a", "X\x00: 1"), 400},
	{"7 empty name", head("POST / HTTP/1.1", "Host: a", ": 1"), 400},
	{"7 no colon", head("POST / HTTP/1.1", "Host: a", "Xylophone"), 400},
	{"8 bare CR in value", head("GET / HTTP/1.1", "Host: a", "X: a\rb"), 400},
	{"8 bare CR as line end", "GET / HTTP/1.1\rHost: a\r\r", 400},
	{"8 bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
	{"8 one bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
	{"8 CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
	{"8 end by bare LF", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	{"9 fold", head("GET / HTTP/1.1", "Host: a", "X: a", " b"), 400},
	{"9 space before first field", head("GET / HTTP/1.1", " Host: a"), 400},
	{"9 line of white space", head("GET / HTTP/1.1", "Host: a", " "), 400},
	{"10 NUL in value", head("GET / HTTP/1.1", "Host: a", "X: a\x00b"), 400},
	{"10 control in value", head("GET / HTTP/1.1", "Host: a", "X: a\x1bb"), 400},
	{"10 DEL in value", head("GET / HTTP/1.1", "Host: a", "X: 0123456\x7f"), 400},
	{"17 odd expectation", head("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: y 100-continue"), 417},
	{"17 expectation twice", head("POST / HTTP/1.1", "Host: a", "Expect: 100-continue", "Expect: 100-continue"), 417},
	{"17 expectation list", head("POST / HTTP/1.1", "Host: a", "Expect: 100-continue, 100-continue"), 417},
	{"17 empty expectation", head("POST / HTTP/1.1", "Host: a", "Expect:"), 417},
	{"19 HTTP/0.9", "GET /\r\n\r\n", 400},
	{"19 0.9 by name", head("GET / HTTP/0.9", "Host: a"), 505},
	{"19 1.2", head("GET / HTTP/1.2", "Host: a"), 505},
	{"19 2.0", head("GET / HTTP/2.0", "Host: a"), 505},
	{"19 preface", "PRI * HTTP/2.0\r\n\r\n", 505},
	{"19 lower case", head("GET / http/1.1", "Host: a"), 400},
	{"19 leading zero", head("GET / HTTP/01.1", "Host: a"), 400},
	{"19 overflow", head("GET / HTTP/1.4294967297", "Host: a"), 400},
	{"19 two digits", head("GET / HTTP/1.10", "Host: a"), 400},
	{"19 no minor", head("GET / HTTP/1", "Host: a"), 400},
	{"19 behind version", head("GET / HTTP/1.1 x", "Host: a"), 400},
	{"19 space behind version", head("GET / HTTP/1.1 ", "Host: a"), 400},
	{"20 no token", head("G(T / HTTP/1.1", "Host: a"), 400},
	{"20 empty", head(" / HTTP/1.1", "Host: a"), 400},
	{"20 lower case", head("get / HTTP/1.1", "Host: a"), 400},
	{"20 mixed case", head("Post / HTTP/1.1", "Host: a"), 400},
	{"20 too long", head(strings.Repeat("M", 33)+" / HTTP/1.1", "Host: a"), 400},
	{"20 CONNECT", head("CONNECT a:443 HTTP/1.1", "Host: a"), 405},
	{"20 TRACE", head("TRACE / HTTP/1.1", "Host: a"), 405},
	{"21 two spaces before", head("GET  / HTTP/1.1", "Host: a"), 400},
	{"21 two spaces behind", head("GET /  HTTP/1.1", "Host: a"), 400},
	{"21 tab", head("GET\t/ HTTP/1.1", "Host: a"), 400},
	{"21 tab behind", head("GET /\tHTTP/1.1", "Host: a"), 400},
	{"21 control", head("GET /a\x01 HTTP/1.1", "Host: a"), 400},
	{"21 DEL", head("GET /0123456789\x7f HTTP/1.1", "Host: a"), 400},
	{"21 high byte", head("GET /caf\xc3\xa9/0123 HTTP/1.1", "Host: a"), 400},
	{"21 fragment", head("GET /a#b HTTP/1.1", "Host: a"), 400},
	{"21 space in target", head("GET /a b HTTP/1.1", "Host: a"), 400},
	{"21 no slash", head("GET a HTTP/1.1", "Host: a"), 400},
	{"21 query only", head("GET ?a HTTP/1.1", "Host: a"), 400},
	{"21 asterisk of GET", head("GET * HTTP/1.1", "Host: a"), 400},
	{"21 asterisk and more", head("OPTIONS *a HTTP/1.1", "Host: a"), 400},
	{"21 leading space", " " + head("GET / HTTP/1.1", "Host: a"), 400},
	{"22 other scheme", head("GET ftp://a/ HTTP/1.1", "Host: a"), 400},
	{"22 no authority", head("GET http:///x HTTP/1.1", "Host: a"), 400},
	{"22 nothing", head("GET http:// HTTP/1.1", "Host: a"), 400},
	{"22 user in target", head("GET http://u@a/ HTTP/1.1", "Host: a"), 400},
	{"22 backslash in authority", head(`GET http://a\b/ HTTP/1.1`, "Host: a"), 400},
	{"22 no Host", head("GET http://a/ HTTP/1.1"), 400},
	{"22 bad Host", head("GET http://a/ HTTP/1.1", "Host: a b"), 400},
	{"23 none", head("GET / HTTP/1.1"), 400},
	{"23 two", head("GET / HTTP/1.1", "Host: a", "Host: a"), 400},
	{"23 two in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "Host: b"), 400},
	{"23 empty", head("GET / HTTP/1.1", "Host: "), 400},
	{"23 comma", head("GET / HTTP/1.1", "Host: a,b"), 400},
	{"23 user", head("GET / HTTP/1.1", "Host: u@a"), 400},
	{"23 path", head("GET / HTTP/1.1", "Host: a/b"), 400},
	{"23 space", head("GET / HTTP/1.1", "Host: a b"), 400},
	{"23 two ports", head("GET / HTTP/1.1", "Host: a:1:2"), 400},
	{"23 port too large", head("GET / HTTP/1.1", "Host: a:65536"), 400},
	{"23 port zero", head("GET / HTTP/1.1", "Host: a:0"), 400},
	{"23 port with sign", head("GET / HTTP/1.1", "Host: a:+1"), 400},
	{"23 only a port", head("GET / HTTP/1.1", "Host: :80"), 400},
	{"23 behind bracket", head("GET / HTTP/1.1", "Host: [::1]x"), 400},
	{"23 open bracket", head("GET / HTTP/1.1", "Host: [::1"), 400},
	{"23 no address in brackets", head("GET / HTTP/1.1", "Host: [a]"), 400},
	{"23 IPv4 in brackets", head("GET / HTTP/1.1", "Host: [1.2.3.4]"), 400},
	{"23 zone", head("GET / HTTP/1.1", "Host: [fe80::1%25eth0]"), 400},
	{"23 bare IPv6", head("GET / HTTP/1.1", "Host: ::1"), 400},
	{"23 NUL", head("GET / HTTP/1.1", "Host: a\x00"), 400},
	{"23 percent", head("GET / HTTP/1.1", "Host: a%2eb"), 400},
	{"23 empty label", head("GET / HTTP/1.1", "Host: a..b"), 400},
	{"23 dot", head("GET / HTTP/1.1", "Host: ."), 400},
	{"23 high bytes", head("GET / HTTP/1.1", "Host: caf\xc3\xa9"), 400},
	{"23 too long", head("GET / HTTP/1.1", "Host: "+strings.Repeat("a", 262)), 400},
	{"24 head too long", head("GET / HTTP/1.1", "Host: a", "X: "+strings.Repeat("a", 32<<10)), 431},
	{"24 too many fields", head("GET / HTTP/1.1", "Host: a"+strings.Repeat("\r\nX: y", 100)), 431},
	{"24 target too long", head("GET /"+strings.Repeat("a", 8<<10)+" HTTP/1.1", "Host: a"), 414},
	{"41 endless options", head("GET / HTTP/1.1", "Host: a", "Connection: "+strings.Repeat("a,", 33)), 400},
}

func TestHostileRequestsAreRefused(t *testing.T) {
	for _, tt := range hostileRequests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseRequest(t, tt.head)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Status != tt.status || e.Reason == "" || e.Info == "" {
				t.Errorf("got %+v, want status %d", *e, tt.status)
			}
		})
	}
}
