//go:build linux

package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command says what to start.
type Command struct {
	Argv   []string
	Dir    string
	Output string   // file for standard output and error, appended to; empty: nowhere
	CPUs   []int    // processors to run on; empty: any
	Env    []string // added to the environment
	Piped  bool     // standard input and output are pipes; Output takes only the errors
}

// Process is one that we have started. It leads a process group of its own,
// so that ending it ends its workers as well.
type Process struct {
	Name string
	// Stdin and Stdout are set if the command was Piped.
	Stdin  io.WriteCloser
	Stdout io.ReadCloser

	cmd    *exec.Cmd
	output *os.File
	done   chan struct{} // closed when the process has ended
	err    error         // how; valid after done
	stop   sync.Once
}

// stopGrace is how long a process may take to end before it is killed.
const stopGrace = 3 * time.Second

// Start starts a command under a name for messages.
func Start(name string, c Command) (*Process, error) {
	p := &Process{Name: name, done: make(chan struct{})}
	p.cmd = exec.Command(c.Argv[0], c.Argv[1:]...)
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(os.Environ(), c.Env...)
	// Pdeathsig: should this harness be killed, what it started ends too.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.connect(c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := startOn(p.cmd, c.CPUs); err != nil {
		p.closeOutput()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.closeOutput()
		close(p.done)
	}()
	return p, nil
}

func (p *Process) connect(c Command) (err error) {
	if c.Output != "" {
		p.output, err = os.OpenFile(c.Output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	}
	if !c.Piped {
		return nil
	}
	// Pipes of our own, not StdoutPipe's: Wait closes those while the last
	// line may still be unread.
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd.Stdout, p.Stdout = outW, outR
	p.Stdin, err = p.cmd.StdinPipe()
	return err
}

func (p *Process) closeOutput() {
	if p.output != nil {
		p.output.Close()
	}
	if w, ok := p.cmd.Stdout.(*os.File); ok && p.Stdout != nil {
		w.Close()
	}
}

// startOn starts a command on the given processors. A child inherits the
// affinity of the thread that forks it, and with it all its threads.
func startOn(cmd *exec.Cmd, cpus []int) error {
	if len(cpus) == 0 {
		return cmd.Start()
	}
	var before, during unix.CPUSet
	for _, cpu := range cpus {
		during.Set(cpu)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &during); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before)
	return cmd.Start()
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended; valid once Done is closed.
func (p *Process) Err() error { return p.err }

// Stop asks the process to end, kills its group if it does not, and waits.
func (p *Process) Stop() {
	p.stop.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(stopGrace):
		}
		// Also after an orderly end: no worker may outlive its master.
		syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	})
}

// RaiseFileLimit lifts the limit of open files of this process and those that
// it starts to the hard limit, which it returns. (The runtime raises its own
// as well, but hides that from children unless it is set explicitly.)
func RaiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	return limit.Max, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// Processors lists those that this process may run on.
func Processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
