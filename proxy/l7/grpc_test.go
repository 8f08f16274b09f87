package l7

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// callGRPC makes a call that sends a message and ends.
func callGRPC(t testing.TB, c *http.Client, kind string) *http.Response {
	t.Helper()
	q, _ := http.NewRequest("POST", "http://shop.test/some.Service/Method", io.MultiReader(strings.NewReader("\x00\x00\x00\x00\x00")))
	q.Header.Set("Content-Type", kind)
	r, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r
}

func TestOurOwnErrorsAreErrorsOfGRPC(t *testing.T) {
	slow := func(c *testkit.H2Conn, r *testkit.H2Request) { <-r.Gone }
	g, _ := two(t, slow, func(s *setup) {
		s.settings = func(b *config.BackendSettings) { b.RequestTimeout = 50 * time.Millisecond }
	})
	for _, test := range []struct{ kind, status string }{
		{"application/grpc", "14"}, {"application/grpc+proto", "14"}, {"application/grpc-web", ""}, {"text/plain", ""},
	} {
		r := callGRPC(t, client2(t, g), test.kind)
		want := 504
		if test.status != "" {
			want = 200
		}
		if r.StatusCode != want || r.Header.Get("Grpc-Status") != test.status {
			t.Errorf("%s: %d %v", test.kind, r.StatusCode, r.Header)
		}
		if test.status != "" && (r.Header.Get("Grpc-Message") != "504 Gateway Timeout" || r.Header.Get("Content-Length") != "") {
			t.Errorf("%s: %v", test.kind, r.Header)
		}
	}
	for _, l := range g.lines(t, 4) {
		if l["httpStatus"] != float64(504) {
			t.Errorf("the log says %v", l)
		}
	}
}

func TestStatusOfGRPC(t *testing.T) {
	for status, want := range map[int]int{400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14, 500: 2, 413: 2, 508: 2} {
		if got := grpcStatus(status); got != want {
			t.Errorf("%d is %d, want %d", status, got, want)
		}
	}
}

// A server that gives a call up says so by its code, which its client must see.
func TestAResetIsAStatusOfGRPC(t *testing.T) {
	for _, test := range []struct {
		code    http2.ErrCode
		timeout string
		want    string
	}{
		{http2.ErrCodeCancel, "", "1"}, {http2.ErrCodeCancel, "1n", "4"}, {http2.ErrCodeCancel, "1H", "1"}, {http2.ErrCodeCancel, "x", "1"},
		{http2.ErrCodeEnhanceYourCalm, "", "8"}, {http2.ErrCodeInternal, "", "13"},
	} {
		g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) { c.Reset(r, test.code) })
		q, _ := http.NewRequest("POST", "http://shop.test/", io.MultiReader(strings.NewReader("x")))
		q.Header.Set("Content-Type", "application/grpc")
		if test.timeout != "" {
			q.Header.Set("Grpc-Timeout", test.timeout)
		}
		r, err := client2(t, g).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got := r.Header.Get("Grpc-Status"); got != test.want {
			t.Errorf("%v with timeout %q is %s, want %s", test.code, test.timeout, got, test.want)
		}
	}
}
