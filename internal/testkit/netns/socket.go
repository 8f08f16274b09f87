package netns

import (
	"context"
	"net"
	"time"
)

// Listen makes a listener in the host.
func (h *Host) Listen(network, address string) net.Listener {
	h.t.Helper()
	var ln net.Listener
	h.Must(func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		ln, err = lc.Listen(context.Background(), network, address)
		return err
	})
	h.t.Cleanup(func() { ln.Close() })
	return ln
}

// ListenUDP makes a socket for datagrams in the host.
func (h *Host) ListenUDP(address string) *net.UDPConn {
	h.t.Helper()
	var c *net.UDPConn
	h.Must(func() error {
		at, err := net.ResolveUDPAddr("udp", address)
		if err == nil {
			c, err = net.ListenUDP("udp", at)
		}
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

// Dial connects from the host, to an address, within a time. The connection is
// the caller's to close.
func (h *Host) Dial(network, address string, within time.Duration) (net.Conn, error) {
	var c net.Conn
	err := h.Do(func() (err error) {
		// Without a deadline the dialer makes the socket on this goroutine;
		// with one of its own it does so too, as the address is no name.
		d := net.Dialer{Timeout: within}
		d.SetMultipathTCP(false)
		c, err = d.Dial(network, address)
		return err
	})
	return c, err
}
