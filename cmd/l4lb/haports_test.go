package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/netns"
)

const (
	soon = 20 * time.Second
	ha4  = "127.0.0.77"
	ha6  = "2001:db8:f::77"
)

// The ports of the member; the last is that of the rule beside the one for
// every port.
var (
	haPorts = []string{"53", "4000", "65535"}
	ownPort = "5000"
)

const haFile = `
admin: {address: "127.0.0.1:9000"}
shutdown: {drain: 1s}
frontends: [{name: inside, addresses: [` + ha4 + `, "` + ha6 + `"]}]
backendPools: [{name: pool, members: [127.0.0.2]}]
probes: [{name: any, protocol: tcp, port: 4000, interval: 5s}]
rules:
  - {name: own, frontend: inside, protocol: udp, frontendPort: 443, backendPort: 5000, backendPool: pool, probe: any}
  - {name: ownTCP, frontend: inside, protocol: tcp, frontendPort: 443, backendPort: 5000, backendPool: pool, probe: any}
`

const haRule = "  - {name: every, frontend: inside, protocol: all, backendPool: pool, probe: any}\n"

// haLab is l4lb on a host of its own with a member.
type haLab struct {
	*testing.T
	host *netns.Host
	file string
	*testkit.Process
}

func newHALab(t *testing.T) *haLab {
	l := &haLab{T: t, host: netns.New(t, "balancer"), file: filepath.Join(t.TempDir(), "l4lb.yaml")}
	l.host.Address(ha6)
	for _, port := range append([]string{ownPort}, haPorts...) {
		at := net.JoinHostPort("127.0.0.2", port)
		go acceptHA(l.host.Listen("tcp", at), port)
		go echoHA(l.host.ListenUDP(at), port)
	}
	l.write(haFile + haRule)
	cmd := exec.Command(testkit.Build(t, "./cmd/l4lb"), "run", "-c", l.file)
	l.host.Must(func() error { l.Process = testkit.Start(t, cmd); return nil })
	testkit.Eventually(t, 2*soon, "the steering, or what it lacks", func() bool {
		return l.ask("tcp", ha4, "4000") == "4000 from 127.0.0.77:4000" || strings.Contains(l.Output(), "needs what is not here")
	})
	if out := l.Output(); strings.Contains(out, "needs what is not here") {
		t.Skip(out)
	}
	l.WaitLine(`"msg":"ready"`, soon) // before that it refuses to be upgraded
	return l
}

func (l *haLab) write(text string) {
	l.Helper()
	if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

// acceptHA says a port for each line of a connection.
func acceptHA(ln net.Listener, port string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintln(c, port)
			}
		}()
	}
}

// echoHA says it for each datagram.
func echoHA(c *net.UDPConn, port string) {
	buf := make([]byte, 1<<10)
	for {
		_, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteToUDPAddrPort([]byte(port+"\n"), from)
	}
}

// ask is who answers at an address, and from where; or an error.
func (l *haLab) ask(network, address, port string) string {
	c, err := l.host.Dial(network, net.JoinHostPort(address, port), soon)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return askHA(c)
}

func askHA(c net.Conn) string {
	_ = c.SetDeadline(time.Now().Add(soon))
	fmt.Fprintln(c, "who?")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line) + " from " + c.RemoteAddr().String()
}

// wants tells that a port is answered by one of the member.
func (l *haLab) wants(network, address, port, by string) {
	l.Helper()
	if got, want := l.ask(network, address, port), by+" from "+net.JoinHostPort(address, port); got != want {
		l.Errorf("%s %s port %s: %q, want %q", network, address, port, got, want)
	}
}

// wantsAll tells that every port is answered, and that of the rule beside by
// its own.
func (l *haLab) wantsAll() {
	l.Helper()
	for _, network := range []string{"tcp", "udp"} {
		for _, address := range []string{ha4, ha6} {
			for _, port := range haPorts {
				l.wants(network, address, port, port)
			}
			l.wants(network, address, "443", ownPort)
		}
	}
}

func TestARuleForEveryPort(t *testing.T) {
	l := newHALab(t)
	l.wantsAll()
	l.write(haFile)
	l.Signal(syscall.SIGHUP)
	l.WaitLine("no longer listening", soon) // its flows are still there, and go on for a second
	for _, network := range []string{"tcp", "udp"} {
		for _, address := range []string{ha4, ha6} {
			if got := l.ask(network, address, "4000"); !strings.Contains(got, "connection refused") {
				t.Errorf("%s %s: %q, want it to be refused", network, address, got)
			}
			l.wants(network, address, "443", ownPort)
		}
	}
	l.write(haFile + haRule)
	l.Signal(syscall.SIGHUP)
	testkit.Eventually(t, 2*soon, "the rule to be back", func() bool { return l.ask("udp", ha4, "4000") == "4000 from 127.0.0.77:4000" })
	l.wantsAll()
}

// sockets are those of UDP that are bound to the addresses of the rule.
func (l *haLab) sockets() (list []string) {
	l.Helper()
	for file, address := range map[string]string{"udp": "4D00007F:", "udp6": "B80D012000000F000000000077000000:"} {
		for line := range strings.Lines(l.host.Run("cat /proc/thread-self/net/" + file)) {
			if f := strings.Fields(line); strings.HasPrefix(f[1], address) {
				list = append(list, f[1])
			}
		}
	}
	slices.Sort(list)
	return list
}

// A flow of a port that was asked goes on in the new process, as do others.
func TestEveryPortIsHandedOver(t *testing.T) {
	l := newHALab(t)
	var flows []net.Conn
	for _, address := range []string{ha4, ha6} {
		c, err := l.host.Dial("udp", net.JoinHostPort(address, "53"), soon)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		flows = append(flows, c)
		askHA(c)
	}
	before := l.sockets()
	l.Signal(syscall.SIGUSR2)
	if code := l.Wait(4 * soon); code != 0 {
		t.Fatalf("the old process ends with %d", code)
	}
	for _, c := range flows {
		if got, want := askHA(c), "53 from "+c.RemoteAddr().String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if after := l.sockets(); len(before) < 6 || !slices.Equal(before, after) {
		t.Errorf("sockets were %s, are %s", before, after)
	}
	if out := l.Output(); strings.Count(out, "UDP flows go on") != 2 || strings.Contains(out, "flows=0") {
		t.Error("flows begin anew")
	}
	l.wantsAll()
}
