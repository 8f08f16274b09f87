package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Upgrader opens the listening sockets of a process and can hand them to a
// new process of the binary on disk, so that no connection is refused or
// reset meanwhile: both processes hold the same sockets, and the kernel's
// accept queues stay.
//
// A new process takes the sockets it was handed by asking for the same
// network and address; it binds those it was not handed, and Ready closes
// those nobody asked for.
type Upgrader struct {
	// Timeout bounds how long a new process may take to be ready. If zero,
	// one minute.
	Timeout time.Duration

	// Word, if not nil, returns what the new process is told beside the
	// sockets, at most MaxWord bytes: it finds them with Inheritance. It is
	// called once an upgrade is under way.
	Word func() []byte

	// Prepare, if not nil, is called before that, while sockets can still be
	// Held for this upgrade alone; what it returns is called when the upgrade
	// is over, whatever came of it.
	Prepare func() (over func())

	path    string // the binary, as it is to be found on disk
	pathErr error  // why that is not known
	args    []string

	// announce, if set, is told the process id to supervise, before the new
	// process says anything itself.
	announce func(pid int)

	mu        sync.Mutex // guards what follows
	inherited []handed   // not yet taken
	heard     []byte     // the Word of the old process
	open      map[*socket]struct{}
	parent    *peer // the process that waits for this one; nil: none, or it has let go
	handing   bool  // an Upgrade is under way
	gone      bool  // handed over
}

// socket is an open socket with its key.
type socket struct {
	key    key
	conn   syscall.Conn
	retire func() // stops accepting; nil for packet sockets
}

// key is what a socket is known by on both sides of an upgrade: the address
// that was asked for, not the one that was bound.
type key struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// MaxWord bounds the Word of an Upgrader, in bytes.
const MaxWord = 16 << 20

// ErrHandedOver is returned for what is asked of a process whose sockets
// belong to a newer one.
var ErrHandedOver = errors.New("a newer process has taken over")

// NewUpgrader makes the Upgrader of this process. It must be called early,
// and once: it takes over the sockets that the process was started with, and
// remembers where its binary lies.
func NewUpgrader() (*Upgrader, error) {
	// Where nothing says what binary this is, such as in a root without
	// /proc, only an upgrade is impossible.
	path, pathErr := binaryPath(os.Args)
	u := &Upgrader{path: path, pathErr: pathErr, args: os.Args, open: make(map[*socket]struct{})}
	fd, ok := os.LookupEnv(handoverVar)
	if !ok {
		return u, nil
	}
	// Nothing that this process starts is to see it.
	if err := os.Unsetenv(handoverVar); err != nil {
		return nil, err
	}
	var err error
	if u.parent, u.inherited, u.heard, err = receive(fd); err != nil {
		return nil, fmt.Errorf("taking over from the old process: %w", err)
	}
	return u, nil
}

// binaryPath finds the file that this process was started from, by the name
// that a newer one will have. That is the name it was called by rather than
// what /proc calls it: the former may be a symlink that an update redirects,
// the latter ends in " (deleted)" once the file is replaced.
func binaryPath(args []string) (string, error) {
	exe, exeErr := os.Executable()
	running, err := os.Stat("/proc/self/exe")
	if err != nil {
		running, err = os.Stat(exe)
	}
	if err == nil && len(args) > 0 {
		called, lookErr := exec.LookPath(args[0])
		if lookErr == nil && !strings.HasPrefix(called, "/") {
			var wd string
			wd, lookErr = os.Getwd()
			called = wd + "/" + called
		}
		if lookErr == nil {
			if found, err := os.Stat(called); err == nil && os.SameFile(found, running) {
				return called, nil
			}
		}
	}
	if exeErr != nil {
		return "", fmt.Errorf("finding the binary: %w", exeErr)
	}
	return strings.TrimSuffix(exe, " (deleted)"), nil
}

// Inherited tells whether the process was started by an older one that is
// still waiting for it.
func (u *Upgrader) Inherited() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.parent != nil
}

// Inheritance is the Word of the process that started this one; nil if there
// is none.
func (u *Upgrader) Inheritance() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.heard
}

// Handing tells whether an upgrade is under way or done: what this process is
// told now, the new one may not hear of.
func (u *Upgrader) Handing() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.handing || u.gone
}

// Listen is a ListenFunc: it takes an inherited socket if there is one, to
// which lc no longer applies, and otherwise binds as the function Listen
// does. The Listener is a *Listener. Once the process is handed over, its
// Accept returns net.ErrClosed.
func (u *Upgrader) Listen(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
	k := key{Network: network, Address: address}
	file, err := u.take(k)
	if err != nil {
		return nil, err
	}
	if file != nil {
		defer file.Close()
		l, err := net.FileListener(file)
		if err != nil {
			return nil, fmt.Errorf("inherited socket %s %s: %w", network, address, err)
		}
		return u.track(k, l)
	}
	l, err := Listen(ctx, lc, network, address)
	if err != nil {
		return nil, err
	}
	if own, ok := l.(*Listener); ok {
		l = own.Listener
	}
	return u.track(k, l)
}

// ListenPacket is Listen for UDP. A packet socket goes on after a handover:
// who owns it answers what it has read, and closes it.
func (u *Upgrader) ListenPacket(ctx context.Context, lc *net.ListenConfig, network, address string) (*PacketConn, error) {
	k := key{Network: network, Address: address}
	file, err := u.take(k)
	if err != nil {
		return nil, err
	}
	var pc net.PacketConn
	if file != nil {
		defer file.Close()
		pc, err = net.FilePacketConn(file)
	} else {
		if lc == nil {
			lc = &net.ListenConfig{}
		}
		pc, err = lc.ListenPacket(ctx, network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket %s %s: %w", network, address, err)
	}
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		pc.Close()
		return nil, fmt.Errorf("packet socket %s %s: not UDP", network, address)
	}
	s := &socket{key: k, conn: udp}
	if err := u.register(s); err != nil {
		udp.Close()
		return nil, err
	}
	return &PacketConn{UDPConn: udp, forget: func() { u.forget(s) }}, nil
}

// Take returns an inherited socket of a name that Hold was given in the process
// before this one, and nil if there is none (left). The file is the caller's.
func (u *Upgrader) Take(network, address string) (*os.File, error) {
	return u.take(key{Network: network, Address: address})
}

// Hold has an upgrade hand over a socket that this package has not opened, by a
// name for Take; several may have the same. Once they are handed over, retire
// is called: the process is to take nothing new from it. forget takes it out
// again, before it is closed.
func (u *Upgrader) Hold(network, address string, conn syscall.Conn, retire func()) (forget func(), err error) {
	s := &socket{key: key{Network: network, Address: address}, conn: conn, retire: retire}
	if err := u.register(s); err != nil {
		return nil, err
	}
	return func() { u.forget(s) }, nil
}

// take returns the descriptor of an inherited socket, or nil if there is
// none with that key.
func (u *Upgrader) take(k key) (*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return nil, ErrHandedOver
	}
	for i, h := range u.inherited {
		if h.key == k {
			u.inherited = append(u.inherited[:i:i], u.inherited[i+1:]...)
			return h.file, nil
		}
	}
	return nil, nil
}

// track registers a listener and wraps it.
func (u *Upgrader) track(k key, l net.Listener) (net.Listener, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("listen %s %s: not a socket that can be handed over", k.Network, k.Address)
	}
	s := &socket{key: k, conn: conn, retire: func() { l.Close() }}
	if err := u.register(s); err != nil {
		l.Close()
		return nil, err
	}
	wrapped := &Listener{Listener: l, forget: func() bool { return u.forget(s) }}
	if k.Network == "unix" {
		wrapped.socket = ownSocketFile(k.Address)
	}
	return wrapped, nil
}

// register adds an open socket.
func (u *Upgrader) register(s *socket) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return ErrHandedOver
	}
	u.open[s] = struct{}{}
	return nil
}

// forget removes a socket that is being closed. It tells whether what belongs
// to it is this process's to remove: not while the process that started this
// one could still take it back, and not once it is handed over.
func (u *Upgrader) forget(s *socket) (owner bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, s)
	return u.parent == nil && !u.gone && !u.handing
}

// Listener is a listening socket that an Upgrader can hand over.
type Listener struct {
	net.Listener // *net.TCPListener or *net.UnixListener

	forget func() (owner bool) // nil: no Upgrader
	socket *socketFile         // removed by Close; nil: no file
	once   sync.Once
}

// Unwrap returns the listener of package net. It must be closed through the
// Listener.
func (l *Listener) Unwrap() net.Listener { return l.Listener }

// SyscallConn gives access to the socket's options.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	return l.Listener.(syscall.Conn).SyscallConn()
}

// Close stops listening. The address can then be listened on anew.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if l.forget == nil || l.forget() {
			l.socket.remove()
		}
	})
	return l.Listener.Close()
}

// PacketConn is a UDP socket that an Upgrader can hand over.
type PacketConn struct {
	*net.UDPConn
	forget func()
}

// Close closes the socket.
func (c *PacketConn) Close() error {
	c.forget()
	return c.UDPConn.Close()
}
