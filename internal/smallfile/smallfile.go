// Package smallfile reads files that a configuration names.
package smallfile

import (
	"fmt"
	"io"
	"os"
)

// Read reads a whole file of at most max bytes; a larger one is an error.
func Read(file string, max int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, max)
	}
	return data, err
}
