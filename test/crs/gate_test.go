package crs

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate stands before the gateway. go-ftw tells the lines of a test from those
// of others by requests before and after it that leave a marker in the log.
// The gate answers these itself, after it has written the log anew in the way
// that go-ftw reads; all other bytes it relays as they are.
type gate struct {
	addr   string // where it listens
	target string // the gateway's listener
	ftwLog string // path of the log for go-ftw

	log     *wafLog
	out     *os.File
	running sync.WaitGroup

	mu     sync.Mutex
	status int   // of the last answer; 0: none
	err    error // the first one of a marker
	// results are those of the stages of each test, in order; one that was
	// tried again is there twice.
	results map[string][]*result
}

const markerField = "X-CRS-Test"

var (
	marker     = regexp.MustCompile(`\AGET /status/200 HTTP/1\.1\r\n(?:[^\r\n]*\r\n)*` + markerField + `: ([^\r\n]+)\r\n`)
	endMarker  = regexp.MustCompile(`\A([0-9]+-[0-9]+)-.*-e\z`)
	statusLine = regexp.MustCompile(`\AHTTP/1\.1 ([0-9]{3}) `)
)

func startGate(t *testing.T, target string, log *wafLog) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: ln.Addr().String(), target: target, ftwLog: filepath.Join(t.TempDir(), "ftw.log"), log: log, results: map[string][]*result{}}
	if g.out, err = os.Create(g.ftwLog); err != nil {
		t.Fatal(err)
	}
	g.running.Go(func() { g.accept(ln) })
	t.Cleanup(func() {
		ln.Close()
		g.running.Wait()
		g.out.Close()
	})
	return g
}

func (g *gate) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		g.running.Go(func() {
			defer c.Close()
			g.serve(c.(*net.TCPConn))
		})
	}
}

// serve answers a marker or relays the connection. go-ftw writes a request at
// once, and a marker is short: it is in the first piece.
func (g *gate) serve(client *net.TCPConn) {
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	piece := make([]byte, 64<<10)
	n, err := client.Read(piece)
	if err != nil {
		return
	}
	m := marker.FindSubmatch(piece[:n])
	if m == nil {
		g.relay(client, piece[:n])
		return
	}
	answer := "200 OK"
	if err := g.mark(string(m[1])); err != nil {
		g.fail(err)
		answer = "500 " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	fmt.Fprintf(client, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", answer)
}

// relay passes on what has been read, and the rest, in both directions.
func (g *gate) relay(client *net.TCPConn, first []byte) {
	g.setStatus(0)
	c, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(20 * time.Second))
	var forth sync.WaitGroup
	forth.Go(func() {
		if _, err := server.Write(first); err == nil {
			_, _ = io.Copy(server, client)
		}
		_ = server.CloseWrite()
	})
	_, _ = io.Copy(io.MultiWriter(&statusWriter{gate: g}, client), server)
	_ = client.CloseWrite()
	_ = client.CloseRead()
	forth.Wait()
}

// statusWriter notes the status of the answer that is written to it.
type statusWriter struct {
	gate *gate
	head []byte
}

// Write implements io.Writer.
func (w *statusWriter) Write(p []byte) (int, error) {
	const line = len("HTTP/1.1 200 ")
	if len(w.head) >= line {
		return len(p), nil
	}
	w.head = append(w.head, p[:min(len(p), line)]...)
	if m := statusLine.FindSubmatch(w.head); m != nil {
		n, _ := strconv.Atoi(string(m[1]))
		w.gate.setStatus(n)
	}
	return len(p), nil
}

func (g *gate) setStatus(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status = n
}

// fail keeps the first error of a marker: go-ftw would only say that it found
// none.
func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

// failure is the first error of a marker, if any.
func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// lastStatus is the status of the last answer; 0: none.
func (g *gate) lastStatus() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// result is what became of the last stage of a test; nil: nothing.
func (g *gate) result(test string) *result {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.results[test]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// ended notes the result of a stage.
func (g *gate) ended(test string, log []entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results[test] = append(g.results[test], &result{g.status, log})
}

// mark writes what was logged since the last mark, and a marker.
func (g *gate) mark(id string) error {
	list, err := g.log.next()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for i := range list {
		b.WriteString(ftwLine(&list[i]))
	}
	fmt.Fprintf(&b, "%s: %s\n", markerField, id)
	if m := endMarker.FindStringSubmatch(id); m != nil {
		g.ended(m[1], list)
	}
	_, err = g.out.Write(b.Bytes())
	return err
}

// ftwLine is an entry as ModSecurity would log it.
func ftwLine(e *entry) string {
	clean := func(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
	if _, err := strconv.Atoi(e.RuleID); err != nil {
		return fmt.Sprintf("[msg %q] [outcome %q]\n", clean(e.Message), e.Outcome)
	}
	return fmt.Sprintf("[id %q] [msg %q] [data %q] [severity %q]\n", e.RuleID, clean(e.Message), clean(e.Details.Data), e.Severity)
}
