package layer4

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// backend answers each line with its name, how the connection began, and the line. It keeps what follows the end of the client.
type backend struct {
	t      *testing.T
	name   string
	addr   string
	secure *tls.Config // nil: plain
	proxy  bool        // a PROXY header comes first

	mu    sync.Mutex
	conns []net.Conn
}

func newBackend(t *testing.T, b *backend) *backend {
	t.Helper()
	b.t = t
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, conn)
			b.mu.Unlock()
			serving.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		b.cut()
		serving.Wait()
	})
	return b
}

// cut ends every connection.
func (b *backend) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
}

func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	first := ""
	if b.proxy {
		first = b.header(conn)
	}
	if b.secure != nil {
		conn = tls.Server(conn, b.secure)
	}
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			fmt.Fprintf(conn, "%s saw the end\n", b.name)
			return
		}
		fmt.Fprintf(conn, "%s %s%s", b.name, first, line)
	}
}

// header reads a PROXY header of version 1, byte by byte: TLS may follow.
func (b *backend) header(conn net.Conn) string {
	var text []byte
	for p := make([]byte, 1); !bytes.HasSuffix(text, []byte("\r\n")) && len(text) < 108; {
		if _, err := conn.Read(p); err != nil {
			return "no header: "
		}
		text = append(text, p[0])
	}
	return strings.TrimSuffix(string(text), "\r\n") + ": "
}

// gateway is a running appgw.
type gateway struct {
	t      *testing.T
	proc   *testkit.Process
	file   string
	admin  string
	log    string
	output string
}

// start runs the gateway with a configuration that lacks admin and logs.
func start(t *testing.T, config string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{t: t, admin: testkit.FreeAddr(t), file: filepath.Join(dir, "appgw.yaml"), log: filepath.Join(dir, "access.log"), output: filepath.Join(dir, "output")}
	g.write(config)
	script := `exec "$0" run -c "$1" >"$2" 2>&1`
	g.proc = testkit.Start(t, exec.Command("/bin/sh", "-c", script, testkit.Build(t, "./cmd/appgw", "-race"), g.file, g.output))
	t.Cleanup(g.inspect)
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

func (g *gateway) write(config string) {
	testkit.Replace(g.t, g.file, fmt.Sprintf("admin: {address: %s}\nlogs: {access: {output: %s}}\n%s", g.admin, g.log, config))
}

// reload puts another configuration to work.
func (g *gateway) reload(config string) {
	g.t.Helper()
	g.write(config)
	out, err := exec.Command(testkit.Build(g.t, "./cmd/appgw"), "reload", "--admin", g.admin).CombinedOutput()
	if err != nil {
		g.t.Fatalf("reload: %v\n%s", err, out)
	}
}

// inspect stops the gateway, which must not have raced or panicked.
func (g *gateway) inspect() {
	if g.proc.Running() {
		g.proc.Stop(soon)
	}
	text, _ := os.ReadFile(g.output)
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error"} {
		if bytes.Contains(text, []byte(trouble)) {
			g.t.Errorf("%q in the output", trouble)
		}
	}
	if g.t.Failed() {
		log, _ := os.ReadFile(g.log)
		g.t.Logf("output:\n%s\naccess log:\n%s", text[max(0, len(text)-8<<10):], log[max(0, len(log)-8<<10):])
	}
}

// logged waits for a line of the access log with these facts.
func (g *gateway) logged(facts map[string]any) {
	g.t.Helper()
	var text []byte
	found := func() bool {
		text, _ = os.ReadFile(g.log)
		for line := range bytes.Lines(text) {
			entry := map[string]any{}
			if json.Unmarshal(line, &entry) != nil {
				continue
			}
			all := true
			for k, v := range facts {
				all = all && fmt.Sprint(entry[k]) == fmt.Sprint(v)
			}
			if all {
				return true
			}
		}
		return false
	}
	for until := time.Now().Add(soon); !found(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			g.t.Fatalf("no line of the log has %v:\n%s", facts, text)
		}
	}
}

// client is a connection to the gateway.
type client struct {
	t testing.TB
	net.Conn
	lines *bufio.Reader
}

func dial(t testing.TB, addr string, secure *tls.Config) *client {
	t.Helper()
	c, err := tryDial(addr, secure)
	if err != nil {
		t.Fatal(err)
	}
	c.t = t
	t.Cleanup(func() { c.Close() })
	return c
}

func tryDial(addr string, secure *tls.Config) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, soon)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(soon))
	if secure != nil {
		s := tls.Client(conn, secure)
		if err := s.Handshake(); err != nil {
			conn.Close()
			return nil, err
		}
		conn = s
	}
	return &client{Conn: conn, lines: bufio.NewReader(conn)}, nil
}

// ask sends a line and returns the answer.
func (c *client) ask(line string) string {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

func (c *client) read() string {
	c.t.Helper()
	answer, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%q, %v", answer, err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// ended waits for the end of the connection.
func (c *client) ended() {
	c.t.Helper()
	if more, err := io.ReadAll(c.lines); len(more) > 0 || isTimeout(err) {
		c.t.Fatalf("%q, %v instead of the end", more, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
