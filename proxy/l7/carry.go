package l7

import "gatehouse/internal/stream"

// carry has the carrier move the bytes of a tunnel between two plain
// connections, for as long as it is an ordinary conversation. What else happens
// is for the copiers, which go on where it ended.
func (tn *tunnel) carry(ca *stream.Carrier, up, down *copier) {
	client, backend := plainConn(tn.client), plainConn(tn.backend)
	if client == nil || backend == nil {
		return
	}
	copiers := [2]*copier{up, down}
	left := ca.Carry([2]*stream.Conn{client, backend}, func(from int, b []byte, now int64) {
		tn.active.Store(now)
		copiers[from].passed(b)
	}, up.deadline)
	copiers[left.From].left = left
}

// plainConn is the connection that a tunnel is, if there is nothing between its
// bytes and the wire's; else nil.
func plainConn(t stream.Tunnel) *stream.Conn {
	if c, ok := t.(*stream.Conn); ok && c.Plain() {
		return c
	}
	return nil
}

// resume goes on where the carrier left off, once.
func (c *copier) resume() error {
	left := c.left
	c.left = stream.Left{}
	switch {
	case left.WriteErr != nil:
		c.cut(left.WriteErr, c.to)
		return errPeer
	case len(left.Rest) > 0:
		return c.write(left.Rest)
	}
	return left.ReadErr
}
