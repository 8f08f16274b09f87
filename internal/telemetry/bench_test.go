package telemetry

import (
	"net/netip"
	"os"
	"testing"

	"gatehouse/config"
)

// usualRecord is a record of a common request, as a browser sends it.
func usualRecord() *Record {
	r := new(Record)
	r.Reset()
	r.Start = 1_795_000_000_123_456_789
	copy(r.TraceID[:], "0123456789abcdef0123456789abcdef")
	r.ClientAddr = netip.MustParseAddrPort("203.0.113.77:51514")
	r.PeerAddr = r.ClientAddr
	r.Listener, r.Rule, r.PathRule = "shop", "shop", "images"
	r.Pool, r.Settings, r.Backend = "images", "plain", "10.0.0.9:8080"
	r.Method, r.Target = []byte("GET"), []byte("/images/2026/11/logo.png?size=large&v=3")
	r.Path, r.Query = []byte("/images/2026/11/logo.png"), []byte("size=large&v=3")
	r.Host, r.HostSent = []byte("shop.example"), []byte("shop.example")
	r.UserAgent = []byte("Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0")
	r.Referer, r.ContentType = []byte("https://shop.example/catalogue"), []byte("image/png")
	r.Proto, r.Status, r.BackendStatus = "HTTP/1.1", 200, 200
	r.BytesIn, r.BytesOut, r.BackendIn, r.BackendOut = 412, 10421, 10388, 502
	r.Th, r.Ti, r.TR, r.Tw, r.Tc, r.Tr, r.Td = 0, 1_203_000, 14_000, 0, 0, 812_000, 36_000
	r.Ta = 862_000
	r.Reused = true
	return r
}

func benchmarkLine(b *testing.B, encode func(*encoder, []byte, *Record) []byte) {
	var e encoder
	r := usualRecord()
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		r.Start += 16_000 // some 60 000 requests a second
		buf = encode(&e, buf[:0], r)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkLineJSON(b *testing.B)     { benchmarkLine(b, (*encoder).json) }
func BenchmarkLineCombined(b *testing.B) { benchmarkLine(b, (*encoder).combined) }

func BenchmarkLogJSON(b *testing.B) {
	out, err := OpenOutput(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	l := NewAccessLog(out, config.AccessJSON, AccessLogOptions{})
	defer out.Close()
	r := usualRecord()
	b.ReportAllocs()
	for b.Loop() {
		l.Log(1, r)
		if s := &l.shards[1]; len(s.buf) > l.opts.BufferBytes/2 {
			s.buf = s.buf[:0]
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	route := newRoute(routeKey{}, shardCount())
	r := usualRecord()
	b.ReportAllocs()
	for b.Loop() {
		route.Observe(1, r)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	route := newRoute(routeKey{}, shardCount())
	b.ReportAllocs()
	var next = make(chan uint32, 64)
	for i := range uint32(64) {
		next <- i
	}
	b.RunParallel(func(pb *testing.PB) {
		shard, r := <-next, usualRecord()
		for pb.Next() {
			route.Observe(shard, r)
		}
	})
}

func BenchmarkReset(b *testing.B) {
	r := usualRecord()
	for b.Loop() {
		r.Reset()
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	out, err := OpenOutput(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := usualRecord()
	hostile := hostileRecord()
	route := newRoute(routeKey{}, shardCount())
	listener := newListener("web", shardCount())
	jsonLog := NewAccessLog(out, config.AccessJSON, AccessLogOptions{})
	combinedLog := NewAccessLog(out, config.AccessCombined, AccessLogOptions{})
	tests := []struct {
		name string
		do   func()
	}{
		{"observe", func() { route.Observe(3, r) }},
		{"listener", func() { listener.Opened(1); listener.LimitHit(1, LimitFields); listener.Closed(1) }},
		{"json", func() { jsonLog.Log(1, r) }},
		{"combined", func() { combinedLog.Log(1, r) }},
		{"json of hostile bytes", func() { jsonLog.Log(1, hostile) }},
		{"combined of hostile bytes", func() { combinedLog.Log(1, hostile) }},
		{"reset", func() { new(Record).Reset() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// More runs than a buffer has room for: dropping is free, too.
			if n := testing.AllocsPerRun(1000, tt.do); n != 0 {
				t.Errorf("%v allocations per call, want 0", n)
			}
		})
	}
}
