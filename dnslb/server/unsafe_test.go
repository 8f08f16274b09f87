package server

import (
	"encoding/binary"
	"unsafe"
)

// nameOf is the room for the address of slot i.
func nameOf(b *batch, i int) unsafe.Pointer { return unsafe.Pointer(&b.names[i]) }

// putPort writes a port as the kernel does.
func putPort(port *uint16, n uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(port))[:], n)
}
