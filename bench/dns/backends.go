//go:build linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// backends are web servers on several addresses and one port; the first can
// be made to fail.
type backends struct {
	port    int
	servers []*http.Server

	mu      sync.Mutex
	failing bool
	failed  []time.Time // when failing replies were given
}

// startBackends starts them on a port that all of the addresses have free.
func startBackends(addrs []netip.Addr) (*backends, error) {
	b := new(backends)
	var listeners []net.Listener
	for i, a := range addrs {
		l, err := net.Listen("tcp4", net.JoinHostPort(a.String(), strconv.Itoa(b.port)))
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("backend: %w", err)
		}
		if i == 0 {
			b.port = l.Addr().(*net.TCPAddr).Port
		}
		listeners = append(listeners, l)
	}
	for i, l := range listeners {
		s := &http.Server{Handler: b.handler(i == 0), ReadHeaderTimeout: 5 * time.Second}
		b.servers = append(b.servers, s)
		go s.Serve(l) // ends with Close
	}
	return b, nil
}

func (b *backends) handler(first bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		failing := first && b.failing
		if failing {
			b.failed = append(b.failed, time.Now())
		}
		b.mu.Unlock()
		if failing {
			http.Error(w, "down", http.StatusInternalServerError)
		}
	}
}

// fail makes the first backend fail, or work again.
func (b *backends) fail(now bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = now
	b.failed = nil
}

// failures are when the failing replies since the failure were given.
func (b *backends) failures() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// Close ends the backends.
func (b *backends) Close() {
	for _, s := range b.servers {
		s.Close()
	}
}
