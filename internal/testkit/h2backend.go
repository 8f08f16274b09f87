package testkit

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// H2Handler answers one request of which the head has come. It runs in a goroutine of its own, and must return soon after
// its connection is closed.
type H2Handler func(c *H2Conn, r *H2Request)

// H2Options are the choices of StartH2Backend; the zero value speaks HTTP/2 by prior knowledge, and gives windows back.
type H2Options struct {
	TLS      *tls.Config
	Settings []http2.Setting
	// Silent sends nothing by itself, not even SETTINGS, and Stalled gives no window back.
	Silent, Stalled bool
	// Begin runs when a connection has been greeted, before its requests. Nil: nothing.
	Begin func(c *H2Conn)
}

// H2Backend is a scripted HTTP/2 origin on real sockets: it does what a server may not do, too.
type H2Backend struct {
	Addr string

	t       testing.TB
	options H2Options
	handler H2Handler
	ln      net.Listener
	running sync.WaitGroup
	// Requests, Resets and Pings count what came.
	Requests, Resets, Pings atomic.Int64

	mu    sync.Mutex
	conns []*H2Conn
}

// StartH2Backend starts an origin that lives until the test ends.
func StartH2Backend(t testing.TB, o H2Options, h H2Handler) *H2Backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	b := &H2Backend{Addr: ln.Addr().String(), t: t, options: o, handler: h, ln: ln}
	b.running.Go(b.accept)
	t.Cleanup(b.Close)
	return b
}

// Close ends it, and waits for its handlers.
func (b *H2Backend) Close() {
	b.ln.Close()
	for _, c := range b.Conns() {
		c.Close()
	}
	b.running.Wait()
}

// Conns are the connections that were ever accepted.
func (b *H2Backend) Conns() []*H2Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*H2Conn(nil), b.conns...)
}

func (b *H2Backend) accept() {
	for {
		nc, err := b.ln.Accept()
		if err != nil {
			return
		}
		if b.options.TLS != nil {
			nc = tls.Server(nc, b.options.TLS)
		}
		c := &H2Conn{Conn: nc, b: b, requests: map[uint32]*H2Request{}, Closed: make(chan struct{})}
		b.mu.Lock()
		c.ID = len(b.conns)
		b.conns = append(b.conns, c)
		b.mu.Unlock()
		b.running.Go(c.serve)
	}
}

// H2Conn is a connection of an H2Backend's. Its methods write frames; they may be called from any goroutine, and their
// errors are the reader's to find.
type H2Conn struct {
	net.Conn
	ID     int
	Closed chan struct{} // closed at its end

	b        *H2Backend
	mu       sync.Mutex // of writing
	framer   *http2.Framer
	enc      *hpack.Encoder
	block    bytes.Buffer
	requests map[uint32]*H2Request // of the goroutine that reads
}

// H2Request is one request of a client's.
type H2Request struct {
	ID     uint32
	Fields []hpack.HeaderField
	// Gone is closed when the client has reset the stream, or the connection is over.
	Gone chan struct{}

	mu       sync.Mutex
	changed  sync.Cond
	body     bytes.Buffer
	trailers []hpack.HeaderField
	ended    bool
	gone     bool
}

func (c *H2Conn) serve() {
	defer close(c.Closed)
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.Conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	c.framer = http2.NewFramer(c.Conn, c.Conn)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.block)
	if !c.b.options.Silent {
		c.write(func() { c.framer.WriteSettings(c.b.options.Settings...) })
	}
	if c.b.options.Begin != nil {
		c.b.running.Go(func() { c.b.options.Begin(c) })
	}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			break
		}
		c.frame(f)
	}
	for _, r := range c.requests {
		r.leave()
	}
}

func (c *H2Conn) frame(f http2.Frame) {
	r := c.requests[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		c.fields(f, r)
	case *http2.DataFrame:
		if n := f.Length; n > 0 && !c.b.options.Stalled {
			c.write(func() {
				c.framer.WriteWindowUpdate(0, n)
				c.framer.WriteWindowUpdate(f.StreamID, n)
			})
		}
		if r != nil {
			r.more(f.Data(), f.StreamEnded())
		}
	case *http2.RSTStreamFrame:
		c.b.Resets.Add(1)
		if r != nil {
			r.leave()
		}
	case *http2.SettingsFrame:
		if !f.IsAck() && !c.b.options.Silent {
			c.write(func() { c.framer.WriteSettingsAck() })
		}
	case *http2.PingFrame:
		c.b.Pings.Add(1)
		if !f.IsAck() && !c.b.options.Silent {
			c.write(func() { c.framer.WritePing(true, f.Data) })
		}
	}
}

func (c *H2Conn) fields(f *http2.MetaHeadersFrame, r *H2Request) {
	if r != nil {
		r.mu.Lock()
		r.trailers = append(r.trailers, f.Fields...)
		r.mu.Unlock()
		r.more(nil, true)
		return
	}
	r = &H2Request{ID: f.StreamID, Fields: append([]hpack.HeaderField(nil), f.Fields...), Gone: make(chan struct{}), ended: f.StreamEnded()}
	r.changed.L = &r.mu
	c.requests[r.ID] = r
	c.b.Requests.Add(1)
	c.b.running.Go(func() { c.b.handler(c, r) })
}

func (c *H2Conn) write(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	f()
}

// Framer writes frames of any kind.
func (c *H2Conn) Framer(f func(*http2.Framer)) { c.write(func() { f(c.framer) }) }

// Raw writes bytes.
func (c *H2Conn) Raw(p []byte) { c.write(func() { c.Conn.Write(p) }) }

// Fields writes HEADERS: names and values in turn.
func (c *H2Conn) Fields(r *H2Request, end bool, fields ...string) {
	c.write(func() {
		c.block.Reset()
		for i := 0; i < len(fields); i += 2 {
			c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: r.ID, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
	})
}

// Data writes DATA in frames of at most 16 KiB, whatever the windows.
func (c *H2Conn) Data(r *H2Request, p string, end bool) {
	for first := true; first || p != ""; first = false {
		n := min(len(p), 16<<10)
		c.write(func() { c.framer.WriteData(r.ID, end && n == len(p), []byte(p[:n])) })
		p = p[n:]
	}
}

// Respond answers with a status, a body, and further fields.
func (c *H2Conn) Respond(r *H2Request, status, body string, fields ...string) {
	c.Fields(r, body == "", append([]string{":status", status}, fields...)...)
	if body != "" {
		c.Data(r, body, true)
	}
}

// Reset writes RST_STREAM.
func (c *H2Conn) Reset(r *H2Request, code http2.ErrCode) {
	c.write(func() { c.framer.WriteRSTStream(r.ID, code) })
}

// GoAway writes GOAWAY.
func (c *H2Conn) GoAway(last uint32, code http2.ErrCode) {
	c.write(func() { c.framer.WriteGoAway(last, code, nil) })
}

// Field returns the first field of that name.
func (r *H2Request) Field(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// errGone ends a read of a request that was given up.
var errGone = errors.New("testkit: the client has given the request up")

// Next waits for more of the body, and returns what has come; io.EOF at its end.
func (r *H2Request) Next() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.body.Len() == 0 {
		switch {
		case r.gone:
			return "", errGone
		case r.ended:
			return "", io.EOF
		}
		r.changed.Wait()
	}
	p := r.body.String()
	r.body.Reset()
	return p, nil
}

// Body waits for the whole body.
func (r *H2Request) Body() (string, error) {
	var all string
	for {
		p, err := r.Next()
		all += p
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// Trailer returns the first trailer field of that name, once the body is over.
func (r *H2Request) Trailer(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.trailers {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func (r *H2Request) more(p []byte, end bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body.Write(p)
	r.ended = r.ended || end
	r.changed.Broadcast()
}

func (r *H2Request) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gone {
		r.gone = true
		close(r.Gone)
	}
	r.changed.Broadcast()
}
