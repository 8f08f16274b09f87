package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Client talks to the operator's server of a running process.
type Client struct {
	// Address is what the server was given: host:port or "unix:/path".
	Address string

	// Name is the binary's, for messages. If empty, "the process".
	Name string

	// Timeout bounds a call. If zero, 90 s: longer than a reload may take.
	Timeout time.Duration
}

// maxAnswer bounds what the client reads.
const maxAnswer = 64 << 20

// RemoteError is an answer that says that something did not work.
type RemoteError struct {
	Status int      // of HTTP
	Text   string   // for people; may have several lines
	Errors []string // one by one, if there are several
}

func (e *RemoteError) Error() string { return e.Text }

// Get asks for path ("/status") with the query args, which may be nil, and
// decodes the JSON it gets into the variable into points at, unless that is
// nil.
func (c *Client) Get(ctx context.Context, path string, args url.Values, into any) error {
	return c.do(ctx, http.MethodGet, path, args, into)
}

// Post does what path ("/drain") stands for with args, and decodes the answer
// as Get does.
func (c *Client) Post(ctx context.Context, path string, args url.Values, into any) error {
	return c.do(ctx, http.MethodPost, path, args, into)
}

// do makes a call.
func (c *Client) do(ctx context.Context, method, path string, args url.Values, into any) error {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 90 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.host()+path, nil)
	if err != nil {
		return fmt.Errorf("admin address %s: %w", c.Address, err)
	}
	req.URL.RawQuery = args.Encode()
	transport := &http.Transport{DialContext: c.dial, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req) // not Do: no redirect is followed
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.explain(err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("admin address %s: the answer is larger than %d MiB", c.Address, maxAnswer>>20)
	}
	return c.decode(resp, body, into)
}

// host is what the server is called in the request.
func (c *Client) host() string {
	if network, address := splitAddress(c.Address); network == "tcp" {
		return address
	}
	return "localhost"
}

// dial connects to the server, wherever the request says.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	network, address := splitAddress(c.Address)
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// decode takes an answer apart.
func (c *Client) decode(resp *http.Response, body []byte, into any) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "application/json"
	if resp.StatusCode == http.StatusOK && isJSON {
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(body, into); err != nil {
			return fmt.Errorf("admin address %s: %w", c.Address, err)
		}
		return nil
	}
	var f Failure
	if isJSON && json.Unmarshal(body, &f) == nil && f.Error != "" {
		e := &RemoteError{Status: resp.StatusCode, Text: printable(f.Error)}
		for _, text := range f.Errors {
			e.Errors = append(e.Errors, printable(text))
		}
		return e
	}
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound {
		return &RemoteError{Status: resp.StatusCode,
			Text: fmt.Sprintf("admin address %s: %s: %s", c.Address, resp.Request.URL.Path, printable(firstLine(body)))}
	}
	return fmt.Errorf("admin address %s: what answers there is not %s (status %d, %q)",
		c.Address, c.name(), resp.StatusCode, kind)
}

// name is what the process is called.
func (c *Client) name() string {
	if c.Name == "" {
		return "the process"
	}
	return c.Name
}

// explain says what a failed call means.
func (c *Client) explain(err error) error {
	var why string
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		why = "refused the connection"
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("admin address %s: permission denied: it belongs to the user that runs %s", c.Address, c.name())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("admin address %s: no answer in time: %w", c.Address, err)
	default:
		return fmt.Errorf("admin address %s: %w", c.Address, err)
	}
	return &unreachableError{
		text:  fmt.Sprintf("is %s running? admin address %s %s", c.name(), c.Address, why),
		cause: err,
	}
}

// unreachableError says in plain words that nothing runs at the address; the
// cause would only repeat it.
type unreachableError struct {
	text  string
	cause error
}

func (e *unreachableError) Error() string { return e.text }
func (e *unreachableError) Unwrap() error { return e.cause }

// firstLine returns the first line of body, shortened.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(string(body[:min(len(body), 200)]), "\n")
	return line
}

// printable drops what a terminal would obey, but for line breaks and tabs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
