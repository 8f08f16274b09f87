package command

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"gatehouse/config"
)

// StartError names each error of a configuration on its own line. A file that
// cannot be read is no configuration yet.
func StartError(err error) error {
	var unread *fs.PathError
	var placed config.Error
	if errors.As(err, &unread) && !errors.As(err, &placed) {
		return err
	}
	return fmt.Errorf("the configuration is refused:\n%w", err)
}

// ListenError adds to why an address cannot be listened on what to do.
func ListenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another process has it (ss -lntup shows which): end that one, or use another port", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this machine has no such address: write one of its own, or :PORT for all", err)
	case errors.Is(err, syscall.EACCES) && !onUnix(err):
		return fmt.Errorf("%w; ports below 1024 need root or CAP_NET_BIND_SERVICE", err)
	}
	return err
}

func onUnix(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Net == "unix"
}

// Permission adds to a refused access of a binary who was refused.
func Permission(binary string, err error) error {
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EPERM) {
		return err
	}
	var file *fs.PathError
	if !errors.As(err, &file) {
		return err
	}
	return fmt.Errorf("%w; the user that runs %s (uid %d) needs it", err, binary, os.Getuid())
}

// operatorKey is the key whose address could not be listened on.
func operatorKey(err error, addresses map[string]string) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" || op.Addr == nil {
		return ""
	}
	for key, address := range addresses {
		if address == op.Addr.String() || address == "unix:"+op.Addr.String() {
			return key
		}
	}
	return ""
}

// OperatorError says what to do about an operator's address that cannot be
// listened on, which shows only when its task runs, and which key of the
// configuration it is: keys has their addresses. The key is empty where the
// error is another.
func OperatorError(err error, keys map[string]string) (key string, explained error) {
	if key = operatorKey(err, keys); key == "" {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "listen" {
			return "", ListenError(err)
		}
		return "", err
	}
	return key, ListenError(err)
}
