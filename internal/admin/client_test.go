package admin

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestClientGetsAndPosts(t *testing.T) {
	c := Client{Address: serve(t, newAdmin(t, Options{})), Name: "appgw"}
	var status, drained map[string]string
	if err := c.Get(t.Context(), "/status", nil, &status); err != nil || status["pool"] != "<b>shop</b>" {
		t.Errorf("Get: %v, %v", status, err)
	}
	backend := "shop/10.0.0.4:80&x=1"
	if err := c.Post(t.Context(), "/drain", url.Values{"backend": {backend}}, &drained); err != nil || drained["drained"] != backend {
		t.Errorf("Post: %v, %v", drained, err)
	}
	if err := c.Post(t.Context(), "/reload", nil, nil); err != nil {
		t.Errorf("Post: %v", err)
	}
}

func TestClientPassesErrorsOn(t *testing.T) {
	c := Client{Address: serve(t, newAdmin(t, Options{})), Name: "appgw"}
	for _, tt := range []struct {
		path   string
		args   url.Values
		status int
		text   string
	}{
		{"/drain", nil, 400, "which backend?"},
		{"/drain", url.Values{"backend": {"broken"}}, 500, "broken"},
		{"/nothing", nil, 404, "/nothing: 404 page not found"},
	} {
		err := c.Post(t.Context(), tt.path, tt.args, nil)
		remote, ok := errors.AsType[*RemoteError](err)
		if !ok || remote.Status != tt.status || !strings.HasSuffix(remote.Text, tt.text) {
			t.Errorf("%s %v: %v", tt.path, tt.args, err)
		}
	}
}

func TestClientSaysWhenNothingRuns(t *testing.T) {
	free := testkit.RefusingAddr(t)
	missing := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	for _, tt := range []struct {
		address, want string
		cause         error
	}{
		{free, "is appgw running? admin address " + free + " refused the connection", unix.ECONNREFUSED},
		{missing, "is appgw running? admin address " + missing + " does not exist", unix.ENOENT},
	} {
		c := Client{Address: tt.address, Name: "appgw"}
		err := c.Get(t.Context(), "/status", nil, nil)
		if err == nil || err.Error() != tt.want || !errors.Is(err, tt.cause) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestClientTrustsNoAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"another server", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, "what answers there is not appgw"},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{")
		}, "unexpected end of JSON"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "what answers there is not appgw"},
		{"terminal sequences", func(w http.ResponseWriter, r *http.Request) {
			writeError(w, r, errors.New("a\x1b[2Jb\x07\u202ec\nd"))
		}, "a[2Jbc\nd"},
		{"no end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range maxAnswer>>20 + 1 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, "larger than 64 MiB"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			c := Client{Address: server.Listener.Addr().String(), Name: "appgw", Timeout: 10 * time.Second}
			if tt.name == "no answer" {
				c.Timeout = 50 * time.Millisecond
			}
			var into any
			if err := c.Get(t.Context(), "/status", nil, &into); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
