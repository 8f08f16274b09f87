package transparent

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Control makes a socket, of TCP or UDP, one that can be bound to the address
// of a client, before it is. Bound to port 0 it has its port from connect, so
// that there are as many for each member as there are ports.
func Control(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return fmt.Errorf("transparent: %w", err)
	}
	if domain == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
	}
	if err != nil {
		return fmt.Errorf("transparent: IP_TRANSPARENT: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("transparent: IP_BIND_ADDRESS_NO_PORT: %w", err)
	}
	return nil
}

// allowed tells whether this process may use Control.
func allowed() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return Control(fd)
}
