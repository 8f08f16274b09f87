package doh

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
	"gatehouse/internal/testkit"

	"github.com/miekg/dns"
)

// limits are for tests that wait for them, after what has to be done within
// them: a handshake, and a request.
var limits = config.DNSLimits{TCPIdle: 2 * time.Second}

// waiter is a Responder that waits for leave, after it has said so to enter,
// with queries of 99 bytes.
type waiter struct{ enter, leave chan struct{} }

func newWaiter() *waiter { return &waiter{make(chan struct{}, 100), make(chan struct{})} }

func (w *waiter) Respond(out, q []byte, from *server.Peer) []byte {
	if len(q) == 99 {
		w.enter <- struct{}{}
		<-w.leave
	}
	return echo(out, q, from)
}

func (w *waiter) new() server.Responder { return w }

// ask sends a query over a connection and reads the answer.
func ask(t testing.TB, c net.Conn, q []byte) *http.Response {
	t.Helper()
	if _, err := c.Write(asked(q)); err != nil {
		t.Fatal(err)
	}
	return answered(t, c)
}

func answered(t testing.TB, c net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == 200 && (len(body) < 12 || body[2]&0x80 == 0) {
		t.Fatalf("%s, %x, %v", resp.Status, body, err)
	}
	return resp
}

// wantEnd reads until the server closes a connection, which it has to do by
// itself.
func wantEnd(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := io.Copy(io.Discard, c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("the connection was not closed")
	}
}

// raw opens a TCP connection without TLS.
func (s *site) raw(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(server.HTTPS).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnectionsMakeRoomUnlessInUse(t *testing.T) {
	testkit.NoLeak(t)
	w := newWaiter()
	shared := server.NewConnections(config.DNSLimits{TCPConnections: 2, TCPPerClient: 9})
	one := start(t, Config{NewResponder: w.new, Connections: shared})
	two := start(t, Config{NewResponder: w.new, Connections: shared})
	a, b := one.dial(t), two.dial(t)
	ask(t, a, query(20))
	ask(t, b, query(20))
	ask(t, a, query(20)) // b waits for longest now
	if _, err := b.Write(asked(query(20))[:30]); err != nil {
		t.Fatal(err) // which part of a request does not change
	}
	c := one.dial(t)
	wantEnd(t, b)
	counts(t, two, "the eviction", func(st Stats) bool { return st.HTTPS.Evicted == 1 && st.HTTPS.Connections == 0 })

	for _, x := range []net.Conn{a, c} {
		if _, err := x.Write(asked(query(99))); err != nil {
			t.Fatal(err)
		}
		<-w.enter
	}
	wantEnd(t, two.raw(t))
	counts(t, two, "the refusal", func(st Stats) bool { return st.HTTPS.Refused == 1 && st.HTTPS.Accepted == 1 })
	close(w.leave)
	answered(t, a)
	answered(t, c)
	ask(t, two.dial(t), query(20)) // in the room of one that waits again
	counts(t, one, "another eviction", func(st Stats) bool { return st.HTTPS.Evicted == 1 && st.HTTPS.Connections == 1 })
}

func TestOneClientHasItsShare(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Limits: config.DNSLimits{TCPPerClient: 1}})
	a := s.dial(t)
	ask(t, a, query(20))
	wantEnd(t, s.raw(t))
	a.Close()
	counts(t, s, "the end of the first", func(st Stats) bool { return st.HTTPS.Connections == 0 && st.HTTPS.Refused == 1 })
	ask(t, s.dial(t), query(20))
}

func TestSlowClientsAreCut(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Limits: limits})
	silent, header := s.raw(t), s.dial(t)
	idle := s.dial(t)
	ask(t, idle, query(20))
	body := s.dial(t)
	ask(t, body, query(20))
	if _, err := body.Write(asked(query(20))[:120]); err != nil { // all but the last bytes
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var trickle sync.WaitGroup
	trickle.Go(func() { // each byte in time, but not all of them
		for _, p := range asked(query(20)) {
			if _, err := header.Write([]byte{p}); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	if resp := answered(t, body); resp.StatusCode != 408 {
		t.Errorf("half a body: %s", resp.Status)
	}
	for _, c := range []net.Conn{silent, header, idle, body} {
		wantEnd(t, c)
	}
	close(stop)
	trickle.Wait()
	counts(t, s, "no connections", func(st Stats) bool { return st.HTTPS.Connections == 0 && st.Refused[RefusedSlow] == 1 })
}

func TestSlowBodiesOverHTTP2(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Limits: limits})
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = w.Write(query(20)) }()
	req, _ := http.NewRequest(http.MethodPost, s.url("/dns-query"), r)
	req.Header.Set("Content-Type", mediaType)
	if resp, _ := do(t, s.client(t, 2), req); resp.StatusCode != 408 {
		t.Errorf("got %s", resp.Status)
	}
}

func TestConnectionsHaveSoManyQueries(t *testing.T) {
	testkit.NoLeak(t)
	for version := 1; version <= 2; version++ {
		s := start(t, Config{NewResponder: always(echo), Limits: config.DNSLimits{TCPQueries: 3}})
		c := s.client(t, version)
		for i := range 7 {
			if resp, _ := do(t, c, post(s, query(20))); resp.StatusCode != 200 {
				t.Errorf("HTTP/%d: %s", version, resp.Status)
			}
			if i%3 == 2 { // the next one is for another connection, of which the client has to know
				counts(t, s, "the end", func(st Stats) bool { return st.HTTPS.Connections == 0 })
				c.CloseIdleConnections() // if it is told late
			}
		}
		counts(t, s, "the connections", func(st Stats) bool { return st.HTTPS.Accepted == 3 && st.HTTPS.Responses == 7 })
	}
}

func TestStreamsAreBounded(t *testing.T) {
	testkit.NoLeak(t)
	w := newWaiter()
	var mu sync.Mutex
	at := map[netip.AddrPort]int{} // queries in hand by connection
	most := 0
	s := start(t, Config{Limits: config.DNSLimits{WaitingForWriting: 2 * streamBytes},
		NewResponder: always(func(out, q []byte, from *server.Peer) []byte {
			mu.Lock()
			at[from.Addr]++
			most = max(most, at[from.Addr])
			mu.Unlock()
			return w.Respond(out, q, from)
		})})
	c := s.client(t, 2) // which opens another connection for what one does not take
	do(t, c, post(s, query(20)))
	clear(at)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			resp, err := c.Do(post(s, query(99)))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	for range 6 {
		<-w.enter
	}
	close(w.leave)
	all.Wait()
	if most != 2 || len(at) < 3 {
		t.Errorf("%d at once on one connection, %d connections", most, len(at))
	}
}

func TestStopFinishesWhatIsInHand(t *testing.T) {
	testkit.NoLeak(t)
	for version := 1; version <= 2; version++ {
		w := newWaiter()
		s := start(t, Config{NewResponder: w.new})
		began := time.Now()
		s.raw(t) // never says anything, and is not waited for
		status := make(chan string, 1)
		c := s.client(t, version)
		go func() {
			resp, err := c.Do(post(s, query(99)))
			if err != nil {
				status <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			status <- fmt.Sprint(resp.StatusCode, bytes.Equal(body, echo(nil, query(99), nil)))
		}()
		<-w.enter
		stopped := make(chan struct{})
		go func() { s.stop(); close(stopped) }()
		testkit.Eventually(t, 20*time.Second, "the socket to close", func() bool {
			c, err := net.Dial("tcp", s.Addr(server.HTTPS).String())
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		select {
		case <-stopped:
			t.Error("Run did not wait for the query in hand")
		case <-time.After(50 * time.Millisecond):
		}
		close(w.leave)
		if got := <-status; got != "200 true" {
			t.Errorf("HTTP/%d: %s", version, got)
		}
		<-stopped
		if d := time.Since(began); d >= requestTime { // which the silent one has
			t.Errorf("HTTP/%d: Run went on for %v", version, d)
		}
		if err := s.Run(context.Background()); err == nil {
			t.Error("it ran twice")
		}
	}
}

func TestDrainIsNoLonger(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), Drain: 100 * time.Millisecond})
	c := s.dial(t)
	ask(t, c, query(20))
	began := time.Now()
	if _, err := c.Write(asked(query(20))[:120]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // so that it has come
	s.stop()
	if d := time.Since(began); d >= requestTime { // in which the rest would have to come
		t.Errorf("stopped after %v", d)
	}
	wantEnd(t, c)
	if n := s.Stats().HTTPS.Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestHandoverKeepsConnections(t *testing.T) {
	testkit.NoLeak(t)
	var below net.Listener
	s := start(t, Config{NewResponder: always(echo),
		Listen: func(ctx context.Context, lc *net.ListenConfig, network, address string) (l net.Listener, err error) {
			below, err = lc.Listen(ctx, network, address)
			return below, err
		}})
	c := s.dial(t)
	ask(t, c, query(20))
	below.Close() // as package daemon does once the newer process is ready
	testkit.Eventually(t, 20*time.Second, "the socket to close", func() bool {
		c, err := net.Dial("tcp", s.Addr(server.HTTPS).String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	ask(t, c, query(20))
}

func TestPathAndFreshnessOfAnswers(t *testing.T) {
	testkit.NoLeak(t)
	msg := reply(t, dns.RcodeSuccess, []string{"www.example. 300 IN A 192.0.2.1"}, nil)
	s := start(t, Config{Path: "/q", NewResponder: always(func(out, _ []byte, _ *server.Peer) []byte { return append(out, msg...) })})
	r := get(s, query(20))
	r.URL.Path = "/q"
	resp, body := do(t, s.client(t, 2), r)
	if got := resp.Header.Get("Cache-Control"); got != "private, max-age=300" || !bytes.Equal(body, msg) {
		t.Errorf("%s, %q, %x", resp.Status, got, body)
	}
	if resp, _ := do(t, s.client(t, 2), get(s, query(20))); resp.StatusCode != 404 {
		t.Errorf("at the usual path: %s", resp.Status)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo)})
	if resp, _ := do(t, s.client(t, 1), get(s, query(30_000))); resp.StatusCode != 431 {
		t.Errorf("HTTP/1: %s", resp.Status)
	}
	if resp, err := s.client(t, 2).Do(get(s, query(30_000))); err == nil { // the settings keep the client from it
		t.Errorf("HTTP/2: %s", resp.Status)
		resp.Body.Close()
	}
}

func TestClientsThatDoNotReadAreCut(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{Limits: limits, NewResponder: always(func(out, q []byte, _ *server.Peer) []byte {
		return append(out, make([]byte, 60_000)...)
	})})
	c := s.dial(t)
	go func() { // as much as will go
		for range 1000 {
			if _, err := c.Write(asked(query(20))); err != nil {
				return
			}
		}
	}()
	counts(t, s, "the end", func(st Stats) bool { return st.HTTPS.Connections == 0 && st.HTTPS.Responses > 0 })
	if n := s.Stats().HTTPS.Responses; n > 900 {
		t.Errorf("%d answers fit between the two", n)
	}
}

// A Responder is never asked once Run has returned, and none is still at work.
func TestStopWaitsForResponders(t *testing.T) {
	testkit.NoLeak(t)
	for version := 1; version <= 2; version++ {
		w := newWaiter()
		s := start(t, Config{NewResponder: w.new, Drain: 20 * time.Millisecond})
		c := s.client(t, version)
		cut := make(chan error, 1)
		go func() {
			resp, err := c.Do(post(s, query(99)))
			if err == nil {
				resp.Body.Close()
			}
			cut <- err
		}()
		<-w.enter
		stopped := make(chan struct{})
		go func() { s.stop(); close(stopped) }()
		if err := <-cut; err == nil {
			t.Errorf("HTTP/%d: answered after the time to drain", version)
		}
		select {
		case <-stopped:
			t.Errorf("HTTP/%d: Run returned with a Responder at work", version)
		case <-time.After(50 * time.Millisecond):
		}
		close(w.leave)
		<-stopped
	}
}

func TestTimesFollowTheIdleTime(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: requestTime} {
		c := Config{Limits: config.DNSLimits{TCPIdle: idle}, Log: slog.New(slog.DiscardHandler)}
		s := c.httpServer(nil, nil)
		if s.IdleTimeout != idle || s.ReadTimeout != want || s.ReadHeaderTimeout != want || s.WriteTimeout != 2*want {
			t.Errorf("idle %v: %v idle, %v and %v to read, %v to write", idle, s.IdleTimeout, s.ReadTimeout, s.ReadHeaderTimeout, s.WriteTimeout)
		}
	}
}
