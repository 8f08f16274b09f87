package stream

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// advance moves a piece's start by n bytes, fewer than it has.
func advance(v *syscall.Iovec, n int) {
	v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
	v.SetLen(int(v.Len) - n)
}

// isDeadline reports whether the runtime's timer ended a wait.
func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
