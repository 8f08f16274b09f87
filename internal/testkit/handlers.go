package testkit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Respond answers each request with this status and body, a Content-Length, and the given header lines ("Name: value"),
// after reading the request's body. HEAD, 1xx, 204 and 304 carry no body.
func Respond(status int, body string, lines ...string) Handler {
	return func(c *Conn, r *Request) {
		if _, err := r.ReadBody(); err != nil {
			return
		}
		c.Respond(r, status, body, lines...)
	}
}

// Respond sends one response as the function Respond does, without touching the request's body.
func (c *Conn) Respond(r *Request, status int, body string, lines ...string) {
	var s strings.Builder
	fmt.Fprintf(&s, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, line := range lines {
		s.WriteString(line + "\r\n")
	}
	bodiless := status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	if !bodiless {
		fmt.Fprintf(&s, "Content-Length: %d\r\n", len(body))
	}
	s.WriteString("\r\n")
	if !bodiless && r.Method != http.MethodHead {
		s.WriteString(body)
	}
	c.Send(s.String())
}

// Raw answers each request, after reading its body, with exactly these bytes.
func Raw(response string) Handler {
	return func(c *Conn, r *Request) {
		if _, err := r.ReadBody(); err == nil {
			c.Send(response)
		}
	}
}

// RawClose is Raw followed by the end of the connection.
func RawClose(response string) Handler {
	return func(c *Conn, r *Request) {
		Raw(response)(c, r)
		c.Close()
	}
}

// EchoReply is what Echo says about the request it received.
type EchoReply struct {
	Backend  string // the address of the Backend
	Conn     int
	Method   string
	Target   string
	Proto    string
	Fields   []Field
	Body     string // up to 64 KiB of it
	BodyLen  int64
	Trailers []Field
}

// Get returns the value of the first field of that name, in any case, or "".
func (e EchoReply) Get(name string) string {
	return first(valuesOf(e.Fields, name))
}

// Echo answers 200 with an EchoReply as JSON.
func Echo() Handler {
	return func(c *Conn, r *Request) {
		body, err := r.ReadBody()
		if err != nil {
			return
		}
		reply, err := json.Marshal(EchoReply{
			Backend: c.backend.Addr, Conn: c.ID, Method: r.Method, Target: r.Target, Proto: r.Proto, Fields: r.Fields,
			Body: string(clip(body, 64<<10)), BodyLen: r.BodyLen, Trailers: r.Trailers,
		})
		if err != nil {
			c.backend.t.Errorf("testkit: echo: %v", err)
		}
		c.Respond(r, http.StatusOK, string(reply), "Content-Type: application/json")
	}
}

// DecodeEcho reads what Echo answered.
func DecodeEcho(t testing.TB, body []byte) EchoReply {
	t.Helper()
	var e EchoReply
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("testkit: this is no echo: %v: %q", err, clip(body, 500))
	}
	return e
}

// Sizes answers a target that ends in a number, like /bytes/10240, with that many bytes (the pattern of Pattern).
func Sizes() Handler {
	return func(c *Conn, r *Request) {
		path, _, _ := strings.Cut(r.Target, "?")
		n, err := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
		if _, bodyErr := r.ReadBody(); bodyErr != nil {
			return
		}
		if err != nil || n < 0 {
			c.Respond(r, http.StatusNotFound, "no size in "+r.Target)
			return
		}
		c.Respond(r, http.StatusOK, Pattern(n))
	}
}

// Pattern is n bytes in which a lost, doubled or swapped piece shows: each 16-byte line carries its own offset.
func Pattern(n int) string {
	var s strings.Builder
	s.Grow(n + 16)
	for s.Len() < n {
		fmt.Fprintf(&s, "%015d\n", s.Len())
	}
	return s.String()[:n]
}

// ByPath picks the handler whose key is the longest prefix of the target; no key is a 404.
func ByPath(handlers map[string]Handler) Handler {
	return func(c *Conn, r *Request) {
		best, handler := -1, Respond(http.StatusNotFound, "no handler for "+r.Target)
		for prefix, h := range handlers {
			if len(prefix) > best && strings.HasPrefix(r.Target, prefix) {
				best, handler = len(prefix), h
			}
		}
		handler(c, r)
	}
}
