// Package jwks keeps a JSON Web Key Set up to date that an issuer of tokens
// has at a URL (RFC 7517). It fetches; what the set says is for its user.
package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// fetchTime bounds one fetch, and maxSet what it may bring.
	fetchTime = 10 * time.Second
	maxSet    = 1 << 20
	// askInterval is how often users can cause a fetch: anybody can make a
	// token that names a key which nobody has.
	askInterval = 10 * time.Second
	// askPatience is how long they wait for one.
	askPatience = 3 * time.Second
	// Failed fetches are repeated after firstRetry, and twice that, and so on.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Options configure a Source.
type Options struct {
	URL     string
	Roots   *x509.CertPool // nil: the system's
	Refresh time.Duration
	// Accept takes a set that was fetched; its error leaves the one before in
	// use. It is called by one goroutine at a time.
	Accept func(set []byte) error
	Logger *slog.Logger
}

// Source fetches a set again and again while it runs.
type Source struct {
	opts   Options
	client *http.Client
	wake   chan struct{}

	mu    sync.Mutex
	began time.Time     // the last fetch
	done  chan struct{} // closed when the one that is due or under way is over; nil: none is
}

// New makes a Source, which fetches nothing before Run.
func New(o Options) *Source {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots}}
	return &Source{opts: o, wake: make(chan struct{}, 1), done: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: fetchTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Run fetches at once and then every Refresh, sooner after a failure or when
// it is asked to, until ctx ends.
func (s *Source) Run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	retry := firstRetry
	for ctx.Err() == nil {
		next := s.opts.Refresh
		if err := s.fetch(ctx); err != nil && ctx.Err() == nil {
			s.opts.Logger.Warn("keys of an issuer not fetched; those of before stay in use", "url", s.opts.URL, "error", err, "retry", retry)
			next, retry = min(retry, next), min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		}
		timer.Stop()
	}
	s.end()
}

// Ask wants a newer set, and waits for it a little. It returns at once when
// one was fetched a short time ago.
func (s *Source) Ask() {
	s.mu.Lock()
	if s.done == nil {
		if time.Since(s.began) < askInterval {
			s.mu.Unlock()
			return
		}
		s.done = make(chan struct{})
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	done := s.done
	s.mu.Unlock()
	late := time.NewTimer(askPatience)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// begin notes that a fetch is under way.
func (s *Source) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	if s.done == nil {
		s.done = make(chan struct{})
	}
}

// end lets those go on who wait.
func (s *Source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		close(s.done)
		s.done = nil
	}
}

func (s *Source) fetch(ctx context.Context) error {
	s.begin()
	defer s.end()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.opts.URL, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	r.Header.Set("User-Agent", "Gatehouse")
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	set, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return err
	}
	if len(set) > maxSet {
		return errors.New("the set is too large")
	}
	return s.opts.Accept(set)
}
