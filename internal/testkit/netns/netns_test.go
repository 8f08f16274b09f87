package netns

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

const soon = 5 * time.Second

// talk sends a word from one host to an address of another, where it comes
// back.
func talk(t *testing.T, from, to *Host, address string) {
	t.Helper()
	ln := to.Listen("tcp", address)
	go func() {
		if c, err := ln.Accept(); err == nil {
			data, _ := io.ReadAll(c) // not io.Copy, which keeps pipes
			_, _ = c.Write(data)
			c.Close()
		}
	}()
	c, err := from.Dial("tcp", ln.Addr().String(), soon)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	fmt.Fprint(c, "word")
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "word" {
		t.Errorf("%q came back: %v", got, err)
	}
}

func TestHostsTalkOverCables(t *testing.T) {
	a, router, b := New(t, "a"), New(t, "router"), New(t, "b")
	Join(router, a, "192.0.2.0/25", "2001:db8:1::/64")
	Join(router, b, "192.0.2.128/25", "2001:db8:2::/64")
	a.Via("192.0.2.1", "2001:db8:1::1")
	b.Via("192.0.2.129", "2001:db8:2::1")
	b.Address("203.0.113.1")
	router.IP("route add 203.0.113.1 via 192.0.2.130")
	router.Sysctl("ipv4/ip_forward", "1")
	router.Sysctl("ipv6/conf/all/forwarding", "1")
	for _, address := range []string{"192.0.2.130:0", "[2001:db8:2::2]:0", "203.0.113.1:0"} {
		talk(t, a, b, address)
	}
	if _, err := New(t, "alone").Dial("tcp", "192.0.2.130:80", soon); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("without a cable: %v", err)
	}
}

// What a host changes is its own, and a thread that was in it comes back.
func TestTheProcessStaysWhereItIs(t *testing.T) {
	h := New(t, "h")
	before, _ := os.Readlink(current)
	for range 50 {
		var inside string
		h.Must(func() (err error) {
			inside, err = os.Readlink(current)
			return err
		})
		outside, _ := os.Readlink("/proc/self/ns/net")
		if inside == before || outside != before {
			t.Fatalf("inside %s, outside %s, before %s", inside, outside, before)
		}
	}
	if err := h.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that ends its goroutine is no error")
	}
	h.Address("203.0.113.1")
	if out, _ := exec.Command("ip", "address").Output(); strings.Contains(string(out), "203.0.113.1") {
		t.Error("the address is everywhere")
	}
	if got := h.Run("ip -o address show dev lo"); !strings.Contains(got, "203.0.113.1") {
		t.Errorf("the address is not there: %s", got)
	}
}

func TestNothingIsLeft(t *testing.T) {
	New(t, "warm") // what the first one opens for good
	before := testkit.Count(t)
	t.Run("test", func(t *testing.T) {
		a, b := New(t, "a"), New(t, "b")
		Join(a, b, "192.0.2.0/24")
		talk(t, a, b, "192.0.2.2:0")
	})
	testkit.Eventually(t, soon, "goroutines and descriptors to go", func() bool {
		now := testkit.Count(t)
		return now.Goroutines <= before.Goroutines && now.Descriptors <= before.Descriptors
	})
}
