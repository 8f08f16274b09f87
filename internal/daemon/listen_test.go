package daemon

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnixSocketIsPrivate(t *testing.T) {
	old := unix.Umask(0) // the worst case
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), nil, "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("Close left the file")
	}
}

// TestUnixSocketIsPrivateFromTheFirstMoment looks at what bind alone makes.
func TestUnixSocketIsPrivateFromTheFirstMoment(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	path := filepath.Join(t.TempDir(), "s")
	if err := unix.Fchmod(fd, 0o600); err != nil {
		t.Skip("only on Linux:", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOnlyAStaleSocketIsReplaced(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string // of the error; "": replaced
	}{
		{"left by a process that was killed", func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, ""},
		{"somebody listens", func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}, "in use by another process"},
		{"a datagram socket", func(path string) error {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}, "in use by another process"},
		{"an ordinary file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is not a socket"},
		{"a symlink to a stale socket", func(path string) error { return os.Symlink("/nonexistent", path) }, "is not a socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			l, err := Listen(t.Context(), nil, "unix", path)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				l.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Error("the file is gone:", err)
			}
		})
	}
}

func TestCloseLeavesTheSocketOfASuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), nil, "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	next, err := Listen(t.Context(), nil, "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	l.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error("the successor's file was removed")
	} else {
		c.Close()
	}
}

// FuzzManifest: what is accepted is bounded, and says the same when it is
// written again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"sockets":[{"network":"tcp","address":":80"},{"network":"unix","address":"/run/s"}]}`))
	f.Add([]byte(`{"sockets":[]}`))
	f.Add([]byte(`{"sockets":[],"word":"eyJhIjoxfQ==","later":true}`))
	f.Add([]byte(`{"sockets":[]}{}`))
	f.Add([]byte(`{"sockets":[{"fd":3}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseManifest(line)
		if err != nil {
			return
		}
		if len(m.Sockets) > maxHanded {
			t.Fatalf("%d sockets", len(m.Sockets))
		}
		again, err := json.Marshal(m)
		if err != nil || bytes.ContainsRune(again, '\n') {
			t.Fatalf("%q, %v", again, err)
		}
		if back, err := parseManifest(again); err != nil || !slices.Equal(m.Sockets, back.Sockets) || !bytes.Equal(m.Word, back.Word) {
			t.Fatalf("%v became %v, %v", m, back, err)
		}
	})
}
