package steer

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy/l4"
)

const steererName = "GATEHOUSE_TEST_STEERER"

// TestSteerer is a process of its own, of another test.
func TestSteerer(t *testing.T) {
	name := os.Getenv(steererName)
	if name == "" {
		t.Skip("it is started by another test")
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(t.Context(), "tcp", vip4+":0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]Target{{door(vip4, 0, l4.TCP), socket(ln)}}); err != nil {
		t.Fatal(err)
	}
	go answer(ln, name)
	fmt.Println("steers")
	time.Sleep(time.Minute) // the test kills it
}

// steerer starts a process in the balancer that steers, and returns when it
// does.
func (l *lab) steerer(name string) *exec.Cmd {
	l.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSteerer$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), steererName+"="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.Fatal(err)
	}
	l.balancer.Must(cmd.Start)
	l.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		l.Log(name, lines.Text())
		if strings.Contains(lines.Text(), "steers") {
			return cmd
		}
	}
	l.Fatal("the process does not steer")
	return nil
}

// What a process steered ends with it, however it ends, and what another
// steers goes on.
func TestSteeringEndsWithItsProcess(t *testing.T) {
	l := newLab(t)
	first, second := l.steerer("first"), l.steerer("second")
	l.wants(vip4+":80", "second "+vip4+":80")
	_ = second.Process.Kill()
	_ = second.Wait()
	l.wants(vip4+":80", "first "+vip4+":80")
	_ = first.Process.Kill()
	_ = first.Wait()
	l.wantsRefused(vip4 + ":80")
}
