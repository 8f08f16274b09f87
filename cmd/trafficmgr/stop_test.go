package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// A stop finds a reload at every point in the end: none leaves a socket, a
// goroutine or a panic behind.
func TestAStopDuringAReloadLeavesNothing(t *testing.T) {
	one, two := testkit.FreeAddr(t), testkit.FreeAddr(t)
	cert := testkit.NewCA(t).Server("dns.example")
	secure := fmt.Sprintf("protocols: [dot], tls: {certificates: [{certFile: %s, keyFile: %s}]}", cert.CertFile, cert.KeyFile)
	texts := []string{
		fmt.Sprintf("listen: [{address: %q}]\n", one) + answers,
		fmt.Sprintf("listen: [{address: %q, %s}]\n", two, secure) + answers,
	}
	for i := range 40 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			testkit.NoLeak(t)
			s := start(t, texts[i%2])
			testkit.Replace(t, s.file, "admin: {address: \"off\"}\n"+texts[(i+1)%2])
			var both sync.WaitGroup
			both.Go(func() { _, _ = s.apply(context.Background()) })
			time.Sleep(time.Duration(i) * 250 * time.Microsecond) // another point each time
			s.shutdown()
			both.Wait()
			for _, address := range []string{one, two} {
				l, err := net.Listen("tcp", address)
				if err != nil {
					t.Fatalf("the address is not free: %v", err)
				}
				l.Close()
			}
		})
	}
}

func TestNothingIsStartedAfterAStop(t *testing.T) {
	testkit.NoLeak(t)
	one, two := testkit.FreeAddr(t), testkit.FreeAddr(t)
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\n", one)+answers)
	s.shutdown()
	cert := testkit.NewCA(t).Server("dns.example")
	s.reload(fmt.Sprintf("listen: [{address: %q, protocols: [dot], tls: {certificates: [{certFile: %s, keyFile: %s}]}}]\n", two, cert.CertFile, cert.KeyFile) + answers)
	if c, err := net.Dial("tcp", two); err == nil {
		c.Close()
		t.Error("a listener of a configuration that came after the stop takes connections")
	}
}

func TestSIGTERMDuringAReloadEndsTheProcess(t *testing.T) {
	for i := range 4 {
		admin := testkit.FreeAddr(t)
		text := func(address string) string {
			return fmt.Sprintf("admin: {address: %q}\nlisten: [{address: %q}]\n", admin, address) + answers
		}
		file := testkit.Config(t, text(testkit.FreeAddr(t)))
		p := testkit.Run(t, "./cmd/trafficmgr", "run", "-c", file)
		p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
		testkit.Replace(t, file, text(testkit.FreeAddr(t)))
		p.Signal(syscall.SIGHUP)
		time.Sleep(time.Duration(i) * 10 * time.Millisecond) // another point each time
		if code := p.Stop(20 * time.Second); code != 0 {
			t.Errorf("exit status %d\n%s", code, p.Output())
		}
	}
}
