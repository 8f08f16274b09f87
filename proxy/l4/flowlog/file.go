package flowlog

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"gatehouse/config"
	"gatehouse/internal/telemetry"
)

// File is where a flow log goes: stdout, stderr, or a file that is renamed
// when it has become large.
type File struct {
	name     string
	maxSize  int64
	maxFiles int

	mu   sync.Mutex
	out  *telemetry.Output
	size int64
}

// Open opens what a configuration says.
func Open(c *config.FlowLog) (*File, error) {
	f := &File{name: c.Output, maxSize: int64(c.MaxSize), maxFiles: c.MaxFiles}
	return f, f.open()
}

// named tells a file from stdout and stderr.
func (f *File) named() bool { return f.name != "stdout" && f.name != "stderr" }

func (f *File) open() error {
	out, err := telemetry.OpenOutput(f.name)
	if err != nil {
		return err
	}
	f.out, f.size = out, 0
	if info, err := os.Stat(f.name); err == nil && f.named() && info.Mode().IsRegular() {
		f.size = info.Size()
	}
	return nil
}

// Write appends whole lines, to a new file if the old one is full.
func (f *File) Write(lines []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var failed error
	if f.named() && f.maxSize > 0 && f.size > 0 && f.size+int64(len(lines)) > f.maxSize {
		failed = f.rotate() // what could not be renamed goes on growing: nothing is lost
	}
	if _, err := f.out.WriteLines(lines); err != nil {
		return err
	}
	f.size += int64(len(lines))
	return failed
}

// rotate renames file.1 to file.2 and so on, and file to file.1.
func (f *File) rotate() error {
	for i := f.maxFiles; i >= 1; i-- {
		from := f.name
		if i > 1 {
			from = fmt.Sprintf("%s.%d", f.name, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", f.name, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return f.reopen()
}

func (f *File) reopen() error {
	old := f.out
	if err := f.open(); err != nil {
		return err // the old one goes on
	}
	return old.Close()
}

// Reopen opens the file again, after somebody renamed it.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reopen()
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Close()
}
