package responder

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/good":
			io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
		case "/redirect":
			http.Redirect(w, r, "/good", http.StatusTemporaryRedirect)
		case "/large":
			w.Write(make([]byte, maxAnswer+1))
		case "/slow":
			<-r.Context().Done()
		default:
			w.WriteHeader(500)
		}
	}))
	defer s.Close()
	c := New()
	defer c.Close()
	tests := []struct{ path, want, err string }{
		{"/good", "POST application/ocsp-request question", ""},
		{"/redirect", "", "answered 307"},
		{"/large", "", "more than 64 KiB"},
		{"/none", "", "answered 500"},
		{"/slow", "", "deadline"},
	}
	for _, tt := range tests {
		patience := 20 * time.Second
		if tt.path == "/slow" {
			patience = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		got, err := c.Ask(ctx, s.URL+tt.path, []byte("question"))
		cancel()
		if tt.err == "" && (err != nil || string(got) != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %.60q, %v", tt.path, got, err)
		}
	}
}

func TestLinkLocalAddressesAreNotAsked(t *testing.T) {
	c := New()
	for _, url := range []string{"http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "ftp://127.0.0.1/"} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		_, err := c.Ask(ctx, url, nil)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "link-local") && !strings.Contains(err.Error(), "protocol scheme") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
