package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

const (
	// maxBody is how much of a body is searched.
	maxBody = 64 << 10
	// maxHead bounds the head of an answer.
	maxHead = 64 << 10
	// maxInterim bounds the 1xx answers before the one that counts.
	maxInterim = 8
	// userAgent lets a backend tell probes from requests.
	userAgent = "gatehouse-probe"
)

// HTTP asks with GET. A redirect is an answer like any other and not
// followed; credentials are never sent.
type HTTP struct {
	Network string   // "tcp" or "unix"
	Address string   // host:port, or the path of a socket
	Host    string   // Host field
	Target  *url.URL // path and query
	// Header are sent beside Host, and instead of the prober's own if those
	// have the same names.
	Header []config.Header
	// Dial connects; nil: like a [net.Dialer].
	Dial DialFunc
	// TLS, if not nil, is used as it is: https.
	TLS *tls.Config
	// HTTP2 asks over HTTP/2: by what TLS must offer and the other side chose,
	// and without TLS at once.
	HTTP2 bool
	// Status are the codes of a healthy answer.
	Status []config.StatusRange
	// Body, if not empty, must occur in the first 64 KiB of the body.
	Body string
}

// Check implements [health.Checker].
func (h *HTTP) Check(ctx context.Context) error {
	// Not http.Transport: its dials and handshakes outlive the request
	// that wanted them (it might use the connection for another), so that
	// probes that time out would pile up behind their own limit.
	conn, err := h.dial(ctx)
	if err != nil {
		return health.Failure(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if h.HTTP2 && speaksHTTP2(conn) {
		return h.exchangeHTTP2(ctx, conn)
	}
	return h.exchange(conn)
}

// speaksHTTP2 reports whether the other side has agreed to HTTP/2, or cannot be
// asked.
func speaksHTTP2(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return !ok || secure.ConnectionState().NegotiatedProtocol == http2Protocol
}

// http2Protocol is HTTP/2 over TLS in ALPN.
const http2Protocol = "h2"

// dial connects, and shakes hands if it is to be TLS.
func (h *HTTP) dial(ctx context.Context) (net.Conn, error) {
	conn, err := h.Dial.dial(ctx, h.Network, h.Address)
	if err != nil || h.TLS == nil {
		return conn, err
	}
	secure := tls.Client(conn, h.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// exchange sends the request and judges the answer.
func (h *HTTP) exchange(conn net.Conn) error {
	request := h.request()
	if err := request.Write(conn); err != nil {
		return health.Failure(err)
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	response, err := readResponse(bufio.NewReader(limited), request)
	switch {
	case err != nil && limited.N <= 0:
		return fmt.Errorf("head of the answer is larger than %d KiB", maxHead>>10)
	case err != nil:
		return health.Failure(err)
	}
	// The body is not closed: that would read what is left of it, which may
	// come slowly. Nothing but the connection has to be given back.
	limited.N = maxBody * 2 // chunks have frames; what is decoded is bounded below
	return h.judge(response)
}

// exchangeHTTP2 is exchange over HTTP/2.
func (h *HTTP) exchangeHTTP2(ctx context.Context, conn net.Conn) error {
	request := h.request()
	client, err := clientOn(ctx, conn, request.URL.Scheme)
	if err != nil {
		return health.Failure(err)
	}
	defer client.Close()
	response, err := client.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return health.Failure(err)
	}
	defer response.Body.Close()
	return h.judge(response)
}

// judge says what is wrong with a response, if anything is.
func (h *HTTP) judge(response *http.Response) error {
	if !h.accepts(response.StatusCode) {
		return health.Refused(fmt.Sprintf("status %d not in %s", response.StatusCode, ranges(h.Status)))
	}
	if h.Body == "" {
		return nil
	}
	return h.search(response.Body)
}

// search looks for the text in the beginning of a body.
func (h *HTTP) search(r io.Reader) error {
	body, err := io.ReadAll(io.LimitReader(r, maxBody))
	if bytes.Contains(body, []byte(h.Body)) {
		return nil
	}
	if err != nil {
		return errors.New("reading the body: " + health.Reason(err))
	}
	return fmt.Errorf("body does not contain %q", short(h.Body))
}

// readResponse reads the final response.
func readResponse(r *bufio.Reader, request *http.Request) (*http.Response, error) {
	for range maxInterim {
		response, err := http.ReadResponse(r, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim answers", maxInterim)
}

func (h *HTTP) request() *http.Request {
	u := *h.Target
	if u.Scheme, u.Host = "http", h.Host; h.TLS != nil {
		u.Scheme = "https"
	}
	header := http.Header{"User-Agent": {userAgent}, "Accept": {"*/*"}}
	for _, f := range h.Header {
		header.Set(f.Name, f.Value)
	}
	return &http.Request{
		Method:     http.MethodGet,
		URL:        &u,
		Host:       h.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     header,
		Close:      true,
	}
}

func (h *HTTP) accepts(status int) bool {
	for _, r := range h.Status {
		if r.From <= status && status <= r.To {
			return true
		}
	}
	return false
}

// ranges writes status ranges as the configuration does.
func ranges(all []config.StatusRange) string {
	var parts []string
	for _, r := range all {
		if r.From == r.To {
			parts = append(parts, fmt.Sprint(r.From))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", r.From, r.To))
		}
	}
	return strings.Join(parts, ", ")
}

// short is the beginning of a text, for a reason.
func short(s string) string {
	const enough = 60
	n := 0
	for i := range s {
		if n++; n > enough {
			return s[:i] + "..."
		}
	}
	return s
}

// forName is c for a server of that name, which crypto/tls sends as SNI unless
// it is an address.
func forName(c *tls.Config, name string) *tls.Config {
	c = c.Clone()
	c.ClientSessionCache = nil // each probe shakes hands in full, and sees the certificate of now
	c.NextProtos = []string{"http/1.1"}
	c.ServerName = name
	return c
}
