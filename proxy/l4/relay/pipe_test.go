package relay

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// That the kernel has refused a pipe is not the end of all.
func TestPipesAreAskedForAgain(t *testing.T) {
	var o Options
	pp := pipePool{next: 5}
	if pp.get(&o, 4) != nil {
		t.Error("a pipe before its time")
	}
	p := pp.get(&o, 5)
	if p == nil {
		t.Fatal("no pipe when its time has come")
	}
	pp.put(p)
	pp.close()
}

// Beyond the user's quota pipes are too small to be of use (pipe(7),
// pipe-user-pages-soft), until others are closed.
func TestPipesBeyondTheQuota(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: what the thread may not do ends with it
		dropCapabilities(t, unix.CAP_SYS_ADMIN, unix.CAP_SYS_RESOURCE)
		var o Options
		var pp pipePool
		var list []*pipe
		for p := pp.get(&o, 1); p != nil; p = pp.get(&o, 1) {
			list = append(list, p)
		}
		if len(list) == maxPipes {
			t.Log("the quota has room for all")
		} else if pp.next == 0 {
			t.Error("the next flow asks again, in vain")
		}
		for _, p := range list {
			p.close()
		}
		pp.used = 0
		p := pp.get(&o, max(pp.next, 1))
		if p == nil {
			t.Error("no pipe although there is room again")
			return
		}
		p.close()
	}()
	<-done
}

func dropCapabilities(t *testing.T, list ...int) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	for _, c := range list {
		data[c/32].Effective &^= 1 << (c % 32)
	}
	if err == nil {
		err = unix.Capset(&header, &data[0])
	}
	if err != nil {
		t.Error(err)
	}
}
