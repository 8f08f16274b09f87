package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The handover, over a unix stream socket pair that the new process finds at
// the descriptor named by handoverVar, one line each:
//
//	old -> new   {"sockets":[{"network":"tcp","address":":80"}, ...],"word":"..."}
//	             the sockets are the descriptors that follow, in that order;
//	             the word is what else the old process wants known, in base64
//	new -> old   ready
//	old -> new   yours    the old process accepts no more, or
//	             abort    it gave up waiting and goes on itself
//
// If the old process ends before it answers, the sockets are the new one's.
const (
	handoverVar = "GATEHOUSE_HANDOVER"

	lineReady = "ready"
	lineYours = "yours"
	lineAbort = "abort"
)

const (
	// maxHanded bounds the sockets of a handover.
	maxHanded = 1 << 16
	// maxManifest bounds the first line.
	maxManifest = 32 << 20
	// answerTimeout bounds the steps that need no work from the other side.
	answerTimeout = 10 * time.Second
	// endGrace is how long a new process that was not ready in time has to
	// drain what it already accepted, before it is killed.
	endGrace = 5 * time.Second
)

// manifest is the first line of a handover.
type manifest struct {
	Sockets []key  `json:"sockets"`
	Word    []byte `json:"word,omitempty"`
}

// parseManifest decodes the first line of a handover. What it has beyond that
// is for newer processes.
func parseManifest(line []byte) (*manifest, error) {
	m := new(manifest)
	if err := json.Unmarshal(line, m); err != nil {
		return nil, fmt.Errorf("list of sockets: %w", err)
	}
	if len(m.Sockets) > maxHanded {
		return nil, fmt.Errorf("list of sockets: %d entries, more than %d", len(m.Sockets), maxHanded)
	}
	return m, nil
}

// handed is an inherited socket that nobody has asked for yet.
type handed struct {
	key  key
	file *os.File
}

// peer is the other process of a handover.
type peer struct {
	conn  *net.UnixConn
	lines *bufio.Scanner
}

// newPeer takes over file.
func newPeer(file *os.File) (*peer, error) {
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("the descriptor is not a unix socket")
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxManifest)
	return &peer{conn: conn, lines: lines}, nil
}

// send sends a line.
func (p *peer) send(line []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(append(line, '\n'))
	return err
}

// receive returns the next line; io.EOF if the other process is gone.
func (p *peer) receive(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if p.lines.Scan() {
		return p.lines.Bytes(), nil
	}
	err := p.lines.Err()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil || errors.Is(err, unix.ECONNRESET):
		return nil, io.EOF
	}
	return nil, err
}

// receive takes over the sockets that came with the descriptor fd, and the
// word that came with them.
func receive(fd string) (*peer, []handed, []byte, error) {
	n, err := strconv.ParseUint(fd, 10, 20)
	if err != nil || n <= 2 {
		return nil, nil, nil, fmt.Errorf("%s=%q: not a descriptor", handoverVar, fd)
	}
	syscall.CloseOnExec(int(n))
	p, err := newPeer(os.NewFile(uintptr(n), "handover"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s=%s: %w", handoverVar, fd, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	line, err := p.receive(ctx)
	if err != nil {
		p.conn.Close()
		return nil, nil, nil, err
	}
	m, err := parseManifest(line)
	if err != nil {
		p.conn.Close()
		return nil, nil, nil, err
	}
	all := make([]handed, len(m.Sockets))
	for i, k := range m.Sockets {
		fd := int(n) + 1 + i
		// They came without the flag, and a child of ours must not hold them.
		syscall.CloseOnExec(fd)
		all[i] = handed{key: k, file: os.NewFile(uintptr(fd), k.Network+" "+k.Address)}
	}
	return p, all, m.Word, nil
}

// Ready says that this process serves: it closes inherited sockets that
// nobody asked for and, if an old process is waiting, makes it let go. An
// error means that the old process goes on and this one has to end.
func (u *Upgrader) Ready(ctx context.Context) error {
	u.mu.Lock()
	parent, unused := u.parent, u.inherited
	u.inherited = nil
	u.mu.Unlock()
	for _, h := range unused {
		h.file.Close()
	}
	if parent == nil {
		return nil
	}
	if err := parent.takeOver(ctx); err != nil {
		return fmt.Errorf("taking over from the old process: %w", err)
	}
	parent.conn.Close()
	u.mu.Lock()
	u.parent = nil
	u.mu.Unlock()
	for _, h := range unused {
		if h.key.Network == "unix" {
			ownSocketFile(h.key.Address).remove()
		}
	}
	return nil
}

// takeOver tells the old process that this one is ready, and waits until it
// has let go.
func (p *peer) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	// If nobody reads it, the answer tells.
	_ = p.send([]byte(lineReady))
	answer, err := p.receive(ctx)
	switch {
	case errors.Is(err, io.EOF) || string(answer) == lineYours:
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it answered %q", oneLine(string(answer)))
}

// Upgrade starts the binary on disk with the arguments and environment of
// this process, hands it the open sockets and returns once it serves; from
// then on this process is to drain and end, beginning with Retire. An error
// means that the new process is gone and this one goes on as before.
func (u *Upgrader) Upgrade(ctx context.Context) (pid int, err error) {
	if u.pathErr != nil {
		return 0, fmt.Errorf("upgrade: %w", u.pathErr)
	}
	if u.Prepare != nil {
		defer u.Prepare()()
	}
	keys, files, err := u.begin()
	if err != nil {
		return 0, fmt.Errorf("upgrade: %w", err)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
		u.mu.Lock()
		u.handing, u.gone = false, err == nil
		u.mu.Unlock()
	}()
	pid, err = u.handOver(ctx, keys, files)
	if err != nil {
		return 0, fmt.Errorf("upgrade: %w", err)
	}
	return pid, nil
}

// begin claims the handover and duplicates the open sockets.
func (u *Upgrader) begin() ([]key, []*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.gone:
		return nil, nil, ErrHandedOver
	case u.handing:
		return nil, nil, errors.New("another one is under way")
	case u.parent != nil:
		return nil, nil, errors.New("this process has not taken over from the old one yet")
	}
	var keys []key
	var files []*os.File
	for s := range u.open {
		f, err := duplicate(s)
		if errors.Is(err, net.ErrClosed) {
			continue // being closed
		}
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, fmt.Errorf("%s %s: %w", s.key.Network, s.key.Address, err)
		}
		keys, files = append(keys, s.key), append(files, f)
	}
	u.handing = true
	return keys, files, nil
}

// duplicate duplicates the descriptor of a socket.
//
// The File method of package net would do, if os/exec did not then put the
// duplicate into blocking mode, and with it the socket of both processes: an
// Accept would hold a thread and not end when its listener is closed. A file
// made by os.NewFile is left as it is.
func duplicate(s *socket) (*os.File, error) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, os.NewSyscallError("fcntl", dupErr)
	}
	return os.NewFile(uintptr(fd), s.key.Network+" "+s.key.Address), nil
}

// handOver starts the new process and sees it through.
func (u *Upgrader) handOver(ctx context.Context, keys []key, files []*os.File) (int, error) {
	timeout := u.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	var word []byte
	if u.Word != nil {
		if word = u.Word(); len(word) > MaxWord {
			return 0, fmt.Errorf("%d bytes for the new process to know, more than %d", len(word), MaxWord)
		}
	}
	c, err := u.start(files)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	pid := c.cmd.Process.Pid
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not ready within %v", timeout))
	defer cancel()
	if err := c.awaitReady(ctx, manifest{Sockets: keys, Word: word}); err != nil {
		return 0, c.end(err)
	}
	if u.announce != nil {
		u.announce(pid)
	}
	if err := c.send([]byte(lineYours)); err != nil {
		if u.announce != nil {
			u.announce(os.Getpid())
		}
		return 0, c.end(err)
	}
	// It is on its own now, and init's child once this process ends.
	return pid, c.cmd.Process.Release()
}

// child is a new process that has not taken over yet.
type child struct {
	*peer
	cmd *exec.Cmd
}

// start starts the new process.
func (u *Upgrader) start(files []*os.File) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p, err := newPeer(ours)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path:       u.path,
		Args:       u.args,
		Env:        childEnv(os.Environ()),
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		ExtraFiles: append([]*os.File{theirs}, files...),
	}
	if err := cmd.Start(); err != nil {
		p.conn.Close()
		return nil, err
	}
	return &child{peer: p, cmd: cmd}, nil
}

// socketPair makes a pair of connected sockets that no other child inherits.
func socketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "handover"), os.NewFile(uintptr(fds[1]), "handover"), nil
}

// childEnv is the environment of a new process: this one's, less what speaks
// of this one's process id and descriptors.
func childEnv(env []string) []string {
	own := []string{handoverVar, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"}
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.Contains(own, name) {
			out = append(out, e)
		}
	}
	return append(out, handoverVar+"=3") // the first of ExtraFiles
}

// awaitReady tells the new process what it takes over and waits until it
// serves.
func (c *child) awaitReady(ctx context.Context, m manifest) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := c.send(line); err != nil && !errors.Is(err, unix.EPIPE) {
		return err
	}
	answer, err := c.receive(ctx)
	switch {
	case err != nil:
		return err
	case string(answer) != lineReady:
		return fmt.Errorf("it answered %q", oneLine(string(answer)))
	}
	return nil
}

// end ends a new process that failed for the reason given, lets it drain what
// it may have accepted, and says what became of it.
func (c *child) end(reason error) error {
	pid := c.cmd.Process.Pid
	if !errors.Is(reason, io.EOF) {
		// Neither can fail in a way that matters: it is killed if it stays.
		_ = c.send([]byte(lineAbort))
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	kill := time.AfterFunc(endGrace, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait() // what is of interest is the state
	if errors.Is(reason, io.EOF) {
		return fmt.Errorf("the new process (pid %d) ended before it was ready: %v", pid, c.cmd.ProcessState)
	}
	return fmt.Errorf("the new process (pid %d) was ended: %w", pid, reason)
}

// Retire closes every listener, so that a process that was handed over
// accepts no more through them. Whoever accepts on a duplicate of a listener's
// descriptor closes that as well. Packet sockets stay with their owners.
func (u *Upgrader) Retire() {
	u.mu.Lock()
	var all []func()
	for s := range u.open {
		if s.retire != nil {
			all = append(all, s.retire)
		}
	}
	u.mu.Unlock()
	for _, retire := range all {
		retire()
	}
}
