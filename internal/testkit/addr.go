package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// FreeAddr returns a loopback address nobody listens on, for programs that are told their port. It lies below the range of
// ephemeral ports, so that no outgoing connection takes it in between, and no other process is given it until the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 12000 + nextPort.Add(1)%18000
		if addr := fmt.Sprintf("127.0.0.1:%d", port); reserve(t, port) && free(addr) {
			return addr
		}
	}
	t.Fatal("testkit: no free port")
	return ""
}

// reserve takes a port from among those that FreeAddr gives, in any process.
func reserve(t testing.TB, port uint32) bool {
	ln, err := net.Listen("unix", fmt.Sprintf("@gatehouse-test-port-%d", port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { ln.Close() })
	return true
}

func free(addr string) bool {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// nextPort begins somewhere else in each process, which comes to the same port only when it has been through all.
var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32() / 2)
	return &n
}()

// RefusingAddr returns a loopback address that refuses connections until the test ends: the port is bound, not listening.
func RefusingAddr(t testing.TB) string {
	t.Helper()
	_, addr := boundSocket(t)
	return addr
}

// SilentAddr returns a loopback address that leaves connection attempts without any answer: its accept queue is full and
// stays so until the test ends.
func SilentAddr(t testing.TB) string {
	t.Helper()
	fd, addr := boundSocket(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatalf("testkit: listen: %v", err)
	}
	filling := 0
	for silent := 0; silent < 2; { // once may be a moment without a processor
		conn, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			silent++
			continue
		}
		silent = 0
		t.Cleanup(func() { conn.Close() })
		if filling++; filling > 16 {
			t.Fatal("testkit: the accept queue does not fill")
		}
	}
	return addr
}

func boundSocket(t testing.TB) (fd int, addr string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("testkit: socket: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("testkit: bind: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("testkit: getsockname: %v", err)
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
