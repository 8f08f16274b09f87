package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenFunc opens a listening stream socket. lc may be nil; its Control
// function can set options before the socket is bound.
type ListenFunc func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error)

// Listen is the plain ListenFunc, for a process that is never upgraded.
//
// A unix socket is made with mode 0600. If its file exists it is replaced
// only if it is a socket that nobody listens on: the rest of a process that
// was killed. Closing the listener removes the file.
func Listen(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	if network != "unix" {
		return lc.Listen(ctx, network, address)
	}
	l, err := listenUnix(ctx, lc, address)
	if err != nil {
		return nil, err
	}
	// Kept apart from the socket: after an upgrade the file belongs to the
	// new process, and must then outlive this one's listener.
	return &Listener{Listener: l, socket: ownSocketFile(address)}, nil
}

// listenUnix binds a unix socket that only its owner may connect to.
func listenUnix(ctx context.Context, lc *net.ListenConfig, path string) (*net.UnixListener, error) {
	private := *lc
	private.Control = func(network, address string, c syscall.RawConn) error {
		if lc.Control != nil {
			if err := lc.Control(network, address, c); err != nil {
				return err
			}
		}
		// On Linux bind makes the file with the socket's own mode: there is no
		// moment at which others could connect, and no umask to change for
		// the whole process. Elsewhere this fails, and chmod below does it.
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}
	l, err := private.Listen(ctx, "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		l, err = private.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	if isAbstract(path) {
		return ul, nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ul.Close()
		return nil, err
	}
	return ul, nil
}

// isAbstract tells whether a unix socket address has no file.
func isAbstract(path string) bool { return path == "" || path[0] == '@' || path[0] == 0 }

// removeStale removes the file of a unix socket on which nobody listens.
func removeStale(ctx context.Context, path string) error {
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if before.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen unix %s: the file exists and is not a socket", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("listen unix %s: in use by another process", path)
	}
	// Not the socket of somebody who found it stale a moment before us.
	if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
		return fmt.Errorf("listen unix %s: just taken by another process", path)
	}
	return os.Remove(path)
}

// socketFile is the file of a unix socket that this process is to remove.
type socketFile struct {
	path string
	info fs.FileInfo
}

// ownSocketFile remembers the file at path; nil if there is none.
func ownSocketFile(path string) *socketFile {
	if isAbstract(path) {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return &socketFile{path: path, info: info}
}

// remove removes the file unless it is another's by now.
func (f *socketFile) remove() {
	if f == nil {
		return
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(f.info, now) {
		_ = os.Remove(f.path) // the listener is closed either way
	}
}
