package relay

import (
	"errors"

	"golang.org/x/sys/unix"
)

// errnoOf is the number of an error of package unix; 0 for nil.
func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.EIO
}
