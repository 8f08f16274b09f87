package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleVar makes the test binary a server instead; its value is a directory
// for the server's unix socket and, once it is to fail, how (file "fail").
const roleVar = "GATEHOUSE_DAEMON_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVar); dir != "" {
		if err := serveForTest(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveForTest is the main of the server.
func serveForTest(dir string) error {
	u, err := NewUpgrader()
	if err != nil {
		return err
	}
	// Each process tells the next its id, after what it was told itself.
	word := strings.TrimPrefix(string(u.Inheritance())+","+strconv.Itoa(os.Getpid()), ",")
	u.Word = func() []byte { return []byte(word) }
	u.Prepare = func() func() {
		// One that hangs is not waited for as long as one that is slow.
		u.Timeout = 20 * time.Second
		if failure, _ := os.ReadFile(filepath.Join(dir, "fail")); string(failure) == "hang" {
			u.Timeout = 3 * time.Second
		}
		return prepare(u, dir)
	}
	if err := os.WriteFile(filepath.Join(dir, "word"), []byte(word), 0o600); err != nil {
		return err
	}
	failure, _ := os.ReadFile(filepath.Join(dir, "fail"))
	stuck := &echo{ready: make(chan struct{})}
	d := &Daemon{Log: textLog(os.Stderr), Upgrader: u}
	if u.Inherited() {
		switch string(failure) {
		case "die":
			os.Exit(3)
		case "hang":
			d.Tasks = append(d.Tasks, stuck)
		case "ignore":
			// As a binary that has never heard of the handover does.
			u = &Upgrader{open: map[*socket]struct{}{}}
		}
	}
	admin, err := u.Listen(context.Background(), nil, "unix", filepath.Join(dir, "admin"))
	if err != nil {
		return err
	}
	d.Support = []Task{&echo{ready: make(chan struct{}), listeners: []net.Listener{admin}}}
	task, err := newEcho(u, dir)
	if err != nil {
		return err
	}
	if err := holdPair(u, dir); err != nil {
		return err
	}
	d.Tasks = append(d.Tasks, task)
	return d.Run(context.Background())
}

// holdPair holds two sockets that package net does not know, by one name, and
// writes down which they are; retired: that they were handed over.
func holdPair(u *Upgrader, dir string) error {
	var lines []string
	for range 2 {
		f, err := u.Take("raw", "pair")
		if err != nil {
			return err
		}
		if f == nil {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			f = os.NewFile(uintptr(fd), "raw")
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino))
		retired := filepath.Join(dir, fmt.Sprintf("retired.%d.%d", os.Getpid(), len(lines)))
		if _, err := u.Hold("raw", "pair", f, func() { os.WriteFile(retired, nil, 0o600) }); err != nil {
			return err
		}
	}
	if f, err := u.Take("raw", "once"); err != nil || (f != nil) != u.Inherited() {
		return fmt.Errorf("what was held for one upgrade: %v, %v", f, err)
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(dir, "pair."+strconv.Itoa(os.Getpid())), []byte(strings.Join(lines, " ")), 0o600)
}

// prepare holds a socket for one upgrade, and writes down that it is over.
func prepare(u *Upgrader, dir string) func() {
	if f, _ := u.Take("raw", "once"); f != nil {
		f.Close()
	}
	r, w, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	forget, _ := u.Hold("raw", "once", r, nil)
	return func() {
		forget()
		r.Close()
		w.Close()
		os.WriteFile(filepath.Join(dir, "over."+strconv.Itoa(os.Getpid())), nil, 0o600)
	}
}

// echo answers every line, and every datagram, with the process id. When it
// drains it closes a connection after an answer that says so.
type echo struct {
	ready     chan struct{}
	listeners []net.Listener
	udp       *PacketConn
}

func newEcho(u *Upgrader, dir string) (*echo, error) {
	ctx := context.Background()
	e := &echo{ready: make(chan struct{})}
	l, err := u.Listen(ctx, nil, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e.listeners = append(e.listeners, l)
	if e.udp, err = u.ListenPacket(ctx, nil, "udp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	// Where the tests find it; unchanged by upgrades.
	addrs := e.listeners[0].Addr().String() + "\n" + e.udp.LocalAddr().String()
	tmp := filepath.Join(dir, "addrs."+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(tmp, []byte(addrs), 0o600); err != nil {
		return nil, err
	}
	return e, os.Rename(tmp, filepath.Join(dir, "addrs"))
}

func (e *echo) String() string         { return "echo" }
func (e *echo) Ready() <-chan struct{} { return e.ready }

func (e *echo) Run(ctx context.Context) error {
	if e.listeners == nil { // stuck
		<-ctx.Done()
		return nil
	}
	var all sync.WaitGroup
	for _, l := range e.listeners {
		all.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				all.Go(func() { echoLines(ctx, c) })
			}
		})
	}
	if e.udp != nil {
		all.Go(e.echoDatagrams)
	}
	close(e.ready)
	<-ctx.Done()
	for _, l := range e.listeners {
		l.Close()
	}
	if e.udp != nil {
		_ = e.udp.SetReadDeadline(time.Unix(1, 0)) // finish the one being answered
	}
	all.Wait()
	return nil
}

func (e *echo) echoDatagrams() {
	defer e.udp.Close()
	buf := make([]byte, 16)
	for {
		_, from, err := e.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = e.udp.WriteTo([]byte(strconv.Itoa(os.Getpid())), from)
	}
}

func echoLines(ctx context.Context, c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		last := ""
		if ctx.Err() != nil {
			last = " last"
		}
		fmt.Fprintf(c, "%d%s\n", os.Getpid(), last)
		if last != "" {
			return
		}
	}
}

// server is a chain of server processes, each started by the one before.
type server struct {
	t        *testing.T
	dir      string
	pid      int // the one that serves
	tcp, udp string
	mu       sync.Mutex
	ended    map[int]unix.WaitStatus
	first    *exec.Cmd
}

// startServer starts the first process. The test process becomes the parent
// of what its children leave behind, so that it can wait for all of them.
func startServer(t *testing.T) *server {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip("no subreaper:", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), ended: make(map[int]unix.WaitStatus)}
	// A file, not a pipe: nobody has to read it for the processes to go on.
	logFile, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	s.first = exec.Command(exe)
	s.first.Env = append(os.Environ(), roleVar+"="+s.dir, "GORACE=atexit_sleep_ms=0")
	s.first.Stdout, s.first.Stderr = logFile, logFile
	// A group of their own, so that a test that lost track can end them all.
	s.first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.first.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = s.first.Process.Pid
	t.Cleanup(func() {
		if t.Failed() {
			_ = unix.Kill(-s.first.Process.Pid, unix.SIGKILL)
		}
	})
	t.Cleanup(s.stop)
	s.await("to listen", func() bool {
		addrs, err := os.ReadFile(filepath.Join(s.dir, "addrs"))
		s.tcp, s.udp, _ = strings.Cut(string(addrs), "\n")
		return err == nil
	})
	s.await("to be ready", func() bool { return strings.Contains(s.logged(), "msg=ready") })
	return s
}

func (s *server) logged() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// await waits for something that another process does.
func (s *server) await(what string, done func() bool) {
	s.t.Helper()
	for range 1500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("waited in vain for the server %s; its log:\n%s", what, s.logged())
}

// reap tells how the process ended, once it has.
func (s *server) reap(pid int) (unix.WaitStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status, ok := s.ended[pid]; ok {
		return status, true
	}
	var status unix.WaitStatus
	if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil || got != pid {
		return 0, false
	}
	s.ended[pid] = status
	return status, true
}

// stop ends the process that serves and expects it to end well.
func (s *server) stop() {
	if _, ended := s.reap(s.pid); ended {
		return
	}
	_ = unix.Kill(s.pid, unix.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = unix.Kill(s.pid, unix.SIGKILL) })
	defer kill.Stop()
	s.await("to end", func() bool { _, ended := s.reap(s.pid); return ended })
	if s.t.Failed() {
		s.t.Logf("log:\n%s", s.logged())
	}
}

// upgrade sends SIGUSR2 and waits until a new process serves and the old one
// has ended.
func (s *server) upgrade() {
	s.t.Helper()
	old := s.pid
	if err := unix.Kill(old, unix.SIGUSR2); err != nil {
		s.t.Fatal(err)
	}
	s.await("to be upgraded", func() bool { status, ended := s.reap(old); return ended && status.ExitStatus() == 0 })
	s.pid = s.ask("tcp", s.tcp)
	if s.pid == old {
		s.t.Fatal("the old process still answers")
	}
}

// shares counts the sockets that an old process has together with the newest, but for the pair that it may keep.
func (s *server) shares(old int) int {
	s.t.Helper()
	words, err := os.ReadFile(filepath.Join(s.dir, "word"))
	if err != nil {
		s.t.Fatal(err)
	}
	pair, err := os.ReadFile(filepath.Join(s.dir, "pair."+strconv.Itoa(old)))
	if err != nil {
		s.t.Fatal(err)
	}
	ours := socketsOf(old)
	for inode := range strings.FieldsSeq(string(pair)) {
		delete(ours, "socket:["+inode+"]")
	}
	pids := strings.Split(string(words), ",")
	newest, _ := strconv.Atoi(pids[len(pids)-1])
	n := 0
	for socket := range socketsOf(newest) {
		if ours[socket] {
			n++
		}
	}
	return n
}

// socketsOf are the sockets of a process.
func socketsOf(pid int) map[string]bool {
	all := make(map[string]bool)
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	fds, _ := os.ReadDir(dir)
	for _, fd := range fds {
		if target, err := os.Readlink(dir + fd.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			all[target] = true
		}
	}
	return all
}

// ask asks a fresh connection who answers.
func (s *server) ask(network, address string) int {
	s.t.Helper()
	pid, err := ask(network, address)
	if err != nil {
		s.t.Fatalf("%v; log:\n%s", err, s.logged())
	}
	return pid
}

func ask(network, address string) (int, error) {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return askOn(c, bufio.NewReader(c))
}

// errLast is returned with the answer after which the server closes.
var errLast = errors.New("last")

func askOn(c net.Conn, r *bufio.Reader) (int, error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("who\n")); err != nil {
		return 0, err
	}
	if c.LocalAddr().Network() == "udp" {
		buf := make([]byte, 16)
		n, err := r.Read(buf)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(buf[:n]))
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	line, last := strings.CutSuffix(strings.TrimSpace(line), " last")
	pid, err := strconv.Atoi(line)
	if last && err == nil {
		err = errLast
	}
	return pid, err
}

// load asks all the time in every way until stop is called, and counts.
type load struct {
	asked, failed atomic.Int64
	firstFailure  atomic.Pointer[error]
	seen          sync.Map // pid -> true
	quit          chan struct{}
	all           sync.WaitGroup
}

func startLoad(s *server) *load {
	l := &load{quit: make(chan struct{})}
	for range 6 {
		l.all.Go(func() { l.fresh("tcp", s.tcp) })
	}
	l.all.Go(func() { l.fresh("unix", filepath.Join(s.dir, "admin")) })
	l.all.Go(func() { l.fresh("udp", s.udp) })
	for range 4 {
		l.all.Go(func() { l.kept("tcp", s.tcp) })
	}
	return l
}

func (l *load) count(pid int, err error) {
	l.asked.Add(1)
	if err != nil && !errors.Is(err, errLast) {
		l.failed.Add(1)
		l.firstFailure.CompareAndSwap(nil, &err)
		return
	}
	l.seen.Store(pid, true)
}

// fresh uses a connection for one question.
func (l *load) fresh(network, address string) {
	for !isClosed(l.quit) {
		l.count(ask(network, address))
		time.Sleep(time.Millisecond)
	}
}

// kept uses a connection until the server says that it closes it.
func (l *load) kept(network, address string) {
	for !isClosed(l.quit) {
		c, err := net.Dial(network, address)
		if err != nil {
			l.count(0, err)
			continue
		}
		r := bufio.NewReader(c)
		for err == nil && !isClosed(l.quit) {
			var pid int
			pid, err = askOn(c, r)
			l.count(pid, err)
			time.Sleep(time.Millisecond)
		}
		c.Close()
	}
}

// await waits until the process that serves has answered, for a while.
func (l *load) await(s *server) {
	s.t.Helper()
	s.await("to answer the load", func() bool { _, seen := l.seen.Load(s.pid); return seen })
	time.Sleep(50 * time.Millisecond)
}

func (l *load) stop() {
	close(l.quit)
	l.all.Wait()
}

func TestNoConnectionIsLostAcrossUpgrades(t *testing.T) {
	s := startServer(t)
	l := startLoad(s)
	const upgrades = 5
	for range upgrades {
		l.await(s)
		s.upgrade()
	}
	l.await(s)
	l.stop()
	pids := 0
	l.seen.Range(func(any, any) bool { pids++; return true })
	t.Logf("%d questions to %d processes", l.asked.Load(), pids)
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d questions failed, first: %v", n, l.asked.Load(), *l.firstFailure.Load())
	}
	if pids != upgrades+1 {
		t.Errorf("%d processes answered, want %d", pids, upgrades+1)
	}

	// The unix socket's file outlived five owners, and goes with the last.
	path := filepath.Join(s.dir, "admin")
	if s.ask("unix", path) != s.pid {
		t.Error("the unix socket was not handed over")
	}
	// Each heard what the one before it had to tell.
	word, err := os.ReadFile(filepath.Join(s.dir, "word"))
	told := strings.Split(string(word), ",")
	if err != nil || len(told) != upgrades+1 || told[upgrades] != strconv.Itoa(s.pid) {
		t.Errorf("the processes told one another %q, %v", told, err)
	}
	s.stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the last process left the unix socket: %v", err)
	}
}

func TestFailedUpgradeChangesNothing(t *testing.T) {
	for _, tt := range []struct{ name, fail, want string }{
		{"the new process dies", "die", "ended before it was ready: exit status 3"},
		{"the new process does not get ready", "hang", "was ended: not ready within 3s"},
		{"the new binary knows nothing of this", "ignore", "ended before it was ready: exit status 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			write(t, filepath.Join(s.dir, "fail"), tt.fail)
			l := startLoad(s)
			if err := unix.Kill(s.pid, unix.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			s.await("to give up", func() bool { return strings.Contains(s.logged(), "not upgraded, going on") })
			l.stop()
			if !strings.Contains(s.logged(), tt.want) {
				t.Errorf("the log does not say %q:\n%s", tt.want, s.logged())
			}
			if n := l.failed.Load(); n > 0 {
				t.Errorf("%d of %d questions failed, first: %v", n, l.asked.Load(), *l.firstFailure.Load())
			}
			for _, at := range [][2]string{{"tcp", s.tcp}, {"unix", filepath.Join(s.dir, "admin")}, {"udp", s.udp}} {
				if pid := s.ask(at[0], at[1]); pid != s.pid {
					t.Errorf("%s: %d answers, want %d", at[0], pid, s.pid)
				}
			}
			// And the next one succeeds.
			os.Remove(filepath.Join(s.dir, "fail"))
			s.upgrade()
		})
	}
}

// TestOldProcessAcceptsNoMoreWhileItDrains: nor on the sockets of tasks that
// outlive the drain, or the operator would be answered by either process.
func TestOldProcessAcceptsNoMoreWhileItDrains(t *testing.T) {
	s := startServer(t)
	old := s.pid
	idle, err := net.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := askOn(idle, bufio.NewReader(idle)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(old, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.await("to be upgraded", func() bool { return strings.Contains(s.logged(), "upgraded: the new process serves") })
	s.await("to take nothing new", func() bool { return s.shares(old) == 0 })
	for range 50 {
		for _, at := range [][2]string{{"tcp", s.tcp}, {"unix", filepath.Join(s.dir, "admin")}} {
			if s.pid = s.ask(at[0], at[1]); s.pid == old {
				t.Fatalf("%s: the old process answered", at[0])
			}
		}
	}
	if _, ended := s.reap(old); ended {
		t.Fatal("the old process did not wait for its connection")
	}
	idle.Close()
	s.await("to have drained", func() bool { _, ended := s.reap(old); return ended })
}

// Sockets that were opened elsewhere are handed over by name, and taken once.
func TestHeldSocketsAreHandedOver(t *testing.T) {
	s := startServer(t)
	old := s.pid
	if err := unix.Kill(old, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.await("to be upgraded", func() bool { return strings.Contains(s.logged(), "upgraded: the new process serves") })
	s.await("to have drained", func() bool { _, ended := s.reap(old); return ended })
	s.pid = s.ask("tcp", s.tcp)
	before, err := os.ReadFile(filepath.Join(s.dir, "pair."+strconv.Itoa(old)))
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(s.dir, "pair."+strconv.Itoa(s.pid)))
	if err != nil || string(before) != string(after) || s.pid == old {
		t.Errorf("process %d had sockets %s, process %d has %s (%v)", old, before, s.pid, after, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "over."+strconv.Itoa(old))); err != nil {
		t.Error(err)
	}
	for i := range 2 {
		if _, err := os.Stat(filepath.Join(s.dir, fmt.Sprintf("retired.%d.%d", old, i+1))); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, fmt.Sprintf("retired.%d.%d", s.pid, i+1))); err == nil {
			t.Error("the new process is to take nothing any more")
		}
	}
}

func TestForgottenSocketsAreNotHandedOver(t *testing.T) {
	u := &Upgrader{open: map[*socket]struct{}{}}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	forget, err := u.Hold("raw", "x", f, nil)
	if err != nil || len(u.open) != 1 {
		t.Fatalf("%d held: %v", len(u.open), err)
	}
	if forget(); len(u.open) != 0 {
		t.Error("still held")
	}
}

func TestStopDuringAnUpgradeStopsBoth(t *testing.T) {
	s := startServer(t)
	write(t, filepath.Join(s.dir, "fail"), "hang")
	if err := unix.Kill(s.pid, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.await("to upgrade", func() bool { return strings.Contains(s.logged(), "upgrading: starting") })
	s.stop()
	if status, _ := s.reap(s.pid); status.ExitStatus() != 0 {
		t.Errorf("exit status %d; log:\n%s", status.ExitStatus(), s.logged())
	}
	if _, err := ask("tcp", s.tcp); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("somebody still listens: %v", err)
	}
}

func TestInheritedSocketsDoNotLeakIntoOtherChildren(t *testing.T) {
	s := startServer(t)
	s.upgrade()
	sockets := 0
	s.await("to close the connection that asked", func() bool {
		sockets = countSockets(t, s.pid)
		return sockets == 5 // three that are served, and a pair that is held
	})
}

// countSockets counts the sockets of a process and looks at their flags.
func countSockets(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fdinfo", pid))
	if err != nil {
		t.Skip(err)
	}
	sockets := 0
	for _, fd := range fds {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd.Name()))
		if !strings.HasPrefix(target, "socket:") || len(info) == 0 {
			continue
		}
		sockets++
		if flags := flagsOf(t, string(info)); flags&unix.O_CLOEXEC == 0 || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("descriptor %s (%s) has flags %#o", fd.Name(), target, flags)
		}
	}
	return sockets
}

func flagsOf(t *testing.T, fdinfo string) int64 {
	t.Helper()
	for line := range strings.Lines(fdinfo) {
		if v, ok := strings.CutPrefix(line, "flags:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no flags")
	return 0
}

func newTestUpgrader(t *testing.T) *Upgrader {
	t.Helper()
	u, err := NewUpgrader()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestDuplicatingLeavesListenersNonBlocking(t *testing.T) {
	u := newTestUpgrader(t)
	l, err := u.Listen(t.Context(), nil, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, files, err := u.begin()
	if err != nil {
		t.Fatal(err)
	}
	// What os/exec does with each: a blocking listener would hold a thread
	// per Accept, and could not be closed.
	for _, f := range files {
		defer f.Close()
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, %v", flags, err)
		}
	}
	if len(files) != 1 {
		t.Errorf("%d sockets, want 1", len(files))
	}
}

func TestListenerCanBeRemovedAndAddedAgain(t *testing.T) {
	u := newTestUpgrader(t)
	l, err := u.Listen(t.Context(), nil, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	for range 3 {
		l.Close()
		if n := len(u.open); n != 0 {
			t.Fatalf("%d sockets are still known", n)
		}
		if l, err = u.Listen(t.Context(), nil, "tcp", address); err != nil {
			t.Fatal(err)
		}
	}
	defer l.Close()
	pc, err := u.ListenPacket(t.Context(), nil, "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	if n := len(u.open); n != 1 {
		t.Errorf("%d sockets are known, want 1", n)
	}
}

func TestListenConfigControlsTheSocket(t *testing.T) {
	u := newTestUpgrader(t)
	var called []string
	lc := &net.ListenConfig{Control: func(network, _ string, _ syscall.RawConn) error {
		called = append(called, network)
		return nil
	}}
	l, err := u.Listen(t.Context(), lc, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pc, err := u.ListenPacket(t.Context(), lc, "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ul, err := u.Listen(t.Context(), lc, "unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ul.Close()
	if got := strings.Join(called, " "); got != "tcp4 udp4 unix" {
		t.Errorf("Control was called for %q", got)
	}
}

func TestNothingIsListenedOnAfterAHandover(t *testing.T) {
	u := newTestUpgrader(t)
	u.gone = true
	if _, err := u.Listen(t.Context(), nil, "tcp", "127.0.0.1:0"); !errors.Is(err, ErrHandedOver) {
		t.Errorf("Listen = %v", err)
	}
	if _, err := u.ListenPacket(t.Context(), nil, "udp", "127.0.0.1:0"); !errors.Is(err, ErrHandedOver) {
		t.Errorf("ListenPacket = %v", err)
	}
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrHandedOver) {
		t.Errorf("Upgrade = %v", err)
	}
}

func TestBinaryIsFoundByTheNameItWasCalledBy(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "appgw")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, tt := range []struct{ name, arg, want string }{
		{"absolute", exe, exe},
		{"a symlink, which an update redirects", link, link},
		{"relative", "./appgw", dir + "/./appgw"},
		{"a lie", "/bin/sh", exe},
		{"nothing", "", exe},
	} {
		if got, err := binaryPath([]string{tt.arg}); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestChildEnvironment(t *testing.T) {
	got := childEnv([]string{"A=1", "LISTEN_PID=7", "LISTEN_FDS=1", "WATCHDOG_PID=7", "WATCHDOG_USEC=9", handoverVar + "=9", "NOTIFY_SOCKET=/x"})
	want := "A=1 WATCHDOG_USEC=9 NOTIFY_SOCKET=/x " + handoverVar + "=3"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

func TestHandoverDescriptorFromOutsideIsChecked(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	// receive takes it over and closes it.
	fd := strconv.Itoa(int(dupFd(t, file)))
	file.Close()
	for _, v := range []string{"", "x", "-1", "0", "2", "99999999", "1048575", fd} {
		if _, _, _, err := receive(v); err == nil {
			t.Errorf("receive(%q) succeeded", v)
		}
	}
}

func TestInheritedSocketsAreClosedOnExec(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const at = 500 // where nothing else is; without the flag, as exec leaves them
	for fd, f := range map[int]*os.File{at: theirs, at + 1: file} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			t.Fatal(err)
		}
	}
	theirs.Close()
	if _, err := ours.WriteString(`{"sockets":[{"network":"tcp","address":":80"}],"word":"aGVsbG8="}` + "\n"); err != nil {
		t.Fatal(err)
	}
	p, all, word, err := receive(strconv.Itoa(at))
	if err != nil {
		t.Fatal(err)
	}
	defer p.conn.Close()
	if len(all) != 1 || all[0].key != (key{"tcp", ":80"}) || string(word) != "hello" {
		t.Fatalf("received %v, %q", all, word)
	}
	defer all[0].file.Close()
	if flags, err := unix.FcntlInt(at+1, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

func dupFd(t *testing.T, f *os.File) uintptr {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(fd)
}
