package examples

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"gatehouse/internal/testkit"
)

// callee is a server that has no service but that of its health, and answers
// every other call with its name and NotFound.
type callee struct {
	addr   string
	health *health.Server
}

func newCallee(t *testing.T, name string) *callee {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &callee{addr: ln.Addr().String(), health: health.NewServer()}
	c.health.SetServingStatus("helloworld.Greeter", healthpb.HealthCheckResponse_SERVING)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return status.Error(codes.NotFound, name)
	}))
	healthpb.RegisterHealthServer(server, c.health)
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ln) }()
	t.Cleanup(func() { server.Stop(); <-served })
	return c
}

func TestGRPC(t *testing.T) {
	first, second, chat := newCallee(t, "first"), newCallee(t, "second"), newCallee(t, "chat")
	e := serve(t, "grpc", map[string]*testkit.Backend{"3001": {Addr: first.addr}, "3002": {Addr: second.addr}, "3003": {Addr: chat.addr}})
	conn, err := grpc.NewClient(e.at("8080"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	call := func(method string) string {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		err := conn.Invoke(ctx, method, &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		if status.Code(err) == codes.NotFound {
			return status.Convert(err).Message()
		}
		return status.Code(err).String()
	}
	const greet = "/helloworld.Greeter/SayHello"
	testkit.Eventually(t, soon, "both greeters to be called", func() bool {
		got := map[string]bool{}
		for range 10 {
			got[call(greet)] = true
		}
		return got["first"] && got["second"] && len(got) == 2
	})
	if got := call("/chat.Chat/Join"); got != "chat" {
		t.Errorf("the chat is %q", got)
	}
	first.health.SetServingStatus("helloworld.Greeter", healthpb.HealthCheckResponse_NOT_SERVING)
	testkit.Eventually(t, soon, "the first greeter to be left out", func() bool {
		for range 10 {
			if call(greet) != "second" {
				return false
			}
		}
		return true
	})
}
