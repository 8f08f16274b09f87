package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells a service manager about the process in systemd's protocol:
// datagrams of NAME=value lines to a unix socket (sd_notify(3)). A nil
// Notifier discards everything, which is what a process without a service
// manager has.
type Notifier struct {
	socket   *net.UnixAddr
	watchdog time.Duration // 0: none asked for
}

// notifyTimeout bounds a send to a service manager that does not read.
const notifyTimeout = 2 * time.Second

// NewNotifier makes a Notifier from NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID as getenv finds them (os.Getenv). It is nil if no service
// manager asked for notifications.
func NewNotifier(getenv func(string) string) (*Notifier, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	// A leading @ is the abstract namespace, for systemd and package net alike.
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%q: neither a path nor an abstract socket", path)
	}
	watchdog, err := watchdogInterval(getenv)
	if err != nil {
		return nil, err
	}
	return &Notifier{
		socket:   &net.UnixAddr{Name: path, Net: "unixgram"},
		watchdog: watchdog,
	}, nil
}

// watchdogInterval is the time within which the service manager wants to
// hear from this process; 0 if it does not, or wants to hear from another.
func watchdogInterval(getenv func(string) string) (time.Duration, error) {
	usec := getenv("WATCHDOG_USEC")
	if usec == "" {
		return 0, nil
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(365*24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q: not a number of microseconds", usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// Ready says that the process serves.
func (n *Notifier) Ready(status string) error {
	return n.send("READY=1", status)
}

// ReadyAs says that the process serves and that pid is the main one now: what
// the new process of an upgrade says of itself.
func (n *Notifier) ReadyAs(pid int, status string) error {
	return n.send("MAINPID="+strconv.Itoa(pid)+"\nREADY=1", status)
}

// MainPID says which process to supervise from now on. Unless the unit says
// otherwise, systemd believes only the present main process, so the old one
// says it.
func (n *Notifier) MainPID(pid int) error {
	return n.send("MAINPID="+strconv.Itoa(pid), "")
}

// Reloading says that a reload has begun; Ready ends it. Type=notify-reload
// needs the monotonic time to pair the message with its signal.
func (n *Notifier) Reloading() error {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return fmt.Errorf("monotonic clock: %w", err)
	}
	usec := ts.Nano() / int64(time.Microsecond)
	return n.send("RELOADING=1\nMONOTONIC_USEC="+strconv.FormatInt(usec, 10), "")
}

// Stopping says that the process drains and will end.
func (n *Notifier) Stopping(status string) error {
	return n.send("STOPPING=1", status)
}

// Status says in a line for people how the process is.
func (n *Notifier) Status(status string) error {
	return n.send("", status)
}

// Watchdog keeps a service manager that set WatchdogSec= content until ctx is
// cancelled. It returns at once if none is set.
func (n *Notifier) Watchdog(ctx context.Context) {
	if n == nil || n.watchdog == 0 {
		return
	}
	// sd_watchdog_enabled(3): half of the time.
	tick := time.NewTicker(max(n.watchdog/2, time.Millisecond))
	defer tick.Stop()
	for {
		// Not being heard once is what the interval has room for.
		_ = n.send("WATCHDOG=1", "")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends state with a status line, if there is one.
func (n *Notifier) send(state, status string) error {
	if n == nil {
		return nil
	}
	if status != "" {
		// The status may quote an error, and a line break would start
		// another assignment.
		state = strings.TrimPrefix(state+"\nSTATUS="+oneLine(status), "\n")
	}
	conn, err := net.DialUnix("unixgram", nil, n.socket)
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// oneLine replaces control characters by spaces and bounds the length.
func oneLine(s string) string {
	const limit = 512
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
