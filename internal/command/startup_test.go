package command

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/config"
)

func TestStartErrors(t *testing.T) {
	_, missing := os.Open(filepath.Join(t.TempDir(), "none"))
	file := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(file, []byte("listen: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, refused := config.LoadTrafficManager(file)
	if missing == nil || refused == nil {
		t.Fatal("nothing is wrong")
	}
	if err := StartError(fmt.Errorf("configuration: %w", missing)); strings.Contains(err.Error(), "refused") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := StartError(refused); !strings.HasPrefix(err.Error(), "the configuration is refused:\n"+file+":1:") {
		t.Errorf("one that is wrong: %v", err)
	}
	// A certificate that cannot be read is what is wrong with a configuration.
	both := errors.Join(refused, missing)
	if err := StartError(both); !strings.HasPrefix(err.Error(), "the configuration is refused:\n") {
		t.Errorf("a file that it names: %v", err)
	}
}

// taken is the error of listening where somebody does.
func taken(t *testing.T, network, address string) (at string, err error) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, err = net.Listen(network, l.Addr().String())
	if err == nil {
		t.Fatal("two listen")
	}
	return l.Addr().String(), err
}

func TestListenErrorsSayWhatToDo(t *testing.T) {
	_, inUse := taken(t, "tcp", "127.0.0.1:0")
	_, foreign := net.Listen("tcp", "192.0.2.1:0")
	denied := &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	onUnix := &net.OpError{Op: "listen", Net: "unix", Err: os.NewSyscallError("bind", syscall.EACCES)}
	other := errors.New("other")
	for _, tt := range []struct {
		err  error
		want string // of what is added
	}{
		{inUse, "another process has it"}, {foreign, "no such address"}, {denied, "CAP_NET_BIND_SERVICE"}, {onUnix, ""}, {other, ""},
	} {
		got := ListenError(tt.err)
		if !errors.Is(got, tt.err) {
			t.Errorf("%v is not in %v", tt.err, got)
		}
		if added := strings.TrimPrefix(got.Error(), tt.err.Error()); !strings.Contains(added, tt.want) || (added == "") != (tt.want == "") {
			t.Errorf("%v: %q is added, want %q", tt.err, added, tt.want)
		}
	}
}

func TestPermissionSaysWho(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/k", Err: syscall.EACCES}
	want := fmt.Sprintf("open /k: permission denied; the user that runs tool (uid %d) needs it", os.Getuid())
	if got := Permission("tool", denied); got.Error() != want || !errors.Is(got, fs.ErrPermission) {
		t.Errorf("%v, want %s", got, want)
	}
	for _, as := range []error{
		&fs.PathError{Op: "open", Path: "/k", Err: syscall.EPERM}, // not a matter of the file's mode
		&fs.PathError{Op: "open", Path: "/k", Err: syscall.ENOENT},
		os.NewSyscallError("bind", syscall.EACCES),
	} {
		if got := Permission("tool", as); got != as {
			t.Errorf("%v became %v", as, got)
		}
	}
}

func TestOperatorErrorsName(t *testing.T) {
	tcp, tcpErr := taken(t, "tcp", "127.0.0.1:0")
	unix, unixErr := taken(t, "unix", filepath.Join(t.TempDir(), "s"))
	keys := map[string]string{"metrics.address": tcp, "admin.address": "unix:" + unix}
	other := errors.New("other")
	for _, tt := range []struct {
		err       error
		key, want string
	}{
		{fmt.Errorf("metrics: %w", tcpErr), "metrics.address", "another process has it"},
		{unixErr, "admin.address", "another process has it"},
		{other, "", "other"},
	} {
		key, err := OperatorError(tt.err, keys)
		if key != tt.key || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%v: key %q, %v", tt.err, key, err)
		}
	}
	key, err := OperatorError(tcpErr, map[string]string{"admin.address": "127.0.0.1:1"})
	if key != "" || !strings.Contains(err.Error(), "another process has it") {
		t.Errorf("an address of no key: key %q, %v", key, err)
	}
}
