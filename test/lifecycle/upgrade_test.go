package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// own gives the gateway a binary of its own that the test may replace.
func (g *gateway) own() {
	g.t.Helper()
	data, err := os.ReadFile(g.binary)
	if err != nil {
		g.t.Fatal(err)
	}
	g.binary = filepath.Join(g.t.TempDir(), "appgw")
	g.install(string(data))
}

// install puts another program in the place of the binary, as a package manager does.
func (g *gateway) install(program string) {
	g.t.Helper()
	testkit.Replace(g.t, g.binary, program)
	if err := os.Chmod(g.binary, 0o755); err != nil {
		g.t.Fatal(err)
	}
}

// upgrade starts the binary on disk, and waits until it serves and the old process has ended.
func (g *gateway) upgrade() {
	g.t.Helper()
	g.mark()
	old := g.pid()
	g.signal(syscall.SIGUSR2)
	line := g.waitLog("upgraded: the new process serves")
	var pid int
	if _, err := fmt.Sscanf(line[strings.Index(line, `"newPid":`):], `"newPid":%d`, &pid); err != nil {
		g.t.Fatalf("%v in %s", err, line)
	}
	g.forks = append(g.forks, pid)
	testkit.Eventually(g.t, soon, "the old process to end", func() bool { return !alive(old) })
}

func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	g := newGateway(t)
	g.own()
	p := newPlan(g, newOrigin(t), newOrigin(t))
	g.start(p.text())
	l := startLoad(g, mix{plain: 48, secure: 16, reconnect: 8, handshak: 4})
	l.leaving.Store(true)
	for i := range 4 {
		l.more(300)
		l.settled(64)
		g.upgrade()
		if i == 0 {
			if code := g.proc.Wait(soon); code != 0 {
				t.Errorf("the first process ended with status %d", code)
			}
		}
		if g.page("/readyz") != "ready\n" || !l.ok() {
			t.Fatalf("after upgrade %d", i+1)
		}
		g.configure(p.text()) // the new process obeys the operator
	}
	l.more(300)
	l.finish()
	if told, late := l.told.Load(), l.late.Load(); told+late < 4*64 {
		t.Errorf("only %d connections were told to close; %d were late", told, late)
	}
}

// What is not in the configuration is told to the new process: which members are down, which are drained, and the secret of
// affinity cookies.
func TestANewProcessKnowsWhatTheOldOneKnew(t *testing.T) {
	g := newGateway(t)
	g.own()
	well, other, sick, drained := newOrigin(t), newOrigin(t), newOrigin(t), newOrigin(t)
	sick.sick.Store(true)
	p := newPlan(g, well, other, sick, drained)
	p.settings = ", affinity: {enabled: true}"
	g.start(strings.ReplaceAll(p.text(), "interval: 2s", "interval: 1s"))
	g.becomes(sick.addr, "unhealthy")
	if code, out := g.command("drain", drained.addr); code != 0 {
		t.Fatalf("drain: status %d: %s", code, out)
	}
	once := func(cookie string) *testkit.Response {
		t.Helper()
		c := testkit.Dial(t, g.plain)
		c.Send("GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + cookie + "\r\n")
		r := c.ReadResponse("GET")
		if r.StatusCode != 200 {
			t.Errorf("%q: %s", cookie, r.Status)
		}
		return r
	}
	first := once("")
	if len(first.Cookies()) == 0 {
		t.Fatal("no cookie")
	}
	cookie := "Cookie: " + first.Cookies()[0].Name + "=" + first.Cookies()[0].Value + "\r\n"
	away := other // whom the cookie does not lead to
	if other.requests.Load() > 0 {
		away = well
	}
	for range 2 { // what was handed over once can be handed over again
		g.upgrade()
		quiet(t, sick, func() {
			quiet(t, drained, func() {
				for range 20 {
					once("")
				}
			})
		})
		quiet(t, away, func() {
			for range 5 {
				once(cookie)
			}
		})
	}
	if code, out := g.command("undrain", drained.addr); code != 0 {
		t.Fatalf("undrain: status %d: %s", code, out)
	}
	sick.sick.Store(false)
	g.becomes(sick.addr, "healthy")
	g.becomes(drained.addr, "healthy")
}

// What cannot serve does not take over: the old process goes on and says why.
func TestUpgradeToWhatCannotServeLeavesTheOldProcess(t *testing.T) {
	g := newGateway(t)
	g.own()
	p := newPlan(g, newOrigin(t))
	p.extra["three"] = true
	g.start(p.text())
	l := startLoad(g, mix{plain: 16, secure: 4, reconnect: 4, handshak: 2})
	l.leaving.Store(true)
	l.more(100)
	working, err := os.ReadFile(g.binary)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(texts ...string) {
		t.Helper()
		g.mark()
		g.signal(syscall.SIGUSR2)
		g.waitLog(append([]string{"not upgraded, going on"}, texts...)...)
		l.more(100)
	}
	g.install("#!/bin/sh\nexit 1\n")
	refused("exit status 1")
	g.install("no program at all")
	refused("exec format error")
	if err := os.Remove(g.binary); err != nil {
		t.Fatal(err)
	}
	refused("no such file")
	g.install(string(working))
	g.mark()
	testkit.Replace(t, g.file, "colour: blue\n")
	g.waitLog("configuration refused; the old one runs on", "colour")
	refused("exit status 1")
	if !strings.Contains(g.log()[g.seen:], "colour") {
		t.Error("what the new process did not like is not in the output")
	}
	testkit.Replace(t, g.file, p.text())
	g.waitLog("configuration applied")
	g.upgrade()
	l.more(100)
	l.finish()
}
