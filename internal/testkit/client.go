package testkit

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every single wait of a client: long enough for a loaded machine, short enough to see which test hangs.
const patience = 15 * time.Second

// Client is one raw connection to a server under test. Its methods fail the test instead of returning errors, except for
// those of the embedded net.Conn. Reads are buffered: use its own methods to read.
type Client struct {
	net.Conn
	t   testing.TB
	tcp *net.TCPConn
	br  *bufio.Reader
}

// Dial connects to host:port; the connection is closed when the test ends.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return NewClient(t, conn.(*net.TCPConn), nil)
}

// DialTLS connects to host:port and completes a TLS handshake.
func DialTLS(t testing.TB, addr string, config *tls.Config) *Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	secure := tls.Client(conn, config)
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		conn.Close()
		t.Fatalf("testkit: handshake with %s: %v", addr, err)
	}
	_ = conn.SetDeadline(time.Time{})
	return NewClient(t, conn.(*net.TCPConn), secure)
}

// NewClient wraps a connection that the test opened itself; secure is its TLS layer or nil.
func NewClient(t testing.TB, tcp *net.TCPConn, secure *tls.Conn) *Client {
	c := &Client{Conn: tcp, t: t, tcp: tcp}
	if secure != nil {
		c.Conn = secure
	}
	c.br = bufio.NewReaderSize(c.Conn, 256<<10)
	t.Cleanup(func() { tcp.Close() })
	return c
}

// Send writes the raw bytes of its arguments in one call.
func (c *Client) Send(parts ...string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, strings.Join(parts, "")); err != nil {
		c.t.Fatalf("testkit: send: %v", err)
	}
}

// TrySend is Send for a server that may stop reading or close meanwhile: it returns how far it came within that time.
func (c *Client) TrySend(s string, within time.Duration) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(within))
	return io.WriteString(c.Conn, s)
}

// Dribble sends s in pieces of n bytes with a pause between them.
func (c *Client) Dribble(s string, n int, pause time.Duration) {
	c.t.Helper()
	for len(s) > 0 {
		piece := s[:min(n, len(s))]
		c.Send(piece)
		s = s[len(piece):]
		time.Sleep(pause)
	}
}

// Response is one response, with the head as it was on the wire.
type Response struct {
	*http.Response         // Body is already read and closed
	Head           []byte  // raw, with the empty line
	Fields         []Field // in order, with case
	Content        []byte  // the decoded body
}

// Get returns the value of the first field of that name, in any case, or "".
func (r *Response) Get(name string) string { return first(r.Values(name)) }

// Values returns the values of all fields of that name, in any case, in order.
func (r *Response) Values(name string) []string { return valuesOf(r.Fields, name) }

// ReadResponse reads the next response, interim ones included, to a request of this method, with its whole body. The head must be
// strictly formed.
func (c *Client) ReadResponse(method string) *Response {
	c.t.Helper()
	r, err := c.TryReadResponse(method, patience)
	if err != nil {
		c.t.Fatalf("testkit: response: %v", err)
	}
	return r
}

// ReadFinal is ReadResponse past all interim (1xx) responses, which it returns too.
func (c *Client) ReadFinal(method string) (final *Response, interim []*Response) {
	c.t.Helper()
	for {
		r := c.ReadResponse(method)
		if r.StatusCode >= 200 || r.StatusCode == http.StatusSwitchingProtocols {
			return r, interim
		}
		interim = append(interim, r)
	}
}

// TryReadResponse is ReadResponse with an error instead of a failed test. With an error in the body, the response has what
// was read of it.
func (c *Client) TryReadResponse(method string, within time.Duration) (*Response, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	head, err := c.peekHead()
	if err != nil {
		return nil, err
	}
	_, lines, _ := strings.Cut(string(head), "\r\n")
	fields, err := parseFields(lines)
	if err != nil {
		return nil, err
	}
	h, err := http.ReadResponse(c.br, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	r := &Response{Response: h, Head: head, Fields: fields}
	r.Content, err = io.ReadAll(h.Body)
	if err != nil {
		return r, fmt.Errorf("body: %w", err)
	}
	return r, h.Body.Close()
}

// peekHead copies the head and leaves it in the reader for net/http.
func (c *Client) peekHead() ([]byte, error) {
	for n := 1; ; n = c.br.Buffered() + 1 {
		_, err := c.br.Peek(n)
		have, _ := c.br.Peek(c.br.Buffered())
		if i := bytes.Index(have, []byte("\r\n\r\n")); i >= 0 {
			return bytes.Clone(have[:i+4]), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w after %q", unlessEmpty(err, have), clip(have, 500))
		}
	}
}

func unlessEmpty(err error, have []byte) error {
	if err == io.EOF && len(have) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read gives what has not been read by the other methods; for tunnels.
func (c *Client) Read(p []byte) (int, error) { return c.br.Read(p) }

// ReadN reads exactly n bytes.
func (c *Client) ReadN(n int) string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, n)
	if got, err := io.ReadFull(c.br, buf); err != nil {
		c.t.Fatalf("testkit: %d of %d bytes: %v: %q", got, n, err, clip(buf[:got], 500))
	}
	return string(buf)
}

// ReadAll reads until the server closes; a reset or a connection still open after that time fails the test.
func (c *Client) ReadAll(within time.Duration) []byte {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within))
	all, err := io.ReadAll(c.br)
	if err != nil {
		c.t.Fatalf("testkit: waiting for the end: %v after %q", err, clip(all, 500))
	}
	return all
}

// ExpectClosed fails the test unless the server ends the connection within that time without another byte, by FIN or by reset.
func (c *Client) ExpectClosed(within time.Duration) {
	c.t.Helper()
	rest, err := c.rest(within)
	if len(rest) > 0 {
		c.t.Fatalf("testkit: bytes where the end was expected: %q", clip(rest, 500))
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("testkit: the connection is still open: %v", err)
	}
}

// ExpectReset fails the test unless the server resets the connection within that time; bytes before that do not matter.
func (c *Client) ExpectReset(within time.Duration) {
	c.t.Helper()
	if rest, err := c.rest(within); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("testkit: no reset but %v after %q", err, clip(rest, 500))
	}
}

// ExpectSilence fails the test if the server sends anything or closes during that time.
func (c *Client) ExpectSilence(during time.Duration) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(during))
	if _, err := c.br.Peek(1); !isTimeout(err) {
		have, _ := c.br.Peek(c.br.Buffered())
		c.t.Fatalf("testkit: no silence: %v, %q", err, clip(have, 500))
	}
}

func (c *Client) rest(within time.Duration) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	return io.ReadAll(c.br)
}

// CloseWrite sends FIN (after close_notify under TLS) and goes on reading.
func (c *Client) CloseWrite() {
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = c.tcp.CloseWrite()
}

// Reset ends the connection with RST.
func (c *Client) Reset() {
	_ = c.tcp.SetLinger(0)
	c.tcp.Close()
}

// Exchange sends one raw request on a connection of its own and reads the final response.
func Exchange(t testing.TB, addr, request string) *Response {
	t.Helper()
	c := Dial(t, addr)
	defer c.tcp.Close()
	c.Send(request)
	method, _, _ := strings.Cut(request, " ")
	r, _ := c.ReadFinal(method)
	return r
}

// Get sends GET for a target of a host on a connection of its own, with extra header lines ("Name: value").
func Get(t testing.TB, addr, host, target string, lines ...string) *Response {
	t.Helper()
	head := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return Exchange(t, addr, head+"Connection: close\r\n\r\n")
}
