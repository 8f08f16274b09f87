package l7

import (
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// ejecting is a pool whose members are ejected for one failed connect.
func ejecting(o *proxy.Options) {
	o.Ejection = config.Ejection{ConnectFailures: 1, Time: time.Minute}
}

// state is that of the gateway's first member.
func (g *gateway) state() proxy.BackendState { return g.pool.Status().Backends[0].State }

// withoutDescriptors runs f while the process can open none: those that are
// open stay so.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// forgetIdle makes the next request dial. The client has the answer before
// the connection to the backend is idle.
func forgetIdle(t *testing.T, g *gateway) {
	t.Helper()
	testkit.Eventually(t, soon, "the connection to be idle", func() bool { return g.idle() == 1 })
	g.transport(t).closeIdle(1<<63 - 1)
}

// With no descriptors left every member would look dead.
func TestAMemberIsNotEjectedForWantOfDescriptors(t *testing.T) {
	b := testkit.NewBackend(t, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, pool: ejecting})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 200)
	forgetIdle(t, g)
	withoutDescriptors(t, func() { ask(t, c, get("/without"), 502) })
	if l := g.lineOf(t, "/without"); l.text("termination") != "SC" {
		t.Errorf("the log says %v", l)
	}
	if s := g.state(); s == proxy.Ejected {
		t.Error("the member is blamed")
	}
	ask(t, c, get("/"), 200)
	forgetIdle(t, g)
	b.Stop()
	ask(t, c, get("/"), 502)
	if s := g.state(); s != proxy.Ejected {
		t.Errorf("a member that refuses is %v", s)
	}
}
