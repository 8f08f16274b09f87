package crs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// gateway is an appgw with the Core Rule Set as its authors have it, at the
// highest paranoia level.
type gateway struct {
	detection  string // address of the listener that only logs
	prevention string // address of the listener that blocks
	marks      string // address of the listener that only writes marks into the log
	wafLog     string // path of the firewall's log
	pid        int
}

// configuration has a listener for each mode. In prevention everything with a
// score is blocked, so that a block shows that a rule has matched.
const configuration = `
admin: {address: "unix:%[1]s/admin.sock"}
logs:
  access: {format: off}
  waf: {output: %[1]s/waf.log}
limits: {headBytes: 64KiB, urlBytes: 32KiB, fields: 1000, connectionsPerClient: 0}
listeners:
  - {name: detection, address: "%[2]s", encodedSlash: keep, duplicateSlashes: keep, wafPolicy: detection}
  - {name: prevention, address: "%[3]s", encodedSlash: keep, duplicateSlashes: keep, wafPolicy: prevention}
  - {name: marks, address: "%[4]s", wafPolicy: marks}
backendPools:
  - {name: reflector, targets: ["%[5]s"]}
probes:
  - {name: once, protocol: http, path: /probe, interval: 1h}
backendSettings:
  - {name: plain, protocol: http, requestTimeout: 10s, probe: once}
rules:
  - {name: detection, priority: 1, listener: detection, backendPool: reflector, backendSettings: plain}
  - {name: prevention, priority: 2, listener: prevention, backendPool: reflector, backendSettings: plain}
  - {name: marks, priority: 3, listener: marks, backendPool: reflector, backendSettings: plain}
wafPolicies:
%[6]s%[7]s  - name: marks
    mode: prevention
    customRules:
      - {name: mark, priority: 1, match: [{variable: requestUri, operator: any}], action: block}
`

// policy has the settings that the tests are written for.
const policy = `  - name: %[1]s
    mode: %[1]s
    ruleSet:
      name: crs
      profile: crs
      paranoia: 4
      inboundThreshold: %[2]d
      outboundThreshold: %[3]d
      maxArgs: 255
      argNameLength: 100B
      argLength: 400B
      totalArgLength: 64000B
      maxFileSize: 64100B
      combinedFileSizes: 65535B
      validateUTF8: true
    requestBody: {strict: false, enforce: false}
    responseBody: {inspect: true}
`

// startGateway builds appgw and runs it in front of a backend.
func startGateway(t *testing.T, backend string) *gateway {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "appgw")
	build := exec.Command("go", "build", "-o", binary, "./cmd/appgw")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	g := &gateway{detection: freeAddress(t), prevention: freeAddress(t), marks: freeAddress(t), wafLog: filepath.Join(dir, "waf.log")}
	file := filepath.Join(dir, "appgw.yaml")
	text := fmt.Sprintf(configuration, dir, g.detection, g.prevention, g.marks, backend,
		fmt.Sprintf(policy, "detection", 5, 4), fmt.Sprintf(policy, "prevention", 1, 1))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t, binary, file, filepath.Join(dir, "appgw.log"))
	g.waitReady(t, filepath.Join(dir, "admin.sock"))
	return g
}

// start runs the gateway until the test ends.
func (g *gateway) start(t *testing.T, binary, file, output string) {
	t.Helper()
	out, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "-c", file)
	// With one processor the log has two shards, which is what marks count on.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("appgw ended with %v", err)
		}
		out.Close()
		if t.Failed() {
			data, _ := os.ReadFile(output)
			t.Logf("output of appgw:\n%s", data[:min(len(data), 4096)])
		}
	})
}

func (g *gateway) waitReady(t *testing.T, socket string) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
	var last error
	for range 300 {
		resp, err := client.Get("http://localhost/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %s", resp.Status)
		}
		last = err
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("appgw is not ready: %v", last)
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
