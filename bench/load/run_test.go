//go:build linux

package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/bench/origin"
)

func startOrigin(t *testing.T) netip.AddrPort {
	t.Helper()
	s, err := origin.Start(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Addr()
}

// run is a short run. One in whose time no reply came, not even a wrong one,
// says only that the machine had something else to do, and is made again.
func run(t *testing.T, o Options) (r *Result) {
	t.Helper()
	o.Warmup, o.Duration = 20*time.Millisecond, 400*time.Millisecond
	for range 10 {
		var err error
		if r, err = Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if r.Requests > 0 || r.Failed() > 0 {
			break
		}
	}
	return r
}

func TestTheGeneratorDrivesTheOrigin(t *testing.T) {
	addr := startOrigin(t)
	tests := []struct {
		name string
		o    Options
	}{
		{"keep-alive", Options{Path: "/128", Length: 128, Conns: 8}},
		{"two threads, many hosts", Options{Path: "/128", Length: 128, Conns: 9, Threads: 2, Host: "h%d.test", Hosts: 100}},
		{"large replies", Options{Path: "/1m", Length: 1 << 20, Conns: 2}},
		{"bodies", Options{Path: "/post", Length: 128, Conns: 4, Body: 10 << 10}},
		{"connection per request", Options{Path: "/128", Length: 128, Conns: 4, PerRequest: true}},
		{"traffic", Options{Path: "/api/orders", Length: 128, Conns: 4, Traffic: "json20k", Host: "bench.test"}},
		{"a status that is expected", Options{Path: "/nowhere", Length: AnyLength, Conns: 1, Status: 404}},
		{"fixed rate", Options{Path: "/128", Length: 128, Conns: 4, Rate: 400}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Addr = addr
			tt.o.Watch = map[string][]int{"origin": {os.Getpid()}}
			r := run(t, tt.o)
			if r.Failed() != 0 || r.Requests == 0 || r.CPU["origin"] <= 0 || r.PerRequest("load") <= 0 {
				t.Errorf("%+v", r)
			}
			if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max {
				t.Errorf("p50 %v, p99 %v, max %v", r.P50, r.P99, r.Max)
			}
			// However busy the machine is: all that is due gets sent.
			if tt.o.Rate > 0 && r.Total != 168 {
				t.Errorf("%d requests in 420 ms at 400/s, want 168", r.Total)
			}
		})
	}
}

// However short the time: enough replies count, and what is measured is
// measured over all of them.
func TestARunGoesOnUntilEnoughRepliesCount(t *testing.T) {
	o := Options{Addr: startOrigin(t), Path: "/128", Length: 128, Conns: 1, Duration: time.Millisecond, AtLeast: 2000}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests < o.AtLeast || r.Failed() != 0 || r.Seconds < o.Duration.Seconds() || r.P50 <= 0 {
		t.Errorf("%+v", r)
	}
	o.Rate = 10
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("an open loop may go on")
	}
}

func TestWrongRepliesAreCounted(t *testing.T) {
	addr := startOrigin(t)
	tests := []struct {
		name string
		o    Options
		want error
	}{
		{"length", Options{Path: "/128", Length: 127}, errLength},
		{"status", Options{Path: "/nowhere", Length: 0}, errStatus},
		{"status, of any length", Options{Path: "/128", Length: AnyLength, Status: 403}, errStatus},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Addr, tt.o.Conns = addr, 1
			r := run(t, tt.o)
			if r.Errors[tt.want.Error()] == 0 || r.Requests != 0 {
				t.Errorf("errors %v, %d good replies", r.Errors, r.Requests)
			}
		})
	}
}

// A stall of the server delays every request that falls due meanwhile: their
// latencies must say so, although only one of them was under way.
func TestAStallCountsForAllRequestsItDelays(t *testing.T) {
	const stall = 60 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go serveWithStall(l, stall)
	r := run(t, Options{Addr: addrOf(l), Path: "/", Length: 2, Conns: 1, Rate: 1000})
	if r.Failed() != 0 {
		t.Fatalf("%+v", r)
	}
	// 60 of 400 requests fall into the stall, evenly, so that the 99th
	// percentile is 56 ms. If only the one under way counted, it would be
	// far below (and is, if the machine does not stall as well).
	if r.P99 < 50 {
		t.Errorf("p50 %v ms, p99 %v ms", r.P50, r.P99)
	}
}

func serveWithStall(l net.Listener, stall time.Duration) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	buf := make([]byte, 4096)
	for i := 0; ; i++ {
		if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], headEnd) {
			return
		}
		if i == 60 {
			time.Sleep(stall)
		}
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	}
}

func addrOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

func startTLS(t *testing.T) (netip.AddrPort, *TLSOptions) {
	t.Helper()
	body := strings.Repeat("x", 10<<10)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10240")
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "cert.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return addrOf(s.Listener), &TLSOptions{ServerName: "example.com", CertFile: file}
}

func TestTLS(t *testing.T) {
	addr, options := startTLS(t)
	tests := []struct {
		name  string
		o     Options
		group tls.CurveID
	}{
		{"keep-alive", Options{Conns: 3}, tls.X25519},
		{"fixed rate", Options{Conns: 3, Rate: 200}, tls.X25519},
		{"handshakes", Options{Conns: 3, PerRequest: true}, tls.X25519},
		{"hybrid handshakes", Options{Conns: 3, PerRequest: true}, tls.X25519MLKEM768},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := *options
			with.Hybrid = tt.group == tls.X25519MLKEM768
			tt.o.Addr, tt.o.Path, tt.o.Length, tt.o.TLS = addr, "/", 10<<10, &with
			r := run(t, tt.o)
			if r.Failed() != 0 || r.Requests == 0 || !strings.HasSuffix(r.TLS, tt.group.String()) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAnotherCertificateIsRefused(t *testing.T) {
	addr, options := startTLS(t)
	other := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("other")})
	if err := os.WriteFile(options.CertFile, other, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Addr: addr, Path: "/", Length: 10 << 10, Conns: 1, Duration: time.Millisecond, TLS: options}
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}

func TestHeldConnectionsStayAndAreCounted(t *testing.T) {
	addr := startOrigin(t)
	secureAddr, secure := startTLS(t)
	for name, o := range map[string]Options{
		"plain": {Addr: addr, Path: "/128", Length: 128, Conns: 40},
		"TLS":   {Addr: secureAddr, Path: "/", Length: 10 << 10, Conns: 20, TLS: secure},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Hold(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			h.conns[3].Close()
			if got := h.Alive(context.Background()); got != o.Conns-1 {
				t.Errorf("%d alive, want %d", got, o.Conns-1)
			}
		})
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	good := Options{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Path: "/", Conns: 1, Duration: time.Second}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Options)
	}{
		{"IPv6", func(o *Options) { o.Addr = netip.MustParseAddrPort("[::1]:1") }},
		{"path", func(o *Options) { o.Path = "x" }},
		{"connections", func(o *Options) { o.Conns = 0 }},
		{"duration", func(o *Options) { o.Duration = 0 }},
		{"endless", func(o *Options) { o.Duration = time.Hour }},
		{"rate", func(o *Options) { o.Rate = -1 }},
		{"rate with a connection per request", func(o *Options) { o.Rate, o.PerRequest = 1, true }},
		{"body", func(o *Options) { o.Body = -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			if o.check() == nil {
				t.Error("accepted")
			}
		})
	}
}
