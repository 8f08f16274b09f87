package jwks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// trip answers a fetch.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// running runs a source without a network until the test ends.
func running(t *testing.T, answer func(n int64) (int, string)) (s *Source, fetched, accepted *atomic.Int64) {
	fetched, accepted = &atomic.Int64{}, &atomic.Int64{}
	s = New(Options{URL: "https://id.test/jwks", Refresh: time.Hour, Logger: slog.New(slog.DiscardHandler), Accept: func(set []byte) error {
		if string(set) != "good" {
			return errors.New("bad")
		}
		accepted.Add(1)
		return nil
	}})
	s.client.Transport = trip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "id.test" {
			t.Errorf("%s was asked", r.URL)
		}
		status, body := answer(fetched.Add(1))
		if status == 0 {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://evil.test/"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, fetched, accepted
}

func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []struct {
			status int
			body   string
		}{{500, "good"}, {200, "evil"}, {200, strings.Repeat("x", maxSet+1)}, {302, "good"}, {0, ""}, {200, "good"}}
		_, fetched, accepted := running(t, func(n int64) (int, string) {
			a := answers[min(int(n), len(answers))-1]
			return a.status, a.body
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if fetched.Load() != 6 || accepted.Load() != 1 { // after 1, 3, 7, 15 s, ten of waiting, and 31
			t.Errorf("%d fetches in a minute, %d good", fetched.Load(), accepted.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if fetched.Load() != 7 || accepted.Load() != 2 {
			t.Errorf("%d fetches in an hour, %d good", fetched.Load(), accepted.Load())
		}
	})
}

func TestWhoAsksWaitsForOneFetchAndNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := atomic.Bool{}
		s, fetched, _ := running(t, func(int64) (int, string) {
			if slow.Load() {
				time.Sleep(time.Second)
			}
			return 200, "good"
		})
		s.Ask() // the first is under way
		if s.Ask(); fetched.Load() != 1 {
			t.Fatalf("%d fetches", fetched.Load())
		}
		time.Sleep(askInterval)
		slow.Store(true)
		from, asked := time.Now(), make(chan time.Duration, 100)
		for range 100 {
			go func() { s.Ask(); asked <- time.Since(from) }()
		}
		for range 100 {
			if d := <-asked; d != time.Second {
				t.Fatalf("waited %v", d)
			}
		}
		for range 100 {
			s.Ask()
		}
		if d := time.Since(from); fetched.Load() != 2 || d != time.Second {
			t.Errorf("%d fetches in %v", fetched.Load(), d)
		}
	})
}

func TestNobodyWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := running(t, func(int64) (int, string) { return 0, "" })
		from := time.Now()
		if s.Ask(); time.Since(from) != askPatience {
			t.Errorf("waited %v", time.Since(from))
		}
	})
}

func TestOnlyTheRightServerIsBelieved(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "good") }))
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	accept := func([]byte) error { return nil }
	stranger := New(Options{URL: server.URL, Refresh: time.Hour, Logger: slog.New(slog.DiscardHandler), Accept: accept})
	if err := stranger.fetch(t.Context()); err == nil {
		t.Error("a certificate of nobody is believed")
	}
	known := New(Options{URL: server.URL, Roots: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, Refresh: time.Hour, Logger: slog.New(slog.DiscardHandler), Accept: accept})
	if err := known.fetch(t.Context()); err != nil {
		t.Error(err)
	}
}
