package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"gatehouse/config"
)

// startError names each error of a configuration on its own line. A file that
// cannot be read is no configuration yet.
func startError(err error) error {
	var unread *fs.PathError
	var placed config.Error
	if errors.As(err, &unread) && !errors.As(err, &placed) {
		return err
	}
	return fmt.Errorf("the configuration is refused:\n%w", err)
}

// listenError adds to why an address cannot be listened on what to do.
func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another process has it (ss -ltnp shows which): end that one, or use another port", err)
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

// permission adds to a refused access who was refused.
func permission(err error) error {
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EPERM) {
		return err
	}
	var file *fs.PathError
	if !errors.As(err, &file) {
		return err
	}
	return fmt.Errorf("%w; the user that runs appgw (uid %d) needs it", err, os.Getuid())
}

// operatorError places why the operator's addresses cannot be listened on,
// which shows only when their tasks run.
func (a *app) operatorError(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" || op.Addr == nil {
		return err
	}
	err = listenError(err)
	conf := a.running().conf
	for path, address := range map[string]string{"admin.address": conf.Admin.Address, "metrics.address": conf.Metrics.Address} {
		if address != op.Addr.String() && address != "unix:"+op.Addr.String() || a.source.file == "" {
			continue
		}
		if draft, failure := config.LoadDraft(a.source.file); failure == nil {
			return placed(draft, problem{path, err})
		}
	}
	return err
}
