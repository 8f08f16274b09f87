package lifecycle

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// A mounted ConfigMap is a symlink to a file below ..data, itself a symlink that is swapped for another.
func TestSwappedSymlinkOfAConfigMapReloads(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	dir := t.TempDir()
	page := func(n int) string {
		return fmt.Sprintf("errorPages: {404: page.html}\n# %d\n", n) + g.fill(streamsConfig, "$BACKEND", o.addr, "$SPARE", o.addr) +
			"  - {name: site, listener: site, redirect: away}\nredirects:\n  - {name: away, target: {url: \"http://away.test/\"}}\n"
	}
	version := func(n int) string {
		name := fmt.Sprintf("..%d", n)
		text := strings.Replace(page(n), "backendPools:", "  - {name: site, address: \""+g.plain+"\", hostNames: [v"+fmt.Sprint(n)+".test]}\nbackendPools:", 1)
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		testkit.Replace(t, filepath.Join(dir, name, "appgw.yaml"), text)
		testkit.Replace(t, filepath.Join(dir, name, "page.html"), fmt.Sprintf("page %d", n))
		return name
	}
	swap := func(n int) {
		if err := os.Symlink(version(n), filepath.Join(dir, "..next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap(1)
	for _, name := range []string{"appgw.yaml", "page.html"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	g.file = filepath.Join(dir, "appgw.yaml")
	g.run("")
	for n := 1; n < 5; n++ {
		testkit.Eventually(t, soon, fmt.Sprintf("version %d", n), func() bool {
			return testkit.Get(t, g.plain, fmt.Sprintf("v%d.test", n), "/").StatusCode == 302
		})
		swap(n + 1)
	}
}

func TestRenewedCertificateIsServedWithoutAReload(t *testing.T) {
	g, _ := startStop(t, "5s")
	serial := func() string {
		c := testkit.DialTLS(t, g.secure, g.ca.ClientConfig(host))
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	g.reload() // a file as new as this one is read a second time after the start
	before, applied := serial(), g.status().Reloads.Applied
	renewed := g.ca.Server(host)
	g.cert.Replace(t, renewed)
	want := renewed.TLS.Leaf.SerialNumber.String()
	testkit.Eventually(t, soon, "the renewed certificate", func() bool { return serial() == want })
	if before == want || g.status().Reloads.Applied != applied {
		t.Error("that was no renewal without a reload")
	}
}

func TestChangedErrorPageReloads(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	p.pages, p.extra["site"] = filepath.Join(p.dir, "a.html"), true
	g.start(strings.Replace(p.text(), "  - {name: plain, listener: plain, pathMap: map}\n", "", 1))
	for _, text := range []string{"sorry", "so sorry", "sorry again"} {
		testkit.Replace(t, p.pages, text)
		testkit.Eventually(t, soon, "the page "+text, func() bool {
			r := testkit.Get(t, g.plain, host, "/")
			return r.StatusCode == 404 && string(r.Content) == text
		})
	}
}

// What a reload cannot change it does not keep quiet about.
func TestReloadSaysWhatItLeavesForAStart(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	g.start(p.text())
	other := testkit.FreeAddr(t)
	for range 2 { // also when the one before has said it
		g.mark()
		g.configure(strings.Replace(p.text(), g.admin, other, 1))
		g.waitLog("admin.address", "read at a start only", g.admin, other)
	}
	g.mark()
	g.configure(p.text())
	g.waitLog("configuration applied")
	if strings.Contains(g.log()[g.seen:], "admin.address") {
		t.Error("it warns of what is as it was")
	}
}

func TestRenamedAccessLogIsReopenedAndLosesNoLine(t *testing.T) {
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	g.start(p.text())
	l := startLoad(g, mix{plain: 16, secure: 2, reconnect: 2})
	var old []string
	for i := range 4 {
		l.more(300)
		name := fmt.Sprintf("%s.%d", p.log, i)
		if err := os.Rename(p.log, name); err != nil {
			t.Fatal(err)
		}
		old = append(old, name)
		g.mark()
		g.signal(syscall.SIGUSR1)
		g.waitLog("log files reopened")
	}
	l.more(300)
	l.finish()
	lines := func() (n int64) {
		for _, name := range append(old, p.log) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			n += int64(bytes.Count(data, []byte("\n")))
		}
		return n
	}
	testkit.Eventually(t, soon, "all lines of the access log", func() bool { return lines() >= l.count.Load() })
	if n := lines(); n != l.count.Load() {
		t.Errorf("%d lines for %d requests", n, l.count.Load())
	}
	for _, name := range old {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, nothing in it", name, err)
		}
	}
}

func TestFullDiskForTheAccessLogDisturbsNoRequest(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	g, o := newGateway(t), newOrigin(t)
	p := newPlan(g, o)
	p.log = filepath.Join(dir, "access.log")
	g.start(p.text())
	l := startLoad(g, mix{plain: 16, secure: 2, reconnect: 2})
	l.more(1000)
	failed := func() bool {
		return !strings.Contains(g.page("/metrics"), `gatehouse_access_log_dropped_lines_total{reason="write_error"} 0`)
	}
	testkit.Eventually(t, soon, "writes that fail", failed)
	g.waitLog("no space left on device")
	l.more(500)
	if err := os.Truncate(p.log, 0); err != nil {
		t.Fatal(err)
	}
	l.more(200)
	testkit.Eventually(t, soon, "lines once there is space", func() bool {
		info, err := os.Stat(p.log)
		return err == nil && info.Size() > 0
	})
	l.finish()
}
