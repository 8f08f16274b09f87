package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// soon bounds every wait that is not itself what is tested.
const soon = 5 * time.Second

// lab is a server of connections, with a handler that a test chooses.
type lab struct {
	t        *testing.T
	listener net.Listener
	options  http1.Options
	stall    time.Duration
	serve    func(x *Exchange)
	refused  atomic.Int64
	why      atomic.Pointer[http1.Error]
	serving  atomic.Int64
	begun    atomic.Int64

	mu      sync.Mutex
	conns   []*Conn
	running sync.WaitGroup
}

func newLab(t *testing.T, serve func(x *Exchange), change ...func(*lab)) *lab {
	t.Helper()
	testkit.NoLeak(t)
	pool.Rest(false)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, listener: ln, serve: serve, stall: soon, options: http1.Options{
		Limits:      http1.Limits{HeadBytes: 16 << 10, Fields: 50, URLBytes: 8 << 10},
		HeadTimeout: soon, IdleTimeout: soon,
	}}
	for _, f := range change {
		f(l)
	}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		ln.Close()
		l.each(func(c *Conn) { c.stream.Cut() })
		l.running.Wait()
		pool.Rest(true)
	})
	return l
}

// patient makes clients that are done wait for the others.
func patient(l *lab) { l.options.HeadTimeout, l.options.IdleTimeout = time.Hour, time.Hour }

func (l *lab) accept() {
	for {
		nc, err := l.listener.Accept()
		if err != nil {
			return
		}
		s, err := stream.New(nc)
		if err != nil {
			l.t.Error(err)
			return
		}
		s.Stall = l.stall
		c := NewConn(s, l)
		l.mu.Lock()
		l.conns = append(l.conns, c)
		l.mu.Unlock()
		l.running.Go(c.Serve)
	}
}

func (l *lab) each(f func(*Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		f(c)
	}
}

func (l *lab) Options() *http1.Options { return &l.options }

func (l *lab) ServeStream(x *Exchange) {
	l.serving.Add(1)
	l.begun.Add(1)
	defer l.serving.Add(-1)
	l.serve(x)
}

func (l *lab) RefuseStream(x *Exchange, why *http1.Error) {
	l.refused.Add(1)
	l.why.Store(why)
	if why.Status == 0 {
		x.Abort()
		return
	}
	respond(x, why.Status, why.Reason)
}

// respond answers with a text.
func respond(x *Exchange, status int, text string) error {
	return respondWith(x, status, []byte(text))
}

func respondWith(x *Exchange, status int, body []byte) error {
	var r httpmsg.Response
	r.Reset(nil)
	r.Status, r.Body, r.ContentLength = status, httpmsg.BodyLength, int64(len(body))
	r.AddString("X-Answer", "yes")
	return x.Respond(&r, body, true)
}

// echo answers with what the request says, and its body.
func echo(x *Exchange) {
	var body []byte
	for {
		p, err := x.ReadBody()
		if err == io.EOF {
			break
		}
		if err != nil {
			x.Abort()
			return
		}
		body = append(body, p...)
	}
	r := x.Request()
	text := string(r.Bytes(r.MethodText)) + " " + string(r.Bytes(r.Target)) + "\n"
	text += string(r.AppendLines(nil)) + "\n" + string(body)
	var trailers httpmsg.Fields
	x.Trailers(&trailers)
	text += string(trailers.AppendLines(nil))
	respond(x, 200, text)
}

// client speaks HTTP/2, or something like it.
type client struct {
	t      *testing.T
	conn   *net.TCPConn
	framer *http2.Framer
	enc    *hpack.Encoder
	buf    bytes.Buffer
	dec    *hpack.Decoder
	fields []hpack.HeaderField
	next   uint32
}

// dial makes a connection with settings exchanged.
func (l *lab) dial(settings ...http2.Setting) *client {
	l.t.Helper()
	c := l.dialRaw()
	c.conn.Write([]byte(Preface))
	c.framer.WriteSettings(settings...)
	return c
}

func (l *lab) dialRaw() *client {
	l.t.Helper()
	nc, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(6 * soon))
	c := &client{t: l.t, conn: nc.(*net.TCPConn), framer: http2.NewFramer(nc, nc), next: 1}
	c.framer.AllowIllegalWrites = true
	c.enc = hpack.NewEncoder(&c.buf)
	c.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) { c.fields = append(c.fields, f) })
	return c
}

// block encodes fields, given as name and value in turn.
func (c *client) block(fields ...string) []byte {
	c.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.buf.Bytes())
}

// get are the pseudo-headers of a request, with what follows them.
func get(path string, fields ...string) []string { return request("GET", path, fields...) }

func request(method, path string, fields ...string) []string {
	return append([]string{":method", method, ":scheme", "http", ":authority", "shop.test", ":path", path}, fields...)
}

// ask sends a head, and returns the stream.
func (c *client) ask(end bool, fields ...string) uint32 {
	id := c.next
	c.next += 2
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block(fields...), EndStream: end, EndHeaders: true})
	return id
}

// answer is what came back on a stream.
type answer struct {
	status   string
	informed []string
	fields   []hpack.HeaderField
	trailers []hpack.HeaderField
	body     string
	reset    http2.ErrCode
	isReset  bool
}

func (a *answer) field(name string) string {
	for _, f := range a.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

var errGoAway = errors.New("GOAWAY")

// read reads the next frame; settings and pings are answered, and windows kept
// open.
func (c *client) read() (http2.Frame, error) {
	f, err := c.framer.ReadFrame()
	if err != nil {
		return nil, err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			c.framer.WriteSettingsAck()
		}
	case *http2.DataFrame:
		if n := uint32(f.Length); n > 0 {
			c.framer.WriteWindowUpdate(0, n)
			if !f.StreamEnded() {
				c.framer.WriteWindowUpdate(f.StreamID, n)
			}
		}
	}
	return f, nil
}

// wait reads the answer on a stream; those on others are lost.
func (c *client) wait(id uint32) (*answer, error) {
	a := &answer{}
	for {
		f, err := c.read()
		if err != nil {
			return a, err
		}
		if g, ok := f.(*http2.GoAwayFrame); ok && g.ErrCode != http2.ErrCodeNo {
			return a, errGoAway
		}
		if h, ok := f.(*http2.HeadersFrame); ok {
			c.fields = nil
			if _, err := c.dec.Write(h.HeaderBlockFragment()); err != nil {
				return a, err
			}
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			a.head(c.fields)
			if f.StreamEnded() {
				return a, nil
			}
		case *http2.DataFrame:
			a.body += string(f.Data())
			if f.StreamEnded() {
				return a, nil
			}
		case *http2.RSTStreamFrame:
			a.reset, a.isReset = f.ErrCode, true
			return a, nil
		}
	}
}

func (a *answer) head(fields []hpack.HeaderField) {
	switch {
	case a.status != "":
		a.trailers = fields
	case strings.HasPrefix(fields[0].Value, "1"):
		a.informed = append(a.informed, fields[0].Value)
	default:
		a.status, a.fields = fields[0].Value, fields[1:]
	}
}

// must is wait without an error.
func (c *client) must(id uint32) *answer {
	c.t.Helper()
	a, err := c.wait(id)
	if err != nil {
		c.t.Fatalf("stream %d: %v, after %+v", id, err, a)
	}
	return a
}

// ended waits for the end of the connection, and returns the last GOAWAY's
// code; -1: there was none.
func (c *client) ended() int {
	c.t.Helper()
	code := -1
	for {
		f, err := c.read()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				c.t.Fatal("the connection did not end")
			}
			return code
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = int(g.ErrCode)
		}
	}
}

// alive makes sure that the connection still answers.
func (c *client) alive() {
	c.t.Helper()
	if a := c.must(c.ask(true, get("/alive")...)); a.status != "200" {
		c.t.Errorf("answer %+v", a)
	}
}
