package grpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 30 * time.Second

// lab is a running appgw before a server of gRPC.
type lab struct {
	admin  string
	front  string
	health *health.Server
	server *grpc.Server
	conn   *grpc.ClientConn
}

// begin starts all of it; with secure over TLS on both sides.
func begin(t *testing.T, secure bool) *lab {
	t.Helper()
	l := &lab{admin: testkit.FreeAddr(t), health: health.NewServer()}
	ca := testkit.NewCA(t)
	cert := ca.Server("shop.test")
	backend := l.serve(t, secure, cert)
	address := testkit.FreeAddr(t)
	l.front = address
	l.run(t, gatewayConfig(l.admin, address, backend, secure, ca, cert))
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "shop.test"})
	}
	var err error
	if l.conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(creds)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.conn.Close() })
	return l
}

// serve starts the interop server, and returns its address.
func (l *lab) serve(t *testing.T, secure bool, cert *testkit.Cert) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if secure {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&cert.TLS)))
	}
	l.server = grpc.NewServer(options...)
	testpb.RegisterTestServiceServer(l.server, interop.NewTestServer())
	healthpb.RegisterHealthServer(l.server, l.health)
	served := make(chan struct{})
	go func() { defer close(served); l.server.Serve(ln) }()
	t.Cleanup(func() { l.server.Stop(); <-served })
	return ln.Addr().String()
}

func gatewayConfig(admin, address, backend string, secure bool, ca *testkit.CA, cert *testkit.Cert) string {
	protocol, clientTLS, backendTLS := "http", "", ""
	if secure {
		protocol = "https"
		clientTLS = fmt.Sprintf(", tls: {certificates: [{certFile: %s, keyFile: %s}]}", cert.CertFile, cert.KeyFile)
		backendTLS = fmt.Sprintf(", tls: {caFile: %s, serverName: shop.test}", ca.File)
	}
	return fmt.Sprintf(`
admin: {address: %s}
logs: {access: {format: off}}
limits: {bodyMinRate: 1000000}
listeners: [{name: front, address: %s, protocol: %s, http2: true%s}]
backendPools: [{name: app, targets: [%q]}]
backendSettings: [{name: app, protocol: %[3]s, http2: true, grpcWeb: true, probe: health%[6]s}]
probes: [{name: health, protocol: grpc, interval: 100ms, timeout: 5s, unhealthyThreshold: 1}]
rules: [{name: all, listener: front, backendPool: app, backendSettings: app}]
`, admin, address, protocol, clientTLS, backend, backendTLS)
}

func (l *lab) run(t *testing.T, config string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "appgw.yaml")
	testkit.Replace(t, file, config)
	proc := testkit.Start(t, exec.Command(testkit.Build(t, "./cmd/appgw"), "run", "-c", file))
	t.Cleanup(func() {
		if proc.Running() {
			proc.Stop(soon)
		}
	})
	proc.WaitReady("http://"+l.admin+"/readyz", soon)
}

// cases are the interoperability cases that need no credentials of Google's. A
// case that fails ends the process with a message: so interop is written.
var cases = map[string]func(context.Context, *grpc.ClientConn){
	"empty_unary":                 onService(interop.DoEmptyUnaryCall),
	"large_unary":                 onService(interop.DoLargeUnaryCall),
	"client_streaming":            onService(interop.DoClientStreaming),
	"server_streaming":            onService(interop.DoServerStreaming),
	"ping_pong":                   onService(interop.DoPingPong),
	"empty_stream":                onService(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  onService(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          onService(interop.DoCancelAfterBegin),
	"cancel_after_first_response": onService(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             onService(interop.DoCustomMetadata),
	"status_code_and_message":     onService(interop.DoStatusCodeAndMessage),
	"special_status_message":      onService(interop.DoSpecialStatusMessage),
	"unimplemented_method":        func(ctx context.Context, c *grpc.ClientConn) { interop.DoUnimplementedMethod(ctx, c) },
	"unimplemented_service": func(ctx context.Context, c *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(c))
	},
}

func onService(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, c *grpc.ClientConn) { f(ctx, testpb.NewTestServiceClient(c)) }
}

func TestInteroperability(t *testing.T) {
	for name, secure := range map[string]bool{"clear text": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, secure)
			for name, run := range cases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), soon)
					defer cancel()
					run(ctx, l.conn)
				})
			}
			t.Run("all at once", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				defer cancel()
				var all sync.WaitGroup
				for _, run := range cases {
					all.Go(func() { run(ctx, l.conn) })
				}
				all.Wait()
			})
		})
	}
}

// A call that the gateway answers itself fails as calls of gRPC do, and a probe
// of gRPC takes a member out that says it does not serve.
func TestAServerThatDoesNotServeIsUnavailable(t *testing.T) {
	l := begin(t, false)
	service := testpb.NewTestServiceClient(l.conn)
	code := func() codes.Code {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		_, err := service.EmptyCall(ctx, &testpb.Empty{})
		if s, _ := status.FromError(err); s.Code() == codes.Unavailable && !strings.Contains(s.Message(), "502") {
			t.Errorf("the message is %q", s.Message())
		}
		return status.Code(err)
	}
	if got := code(); got != codes.OK {
		t.Fatalf("a server that serves is %v", got)
	}
	l.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	testkit.Eventually(t, soon, "the member to be out", func() bool { return code() == codes.Unavailable })
	l.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	testkit.Eventually(t, soon, "the member to be back", func() bool { return code() == codes.OK })
}
