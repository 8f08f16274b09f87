package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
)

// healthServer answers calls of the health service with f.
func healthServer(t *testing.T, config *tls.Config, f func(service string, w http.ResponseWriter)) string {
	t.Helper()
	server := &http.Server{TLSConfig: config, Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/grpc.health.v1.Health/Check" || len(body) < 5 || r.Header.Get("Te") != "trailers" {
			w.WriteHeader(404)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		service := ""
		if len(body) > 7 {
			service = string(body[7:])
		}
		f(service, w)
	})}
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if config != nil {
		go server.ServeTLS(ln, "", "")
	} else {
		go server.Serve(ln)
	}
	return ln.Addr().String()
}

// reply writes a message and a status behind it.
func reply(message, status string) func(string, http.ResponseWriter) {
	return func(_ string, w http.ResponseWriter) {
		w.Write(append([]byte{0, 0, 0, 0, byte(len(message))}, message...))
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	}
}

func checkGRPC(t *testing.T, g *GRPC) error {
	t.Helper()
	g.Network, g.Authority = "tcp", "backend.test"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return g.Check(ctx)
}

func TestGRPCJudgesTheReply(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(string, http.ResponseWriter)
		want   string // empty: healthy
	}{
		{"serving", reply("\x08\x01", "0"), ""},
		{"with another field", reply("\x12\x02ab\x08\x01", "0"), ""},
		{"not serving", reply("\x08\x02", "0"), "NOT_SERVING"},
		{"unknown", reply("", "0"), "UNKNOWN"},
		{"an error", reply("", "12"), "no health service"},
		{"serving with an error", reply("\x08\x01", "14"), "unavailable"},
		{"no message", func(_ string, w http.ResponseWriter) { w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0") }, "no HealthCheckResponse"},
		{"cut field", reply("\x08", "0"), "no HealthCheckResponse"},
		{"no status", func(_ string, w http.ResponseWriter) { w.Write([]byte("\x00\x00\x00\x00\x02\x08\x01")) }, "missing"},
		{"trailers only", func(_ string, w http.ResponseWriter) { w.Header().Set("Grpc-Status", "5") }, "no such service"},
		{"not gRPC", func(_ string, w http.ResponseWriter) { w.WriteHeader(503) }, "status 503"},
		{"endless", func(_ string, w http.ResponseWriter) { w.Write(make([]byte, 1<<20)) }, "larger than 1 KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := checkGRPC(t, &GRPC{Address: healthServer(t, nil, test.answer)})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestGRPCAsksAboutItsService(t *testing.T) {
	asked := make(chan string, 1)
	addr := healthServer(t, nil, func(service string, w http.ResponseWriter) {
		asked <- service
		reply("\x08\x01", "0")("", w)
	})
	if err := checkGRPC(t, &GRPC{Address: addr, Service: "helloworld.Greeter"}); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "helloworld.Greeter" {
		t.Errorf("it asks about %q", got)
	}
}

func TestGRPCOverTLS(t *testing.T) {
	server, client := secureConfigs(t)
	addr := healthServer(t, server, reply("\x08\x01", "0"))
	if err := checkGRPC(t, &GRPC{Address: addr, TLS: client}); err != nil {
		t.Error(err)
	}
}

// secureConfigs are the two sides of TLS.
func secureConfigs(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	client = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName, client.NextProtos = "example.com", []string{"h2"}
	return &tls.Config{Certificates: s.TLS.Certificates}, client
}

func TestGRPCOfSettings(t *testing.T) {
	for protocol, secure := range map[config.BackendProtocol]bool{config.BackendHTTP: false, config.BackendHTTPS: true} {
		plan, err := Compile(&config.Probe{Name: "p", Protocol: config.ProbeGRPC, Service: "a.B"}, config.BackendSettings{Protocol: protocol}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g, ok := plan.Checker(Subject{Target: "backend.test"}).(*GRPC)
		if !ok || g.Service != "a.B" || g.Authority != "backend.test" || (g.TLS != nil) != secure {
			t.Errorf("%v: %+v", protocol, g)
		}
		if secure && (g.TLS.ServerName != "backend.test" || len(g.TLS.NextProtos) != 1 || g.TLS.NextProtos[0] != "h2") {
			t.Errorf("TLS: %+v", g.TLS)
		}
	}
}

func TestGRPCEndsWithItsTime(t *testing.T) {
	addr := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) }).String()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (&GRPC{Network: "tcp", Address: addr, Authority: "backend.test"}).Check(ctx); err == nil {
		t.Error("a server that says nothing is healthy")
	}
}

func FuzzServingStatus(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x06\x12\x02ab\x08\x02"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if status, err := servingStatus(p); err != nil && status != 0 {
			t.Errorf("%q is %d and %v", p, status, err)
		}
	})
}
