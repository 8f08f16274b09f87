package lifecycle

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// load is clients that send requests all the time and count. None ever sends a request again: what fails is lost.
type load struct {
	t     *testing.T
	g     *gateway
	tls   *tls.Config
	stop  chan struct{}
	over  sync.WaitGroup
	count atomic.Int64
	told  atomic.Int64 // connections closed by the gateway after a response that said so
	late  atomic.Int64 // requests sent on connections that were idle for longer than linger and were closed meanwhile

	gate    sync.RWMutex // held for reading during a request
	resting atomic.Bool  // clients that are not steady are to hang up
	passing atomic.Int64 // connections of those, and what is about to be one
	kept    atomic.Int64 // connections of clients that keep theirs
	last    atomic.Bool  // nobody opens another connection
	leaving atomic.Bool  // a process is to go: it owes nothing to requests that are late

	mu       sync.Mutex
	failures []string
}

// mix is how many clients there are of each kind.
type mix struct {
	plain, secure       int // keep their connection as long as they may
	reconnect, handshak int // open another after a few requests, or for each: without TLS, and with
}

// everybody is the load of most tests: 64 connections that are kept, and some clients of each other kind.
var everybody = mix{plain: 64, secure: 8, reconnect: 4, handshak: 2}

// startLoad starts the clients; they end with the test, or with finish.
func startLoad(g *gateway, m mix) *load {
	l := &load{t: g.t, g: g, tls: g.ca.ClientConfig(host), stop: make(chan struct{})}
	l.tls.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	l.start(m)
	g.t.Cleanup(l.halt)
	return l
}

// start starts clients.
func (l *load) start(m mix) {
	for i, n := range []int{m.plain, m.secure, m.reconnect, m.handshak} {
		for range n {
			w := &worker{load: l, secure: i%2 == 1, perConn: 0, random: rand.New(rand.NewPCG(rand.Uint64(), 0))}
			if i >= 2 {
				w.perConn = 1 + w.random.IntN(4)
			}
			l.over.Go(w.run)
		}
	}
}

// halt ends the clients.
func (l *load) halt() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.over.Wait()
}

// finish ends the clients and fails the test if one request was lost.
func (l *load) finish() {
	l.t.Helper()
	l.halt()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%d requests; %d connections closed as announced", l.count.Load(), l.told.Load())
	for _, f := range l.failures[:min(len(l.failures), 20)] {
		l.t.Errorf("lost: %s", f)
	}
	if n := len(l.failures); n > 0 {
		l.t.Errorf("%d of %d requests lost", n, l.count.Load())
	}
}

// ok says whether nothing was lost so far: no need to go on otherwise.
func (l *load) ok() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failures) == 0
}

// pause lets requests under way finish and holds back others. The connections of steady clients stay open, and no others: the
// rest would be more or fewer each time, and crypto/tls keeps a buffer for the largest record that a connection has had.
func (l *load) pause() {
	l.t.Helper()
	l.resting.Store(true)
	testkit.Eventually(l.t, soon, "clients to hang up", func() bool { return l.passing.Load() == 0 })
	l.gate.Lock()
}

// settled waits until n clients have the connection that they keep.
func (l *load) settled(n int64) {
	l.t.Helper()
	testkit.Eventually(l.t, soon, fmt.Sprintf("%d connections that are kept", n), func() bool { return l.kept.Load() == n || !l.ok() })
}

// resume goes on after pause.
func (l *load) resume() {
	l.gate.Unlock()
	l.resting.Store(false)
}

// more waits until that many further requests were answered.
func (l *load) more(n int64) {
	l.t.Helper()
	until := l.count.Load() + n
	testkit.Eventually(l.t, 3*soon, fmt.Sprintf("%d further requests", n), func() bool { return l.count.Load() >= until || !l.ok() })
}

func (l *load) lost(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, time.Now().Format("15:04:05.000 ")+what)
}

// worker is one client.
type worker struct {
	*load
	secure  bool
	perConn int // requests on a connection; 0: as many as it takes
	random  *rand.Rand
	passes  bool // it is counted

	conn net.Conn
	br   *bufio.Reader
	used int
	idle time.Time // when the last request was sent, or the connection made: it is idle since then or later
}

// errLate is that a request came too late for a connection that is gone.
var errLate = errors.New("late")

// steady says whether the client keeps its connection also in a pause.
func (w *worker) steady() bool { return w.perConn == 0 && !w.secure }

func (w *worker) run() {
	defer w.hangUp()
	for {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(w.random.IntN(20)) * time.Millisecond):
		}
		if w.conn == nil && w.last.Load() {
			return
		}
		if !w.enter() {
			continue
		}
		w.gate.RLock()
		err := w.request()
		w.gate.RUnlock()
		switch {
		case errors.Is(err, errLate):
			w.late.Add(1)
			w.hangUp()
		case err != nil:
			w.lost(err.Error())
			w.hangUp()
		}
	}
}

// enter says whether the client may go on; one that is not steady has hung up otherwise. It is counted before it looks: who waits
// for nobody to pass must not miss one that is about to connect.
func (w *worker) enter() bool {
	if w.steady() {
		return true
	}
	if !w.passes {
		w.passes = true
		w.passing.Add(1)
	}
	if w.resting.Load() {
		w.hangUp()
		return false
	}
	return true
}

func (w *worker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
		if w.perConn == 0 {
			w.kept.Add(-1)
		}
	}
	if w.passes {
		w.passes = false
		w.passing.Add(-1)
	}
}

// request sends one request and judges the answer.
func (w *worker) request() error {
	if err := w.connect(); err != nil {
		return fmt.Errorf("connect (TLS %v): %w", w.secure, err)
	}
	method, path, body, want := w.choose()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	if method == http.MethodPost {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	where := fmt.Sprintf("%s %s, request %d of its connection from %s (TLS %v)", method, path, w.used+1, w.conn.LocalAddr(), w.secure)
	_ = w.conn.SetDeadline(time.Now().Add(soon))
	asked := time.Now()
	_, err := io.WriteString(w.conn, head+"\r\n"+body)
	late := w.leaving.Load() && time.Since(w.idle) > linger
	if err != nil && late {
		return errLate
	} else if err != nil {
		return fmt.Errorf("%s: write: %w", where, err)
	}
	if _, err := w.br.Peek(1); err != nil && late {
		return errLate
	}
	resp, err := http.ReadResponse(w.br, &http.Request{Method: method})
	if err != nil {
		return fmt.Errorf("%s: no response: %w", where, err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: body after %d bytes: %w", where, len(got), err)
	}
	if resp.StatusCode != http.StatusOK || string(got) != want {
		return fmt.Errorf("%s: %s: %.200q", where, resp.Status, got)
	}
	w.count.Add(1)
	w.used++
	w.idle = asked // at the latest: the gateway knows before the client when it is done
	return w.afterwards(resp.Close)
}

// afterwards closes a connection that is used up, or that the gateway is about to close.
func (w *worker) afterwards(announced bool) error {
	if announced {
		w.told.Add(1)
		defer w.hangUp()
		_ = w.conn.SetReadDeadline(time.Now().Add(soon))
		if _, err := w.br.ReadByte(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: after Connection: close, instead of the end: %v", w.conn.LocalAddr(), err)
		}
	} else if w.perConn > 0 && w.used >= w.perConn {
		w.hangUp()
	}
	return nil
}

func (w *worker) connect() error {
	if w.conn != nil {
		return nil
	}
	addr := w.g.plain
	if w.secure {
		addr = w.g.secure
	}
	w.idle = time.Now()
	conn, err := net.DialTimeout("tcp", addr, soon)
	if err != nil {
		return err
	}
	w.used = 0
	if w.secure {
		secure := tls.Client(conn, w.tls)
		_ = conn.SetDeadline(time.Now().Add(soon))
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return err
		}
		conn = secure
	}
	w.conn, w.br = conn, bufio.NewReader(conn)
	if w.perConn == 0 {
		w.kept.Add(1)
	}
	return nil
}

// choose makes up a request and says what its answer is.
func (w *worker) choose() (method, path, body, want string) {
	switch n := w.random.IntN(100); {
	case n < 60:
		path = fmt.Sprintf("/page/%d", n)
	case n < 75:
		path = fmt.Sprintf("/images/%d", n)
	case n < 85:
		return http.MethodGet, "/bytes/20000", "", pattern20k
	case n < 90:
		path = "/slow/30"
	default:
		body = strings.Repeat("x", 1+w.random.IntN(30000))
		path = "/api/upload"
		return http.MethodPost, path, body, said(http.MethodPost, path, int64(len(body)))
	}
	return http.MethodGet, path, "", said(http.MethodGet, path, 0)
}

var pattern20k = testkit.Pattern(20000)
