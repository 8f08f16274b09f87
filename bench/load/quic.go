//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// asker asks over HTTP/3 for one thing after the other: a stream of one of the
// connections. The client is quic-go's, so that what it costs is much; what the
// proxy costs is measured apart.
type asker struct {
	opts   *Options
	win    *window
	client *http3.Transport
	url    string
	buf    []byte

	counters
}

// runQUIC is Run over HTTP/3.
func runQUIC(ctx context.Context, o *Options, config *tls.Config) (*Result, error) {
	win := newWindow()
	var askers sync.WaitGroup
	var all []*counters
	for range o.Conns {
		client := o.quicClient(config)
		defer client.Close()
		for range max(1, o.Streams) {
			a := &asker{opts: o, win: win, client: client, url: "https://" + o.Host + o.Path, buf: make([]byte, 32<<10)}
			a.errors = make(map[string]int64)
			all = append(all, &a.counters)
			askers.Go(a.run)
		}
	}
	m := &meter{opts: o, win: win, counters: all}
	err := m.measure(ctx, nil)
	win.stop.Store(true)
	askers.Wait()
	if err != nil {
		return nil, err
	}
	return m.result(), nil
}

// quicClient is one connection.
func (o *Options) quicClient(config *tls.Config) *http3.Transport {
	config = config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	return &http3.Transport{TLSClientConfig: config, DisableCompression: true,
		Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, o.Addr.String(), tc, qc)
		}}
}

// TryQUIC makes one request over HTTP/3.
func TryQUIC(ctx context.Context, o Options) error {
	config, err := o.TLS.config()
	if err != nil {
		return err
	}
	a := &asker{opts: &o, client: o.quicClient(config), url: "https://" + o.Host + o.Path, buf: make([]byte, 32<<10)}
	defer a.client.Close()
	return a.exchange(ctx)
}

func (a *asker) run() {
	for !a.win.stop.Load() && a.failed <= maxErrors {
		began := a.win.now()
		ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
		err := a.exchange(ctx)
		cancel()
		if err != nil {
			a.fail(err)
			time.Sleep(retryDelay)
			continue
		}
		now := a.win.now()
		a.completed.Add(1)
		if a.win.holds(now) {
			a.hist.Record(now - began)
		}
	}
}

var errShortBody = errors.New("body of another length")

// exchange makes a request and checks the reply.
func (a *asker) exchange(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return err
	}
	resp, err := a.client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if want := max(a.opts.Status, http.StatusOK); resp.StatusCode != want {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	length := 0
	for {
		n, err := resp.Body.Read(a.buf)
		length += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if a.opts.Length != AnyLength && length != a.opts.Length {
		return errShortBody
	}
	return nil
}
