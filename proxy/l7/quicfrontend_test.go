package l7

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"gatehouse/config"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http3"
)

// When many handshakes are under way, a client has to show that it is where it says, and is served then; when there are too
// many it is refused.
func TestHandshakesAreBounded(t *testing.T) {
	ca := testkit.NewCA(t)
	cert := ca.Server("shop.test")
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	g := NewGateway(slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	listener := &Listener{Name: "secure", HTTPS: true, TLSGroup: "x", QUIC: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h3"}}}
	sites := NewSites()
	sites.Add(listener, nil)
	listener.Metrics = telemetry.NewMetrics(telemetry.MetricsOptions{}).Begin().Listener("secure")
	g.Use(&Snapshot{Sites: []*Sites{sites}, Limits: config.Limits{HeadTimeout: soon}, Options: http1.Options{HeadTimeout: soon, IdleTimeout: soon}})
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := http3.NewSocket(udp, udp.Close, nil)
	if err != nil {
		t.Fatal(err)
	}
	fe := g.NewQUICFrontend(0, socket)
	var asked atomic.Int64
	fe.transport.VerifySourceAddress = func(a net.Addr) bool {
		suspicious := fe.suspicious(a)
		if suspicious {
			asked.Add(1)
		}
		return suspicious
	}
	ended := make(chan struct{})
	go func() { defer close(ended); fe.Serve() }()
	dial := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		tc := ca.ClientConfig("shop.test")
		tc.NextProtos = []string{"h3"}
		q, err := quic.DialAddr(ctx, fe.Addr().String(), tc, nil)
		if err == nil {
			q.CloseWithError(0x100, "")
		}
		return err
	}
	for _, tt := range []struct {
		name    string
		shaking int64
		refused bool
	}{
		{"few", 0, false},
		{"many", fewHandshakes, false},
		{"too many", maxHandshakes, true},
	} {
		asked.Store(0)
		fe.shaking.Add(tt.shaking)
		if err := dial(); (err != nil) != tt.refused || (asked.Load() > 0) != (tt.shaking > 0) {
			t.Errorf("%s: %v, asked %d times", tt.name, err, asked.Load())
		}
		fe.shaking.Add(-tt.shaking)
	}
	testkit.Eventually(t, soon, "no handshake under way", func() bool { return fe.shaking.Load() == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fe.Stop(ctx)
	<-ended
	if n := g.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
