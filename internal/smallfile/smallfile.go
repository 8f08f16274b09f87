// Package smallfile reads files that a configuration names.
package smallfile

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// patience is how long a pipe in the place of a file is waited for.
const patience = 5 * time.Second

// Read reads a whole file of at most max bytes; a larger one is an error, and
// so is a pipe to which nobody writes for five seconds.
func Read(file string, max int64) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(patience)) // files of a disk have none, and need none
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, max)
	}
	return data, err
}
