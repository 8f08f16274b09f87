package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager's socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	env  map[string]string
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t: t, conn: conn, env: map[string]string{"NOTIFY_SOCKET": name}}
}

func (m *manager) notifier() *Notifier {
	m.t.Helper()
	n, err := NewNotifier(func(name string) string { return m.env[name] })
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

func (m *manager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

func TestNotifications(t *testing.T) {
	for _, socket := range []string{
		filepath.Join(t.TempDir(), "notify"),
		fmt.Sprintf("@gatehouse-test-%d-%d", os.Getpid(), time.Now().UnixNano()),
	} {
		m := newManager(t, socket)
		n := m.notifier()
		for _, tt := range []struct {
			name string
			send func() error
			want string // a pattern
		}{
			{"ready", func() error { return n.Ready("serving") }, `READY=1\nSTATUS=serving`},
			{"ready as", func() error { return n.ReadyAs(42, "serving") }, `MAINPID=42\nREADY=1\nSTATUS=serving`},
			{"main pid", func() error { return n.MainPID(42) }, `MAINPID=42`},
			{"reloading", n.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9]\d*`},
			{"stopping", func() error { return n.Stopping("draining") }, `STOPPING=1\nSTATUS=draining`},
			{"status", func() error { return n.Status("3 of 4") }, `STATUS=3 of 4`},
			{"a status that tries to be more", func() error { return n.Status("bad\nREADY=1\x1b[0m") }, `STATUS=bad READY=1 \[0m`},
			{"a long status", func() error { return n.Status(strings.Repeat("é", 1000)) }, `STATUS=é{256}\.\.\.`},
		} {
			if err := tt.send(); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if got := m.next(); !regexp.MustCompile(`^` + tt.want + `$`).MatchString(got) {
				t.Errorf("%s: got %q, want %s", tt.name, got, tt.want)
			}
		}
	}
}

func TestNotifierFromTheEnvironment(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		name               string
		socket, usec, wpid string
		watchdog           time.Duration
		ok                 bool
	}{
		{"plain", "/run/n", "", "", 0, true},
		{"abstract", "@n", "", "", 0, true},
		{"relative", "run/n", "", "", 0, false},
		{"vsock", "vsock:2:1", "", "", 0, false},
		{"watchdog", "/run/n", "3000000", "", 3 * time.Second, true},
		{"watchdog of this process", "/run/n", "3000000", pid, 3 * time.Second, true},
		{"watchdog of another process", "/run/n", "3000000", "1", 0, true},
		{"watchdog without sense", "/run/n", "soon", "", 0, false},
		{"watchdog of zero", "/run/n", "0", "", 0, false},
		{"watchdog that overflows", "/run/n", "9223372036854775807", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"NOTIFY_SOCKET": tt.socket, "WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.wpid}
			n, err := NewNotifier(func(name string) string { return env[name] })
			if (err == nil) != tt.ok {
				t.Fatalf("err = %v", err)
			}
			if err == nil && n.watchdog != tt.watchdog {
				t.Errorf("watchdog %v, want %v", n.watchdog, tt.watchdog)
			}
		})
	}
	n, err := NewNotifier(func(string) string { return "" })
	if n != nil || err != nil {
		t.Errorf("without a service manager: %v, %v", n, err)
	}
	if err := errors.Join(n.Ready(""), n.Reloading(), n.Stopping(""), n.MainPID(1)); err != nil {
		t.Errorf("a nil Notifier failed: %v", err)
	}
	n.Watchdog(t.Context()) // returns
}

func TestWatchdogIsFedUntilCancelled(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	m.env["WATCHDOG_USEC"] = "20000"
	n := m.notifier()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Watchdog(ctx); close(done) }()
	for range 3 {
		if got := m.next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	cancel()
	<-done
}

func TestServiceManagerHearsOfTheWholeLife(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	signals := make(chan os.Signal, 1)
	refuse := errors.New("bad\nconfiguration")
	d := &Daemon{
		Tasks:    []Task{readyTask("web")},
		Signals:  signals,
		Notifier: m.notifier(),
		Reloader: &Reloader{Apply: func(context.Context) ([]string, error) { return nil, refuse }},
	}
	// Before it serves a reload is nobody's business.
	_ = d.Reloader.Reload(t.Context(), "start")
	done := make(chan error, 1)
	go func() { done <- d.Run(context.Background()) }()

	expect := func(want string) {
		t.Helper()
		if got := m.next(); !regexp.MustCompile(`^` + want + `$`).MatchString(got) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	expect(fmt.Sprintf(`MAINPID=%d\nREADY=1\nSTATUS=serving`, os.Getpid()))
	signals <- syscall.SIGHUP
	expect(`RELOADING=1\nMONOTONIC_USEC=\d+`)
	expect(`READY=1\nSTATUS=serving the previous configuration; the new one was refused: bad configuration`)
	signals <- syscall.SIGTERM
	expect(`STOPPING=1\nSTATUS=draining`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
