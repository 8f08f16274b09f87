package connect

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	backendVariable = "GATEHOUSE_CONNECT_BACKEND"  // the backendKind of the server under test
	binVariable     = "GATEHOUSE_CONNECT_BINARIES" // the directory of the programs
	serverTrouble   = "server under test: "        // how its errors begin
)

// backendKind is what stands behind appgw.
type backendKind string

const (
	same    backendKind = "same"    // the reference server in the client's version of HTTP, or in HTTP/2
	crossed backendKind = "crossed" // in HTTP/1.1 for clients of HTTP/2 and 3, and in HTTP/2 for those of HTTP/1.1
	web     backendKind = "web"     // in HTTP/2, and gRPC is made of gRPC-Web
	guarded backendKind = "guarded" // as same, and appgw has everything on that looks at bodies
)

// version is the version of HTTP to the backend, in the suite's numbers.
func (k backendKind) version(client uint64) uint64 {
	switch {
	case k == web:
		return 2
	case (client == 1) != (k == crossed):
		return 1
	}
	return 2
}

// serve is the server under test: it starts the reference server and appgw
// before it as the runner asks on stdin, says on stdout where appgw listens,
// and stops both on SIGTERM.
func serve(kind backendKind) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	// The programs are killed when the thread that has started them ends.
	runtime.LockOSThread()
	ask, err := readRequest(os.Stdin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(os.Getenv(binVariable), "server")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	backend, err := startReference(ask, kind.version(ask.version))
	if err != nil {
		return fmt.Errorf("reference server: %w", err)
	}
	front, gateway, err := startGateway(dir, ask, kind, backend)
	if err != nil {
		return fmt.Errorf("appgw: %w", err)
	}
	if _, err := os.Stdout.Write(response(front, ask.cert)); err != nil {
		return err
	}
	select {
	case <-stop:
		return gateway.stop()
	case <-gateway.exited:
		return gateway.failure("ended")
	}
}

// startReference starts the suite's reference server and returns its address.
// It runs until this process ends.
func startReference(ask *request, version uint64) (address string, err error) {
	message, err := ask.forBackend(version)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(os.Getenv(binVariable), "referenceserver"))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(message), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	answer, err := readMessage(out)
	if err != nil {
		return "", err
	}
	var host, port string
	err = fields(answer, func(number protowire.Number, value uint64, data, _ []byte) error {
		switch number {
		case fieldHost:
			host = string(data)
		case fieldPort:
			port = strconv.FormatUint(value, 10)
		}
		return nil
	})
	return net.JoinHostPort(host, port), err
}

// configuration is of a listener as the runner asks for and the reference
// server behind it. It has no probe: the server is there before appgw is.
const configuration = `
admin: {address: "unix:%[1]s/admin.sock"}
logs: {access: {format: off}}
shutdown: {drain: 1s}
listeners: [{name: front, address: "%[2]s", protocol: %[3]s, http2: true%[4]s}]
backendPools: [{name: app, targets: ["%[5]s"]}]
backendSettings: [{name: app, protocol: %[3]s, probe: off%[6]s}]
rules: [{name: all, listener: front, backendPool: app, backendSettings: app}]
`

// policies are for everything that looks at bodies. The reference server's
// answers are short, and of types that are not compressed by default.
const policies = `wafPolicy: all
wafPolicies: [{name: all, responseBody: {inspect: true}}]
compressionPolicies: [{name: all, minLength: 0B, types: [application/*]}]
`

// gateway is a running appgw.
type gateway struct {
	cmd    *exec.Cmd
	log    bytes.Buffer  // complete when it has ended
	err    error         // the same
	exited chan struct{} // closed then
}

// configure is the text of the configuration; its files are in dir.
func configure(dir string, ask *request, kind backendKind, front *net.TCPAddr, backend string) string {
	protocol, frontMore, backendMore, more := "http", "", "", ""
	if kind.version(ask.version) == 2 {
		backendMore = ", http2: true"
	}
	switch kind {
	case web:
		backendMore += ", grpcWeb: true"
	case guarded:
		frontMore, more = ", compression: all", policies
		backendMore += ", responseBuffering: {}"
	}
	if ask.tls {
		protocol = "https"
		frontMore += fmt.Sprintf(", http3: %t, tls: {certificates: [{certFile: %[2]s/cert.pem, keyFile: %[2]s/key.pem}]", ask.version == 3, dir)
		if len(ask.clientCA) > 0 {
			// The suite's client has signed its own certificate and is no CA, so there is nobody for strict to trust.
			frontMore += ", clientAuth: {mode: passthrough}"
		}
		frontMore += "}"
		backendMore += fmt.Sprintf(", tls: {caFile: %s/cert.pem, serverName: localhost}", dir)
	}
	return fmt.Sprintf(configuration, dir, front, protocol, frontMore, backend, backendMore) + more
}

// startGateway starts appgw and waits until it can be connected to.
func startGateway(dir string, ask *request, kind backendKind, backend string) (*net.TCPAddr, *gateway, error) {
	front, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	text := configure(dir, ask, kind, front, backend)
	for name, data := range map[string][]byte{"appgw.yaml": []byte(text), "cert.pem": ask.cert, "key.pem": ask.key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, nil, err
		}
	}
	g := &gateway{exited: make(chan struct{})}
	g.cmd = exec.Command(filepath.Join(os.Getenv(binVariable), "appgw"), "run", "-c", filepath.Join(dir, "appgw.yaml"))
	g.cmd.Stderr = &g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, nil, err
	}
	go func() { g.err = g.cmd.Wait(); close(g.exited) }()
	return front, g, g.waitOpen(front)
}

// waitOpen waits until appgw listens.
func (g *gateway) waitOpen(address *net.TCPAddr) error {
	var last error
	for range 80 {
		c, err := net.DialTCP("tcp", nil, address)
		if err == nil {
			return c.Close()
		}
		last = err
		select {
		case <-g.exited:
			return g.failure("not started")
		case <-time.After(100 * time.Millisecond):
		}
	}
	return last
}

// stop has appgw end in good order. The runner waits five seconds for that.
func (g *gateway) stop() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	<-g.exited
	if g.err != nil {
		return g.failure("ended")
	}
	return nil
}

// failure is an error with appgw's log, once it has ended.
func (g *gateway) failure(what string) error {
	return fmt.Errorf("%s: %v\n%s", what, g.err, g.log.Bytes())
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (*net.TCPAddr, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr), nil
}
