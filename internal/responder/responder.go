// Package responder asks OCSP responders over HTTP (RFC 6960 Appendix A).
package responder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Client asks responders. It is safe for use by any number of goroutines.
type Client struct {
	http *http.Client
}

// askTime bounds one question; maxAnswer the answer in bytes.
const (
	askTime   = 10 * time.Second
	maxAnswer = 64 << 10
)

// New returns a Client. It follows no redirects, uses no proxy, and connects to
// no link-local address, where clouds have their secrets: URLs come from
// certificates, of CAs that are trusted, and yet written by others.
func New() *Client {
	dialer := &net.Dialer{Timeout: askTime, Control: refuseLinkLocal}
	return &Client{http: &http.Client{
		Timeout:       askTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxResponseHeaderBytes: 16 << 10, TLSHandshakeTimeout: askTime,
			MaxConnsPerHost: 64, MaxIdleConns: 16, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second},
	}}
}

func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || a.Addr().Unmap().IsLinkLocalUnicast() {
		return fmt.Errorf("%s is not asked: a link-local address", address)
	}
	return nil
}

// Ask sends a request in DER and returns the answer, of which nothing was
// checked but its size.
func (c *Client) Ask(ctx context.Context, url string, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	r.Header.Set("Accept", "application/ocsp-response")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errors.New(url + " answered more than 64 KiB")
	}
	return data, err
}

// Close ends connections that wait.
func (c *Client) Close() { c.http.CloseIdleConnections() }
