package http1

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
)

func parseResponse(t testing.TB, text string, method httpmsg.Method) (*httpmsg.Response, error) {
	t.Helper()
	end, _, err := HeadEnd([]byte(text), 0)
	if err != nil {
		return nil, err
	}
	if end == 0 {
		t.Fatalf("no end found in %q", text)
	}
	r := new(httpmsg.Response)
	return r, ParseResponse([]byte(text[:end]), r, method, &testLimits)
}

func TestResponsesAreUnderstood(t *testing.T) {
	type want struct {
		status int
		reason string
		minor  uint8
		body   httpmsg.BodyKind
		length int64
		close  bool
	}
	tests := []struct {
		name   string
		method httpmsg.Method
		head   string
		want   want
	}{
		{"plain", httpmsg.GET, head("HTTP/1.1 200 OK", "Content-Length: 5"), want{200, "OK", 1, httpmsg.BodyLength, 5, false}},
		{"chunked", httpmsg.GET, head("HTTP/1.1 200 ", "Transfer-Encoding: chunked"), want{200, "", 1, httpmsg.BodyChunked, -1, false}},
		{"no reason at all", httpmsg.GET, head("HTTP/1.1 404", "Content-Length: 0"), want{404, "", 1, httpmsg.BodyLength, 0, false}},
		{"to close", httpmsg.GET, head("HTTP/1.1 200 Go on\tthen"), want{200, "Go on\tthen", 1, httpmsg.BodyToClose, -1, true}},
		{"says close", httpmsg.GET, head("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 1"), want{200, "OK", 1, httpmsg.BodyLength, 1, true}},
		{"HTTP/1.0", httpmsg.GET, head("HTTP/1.0 200 OK", "Content-Length: 1"), want{200, "OK", 0, httpmsg.BodyLength, 1, true}},
		{"HTTP/1.0 keep-alive", httpmsg.GET, head("HTTP/1.0 200 OK", "Content-Length: 1", "Connection: keep-alive"), want{200, "OK", 0, httpmsg.BodyLength, 1, false}},
		{"HEAD", httpmsg.HEAD, head("HTTP/1.1 200 OK", "Content-Length: 5"), want{200, "OK", 1, httpmsg.BodyNone, 5, false}},
		{"HEAD chunked", httpmsg.HEAD, head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), want{200, "OK", 1, httpmsg.BodyNone, -1, false}},
		{"HEAD without length", httpmsg.HEAD, head("HTTP/1.1 200 OK"), want{200, "OK", 1, httpmsg.BodyNone, -1, false}},
		{"304", httpmsg.GET, head("HTTP/1.1 304 Not Modified", "Content-Length: 5"), want{304, "Not Modified", 1, httpmsg.BodyNone, 5, false}},
		{"204", httpmsg.GET, head("HTTP/1.1 204 No Content"), want{204, "No Content", 1, httpmsg.BodyNone, -1, false}},
		{"204 with length 0", httpmsg.GET, head("HTTP/1.1 204 No Content", "Content-Length: 0"), want{204, "No Content", 1, httpmsg.BodyNone, 0, false}},
		{"204 with length", httpmsg.GET, head("HTTP/1.1 204 No Content", "Content-Length: 4"), want{204, "No Content", 1, httpmsg.BodyNone, 4, true}},
		{"100", httpmsg.POST, head("HTTP/1.1 100 Continue"), want{100, "Continue", 1, httpmsg.BodyNone, -1, false}},
		{"101", httpmsg.GET, head("HTTP/1.1 101 Switching", "Upgrade: websocket", "Connection: upgrade"), want{101, "Switching", 1, httpmsg.BodyNone, -1, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parseResponse(t, tt.head, tt.method)
			if err != nil {
				t.Fatal(err)
			}
			got := want{r.Status, string(r.Bytes(r.Reason)), r.Minor, r.Body, r.ContentLength, r.Close}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestNoLengthWhereNoBodyMayBe(t *testing.T) {
	r, err := parseResponse(t, head("HTTP/1.1 204 No Content", "Content-Length: 0", "X: y"), httpmsg.GET)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.AppendLines(nil)); got != "X: y\r\n" {
		t.Errorf("forwards %q", got)
	}
}

// hostileResponses are the response heads of the hostile-input list (rows 72
// to 75).
var hostileResponses = []struct{ name, head string }{
	{"length and coding", head("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked")},
	{"two lengths", head("HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 5")},
	{"length list", head("HTTP/1.1 200 OK", "Content-Length: 5, 5")},
	{"bad length", head("HTTP/1.1 200 OK", "Content-Length: 5x")},
	{"bad length to HEAD and 304 alike", head("HTTP/1.1 304 OK", "Content-Length: -5")},
	{"empty length", head("HTTP/1.1 200 OK", "Content-Length: ")},
	{"coding in HTTP/1.0", head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")},
	{"gzip coding", head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked")},
	{"identity coding", head("HTTP/1.1 200 OK", "Transfer-Encoding: identity")},
	{"two codings", head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")},
	{"chunked 204", head("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")},
	{"chunked 101", head("HTTP/1.1 101 Switching", "Transfer-Encoding: chunked")},
	{"letter in status", head("HTTP/1.1 200x OK")},
	{"four digits", head("HTTP/1.1 2000 OK")},
	{"two digits", head("HTTP/1.1 20 OK")},
	{"below 100", head("HTTP/1.1 099 OK")},
	{"999", head("HTTP/1.1 999 OK")},
	{"600", head("HTTP/1.1 600 OK")},
	{"signed", head("HTTP/1.1 +20 OK")},
	{"two spaces", head("HTTP/1.1  200 OK")},
	{"tab", head("HTTP/1.1\t200 OK")},
	{"no status", head("HTTP/1.1")},
	{"HTTP/2", head("HTTP/2.0 200 OK")},
	{"HTTP/1.2", head("HTTP/1.2 200 OK")},
	{"lower case", head("http/1.1 200 OK")},
	{"ICY", head("ICY 200 OK")},
	{"NUL in reason", head("HTTP/1.1 200 O\x00K")},
	{"CR in reason", head("HTTP/1.1 200 O\rK")},
	{"NUL in value", head("HTTP/1.1 200 OK", "X: a\x00b")},
	{"CR in value", head("HTTP/1.1 200 OK", "X: a\rSet-Cookie: b")},
	{"space before colon", head("HTTP/1.1 200 OK", "X : a")},
	{"fold", head("HTTP/1.1 200 OK", "X: a", " b")},
	{"LF only", "HTTP/1.1 200 OK\nX: y\n\n"},
	{"one LF", "HTTP/1.1 200 OK\r\nX: y\nZ: z\r\n\r\n"},
	{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
	{"too many fields", head("HTTP/1.1 200 OK" + strings.Repeat("\r\nX: y", 101))},
	{"too large", head("HTTP/1.1 200 OK", "X: "+strings.Repeat("y", 32<<10))},
	{"endless options", head("HTTP/1.1 200 OK", "Connection: "+strings.Repeat("a,", 33))},
}

func TestHostileResponsesAreRefused(t *testing.T) {
	for _, tt := range hostileResponses {
		for _, method := range []httpmsg.Method{httpmsg.GET, httpmsg.HEAD} {
			t.Run(tt.name+" to "+method.String(), func(t *testing.T) {
				_, err := parseResponse(t, tt.head, method)
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("got %v, want an *Error", err)
				}
				// HeadEnd does not know which side it serves.
				if e.Status != 502 && e != errBareBreak && e != errNotHTTP {
					t.Errorf("got %+v, want status 502", *e)
				}
			})
		}
	}
}

func TestStatusLines(t *testing.T) {
	if got := string(AppendStatusLine([]byte("."), 404, nil)); got != ".HTTP/1.1 404 Not Found\r\n" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendStatusLine(nil, 404, []byte("Gone fishing"))); got != "HTTP/1.1 404 Gone fishing\r\n" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendStatusLine(nil, 599, nil)); got != "HTTP/1.1 599 \r\n" {
		t.Errorf("got %q", got)
	}
}

func TestReasonPhrasesAreStandard(t *testing.T) {
	newer := map[int]string{413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable",
		422: "Unprocessable Content", 499: "Client Closed Request"}
	for status := -1; status < 1000; status++ {
		want := http.StatusText(status)
		if text, ok := newer[status]; ok {
			want = text
		}
		if got := ReasonPhrase(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}
