package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Output is where an access log goes.
type Output struct {
	name string
	file *os.File
	torn bool // the last write stopped within a line
}

// OpenOutput opens "stdout", "stderr" or a file, which is appended to and
// created with mode 0640 if there is none.
func OpenOutput(name string) (*Output, error) {
	switch name {
	case "stdout":
		return duplicate(name, os.Stdout)
	case "stderr":
		return duplicate(name, os.Stderr)
	}
	// O_NONBLOCK: a FIFO without a reader is an error now, instead of a
	// start that hangs. It means nothing to a regular file.
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log output: %w", err)
	}
	return &Output{name: name, file: f}, nil
}

// duplicate gives the log a descriptor of its own above 2: the os package
// ends the process when a write to descriptor 1 or 2 meets a closed pipe, and
// a log reader that went away must not take the gateway with it.
func duplicate(name string, f *os.File) (*Output, error) {
	var fd int
	var dupErr error
	err := onDescriptor(f, func(old int) { fd, dupErr = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 3) })
	if err := errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("log output: %s: %w", name, err)
	}
	return &Output{name: name, file: os.NewFile(uintptr(fd), name)}, nil
}

// Close closes an output that was not handed to an AccessLog, such as that of
// a configuration that was refused in the end.
func (o *Output) Close() error { return o.file.Close() }

// reopen opens the same name again, for a file that was renamed.
func (o *Output) reopen() (*Output, error) { return OpenOutput(o.name) }

// WriteLines writes whole lines and returns how many of them were lost. After a
// failure within a line the next write begins with a line break, so that one
// full disk costs one broken line and not two.
func (o *Output) WriteLines(lines []byte) (lost int, err error) {
	if o.torn {
		if _, err := o.file.Write([]byte{'\n'}); err != nil {
			return bytes.Count(lines, []byte{'\n'}), err
		}
		o.torn = false
	}
	n, err := o.file.Write(lines)
	if err == nil {
		return 0, nil
	}
	o.torn = n > 0 && lines[n-1] != '\n'
	return bytes.Count(lines[n:], []byte{'\n'}), err
}
