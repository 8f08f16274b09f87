package steer

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// Target is where the ports of a door lead.
type Target struct {
	// Door has port 0 for all ports of its address but those of other targets
	// of the address and protocol. Its address is one, not the unspecified.
	Door *l4.Door
	// Socket is what gets the connections or datagrams: a TCP listener or an
	// unconnected UDP socket, of the address's family; not one of Multipath TCP,
	// which package net makes unless told otherwise. Of a SO_REUSEPORT group it is any one, and all get their share, while that one lasts. It is the
	// caller's to keep open and to close.
	//
	// If nil, the door has a port, and it is left to the sockets that are bound
	// to it. That is as good, but for an upgrade in which only the new
	// process has the door: until the old one closes, it has its connections.
	Socket syscall.Conn
}

// tables are the two maps of a program and the program with them.
type tables struct {
	places  *ebpf.Map // place: index of its socket, of which there may be none
	sockets *ebpf.Map
	program *ebpf.Program
}

// load makes the tables for targets and a program that reads them.
func load(targets []Target) (_ *tables, err error) {
	t := new(tables)
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	t.places, err = ebpf.NewMap(&ebpf.MapSpec{Name: "l4lb_places", Type: ebpf.Hash,
		KeySize: uint32(len(place{})), ValueSize: 4, MaxEntries: uint32(max(len(targets), 1))})
	if err != nil {
		return nil, fmt.Errorf("map of places: %w", explain(err))
	}
	t.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Name: "l4lb_sockets", Type: ebpf.SockMap,
		KeySize: 4, ValueSize: 4, MaxEntries: uint32(max(len(targets), 1))})
	if err != nil {
		return nil, fmt.Errorf("map of sockets: %w", explain(err))
	}
	if err := t.fill(targets); err != nil {
		return nil, err
	}
	if t.program, err = ebpf.NewProgram(program(t.places, t.sockets)); err != nil {
		return nil, fmt.Errorf("program: %w", explain(err))
	}
	return t, nil
}

func (t *tables) fill(targets []Target) error {
	for i, target := range targets {
		d := target.Door
		if d.Addr.Addr().IsUnspecified() {
			return fmt.Errorf("%s: not one address", d.Addr)
		}
		if target.Socket == nil && d.Addr.Port() == 0 {
			return fmt.Errorf("%s: no socket for all ports", d.Addr.Addr())
		}
		if target.Socket != nil {
			if err := t.putSocket(uint32(i), target.Socket); err != nil {
				return fmt.Errorf("socket for %s of %s: %w", d.Protocol, d.Addr, err)
			}
		}
		if err := t.places.Put(placeOf(d), uint32(i)); err != nil {
			return fmt.Errorf("%s: %w", d.Addr, err)
		}
	}
	return nil
}

func (t *tables) putSocket(i uint32, socket syscall.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = t.sockets.Put(i, uint32(fd)) })
	if errors.Is(failed, unix.EOPNOTSUPP) {
		return fmt.Errorf("not a TCP listener or UDP socket, or one of Multipath TCP: %w", failed)
	}
	return cmp.Or(failed, err)
}

// close gives back the descriptors. A program that is attached goes on, with
// its maps.
func (t *tables) close() {
	if t.program != nil {
		t.program.Close()
	}
	if t.sockets != nil {
		t.sockets.Close()
	}
	if t.places != nil {
		t.places.Close()
	}
}
