package telemetry

import (
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// NewLogger returns the process's own log: text when w is a terminal, where
// somebody reads along, JSON otherwise. level may be changed while it is used.
// Durations are written as people say them ("5.4ms"): JSON would have whole
// nanoseconds.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// readable makes durations text, with no more digits than say something.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(brief(a.Value.Duration()).String())
	}
	return a
}

// brief rounds to a tenth of the unit that a duration is written in.
func brief(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d.Abs() >= unit {
			return d.Round(unit / 10)
		}
	}
	return d
}

func isTerminal(f *os.File) bool {
	terminal := false
	onDescriptor(f, func(fd int) {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		terminal = err == nil
	})
	return terminal
}

// onDescriptor calls do with f's descriptor. Unlike [os.File.Fd] it leaves a
// non-blocking descriptor, which other processes may share, as it is.
func onDescriptor(f *os.File, do func(fd int)) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}
