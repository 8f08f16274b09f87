package stream

// Tunnel is a connection, or what stands for one in a protocol that has many
// in one, once it carries bytes that nobody looks at. It has one reader and
// one writer at a time; [Conn] is one.
type Tunnel interface {
	// ReadLent waits for bytes until the deadline, a point on the clock of Now.
	// The end of the stream is io.EOF.
	ReadLent(l Lender, deadline int64) (int, error)
	// Write writes all pieces, and waits while the peer is slow.
	Write(a, b, d []byte) error
	// CloseWrite sends the end of our stream.
	CloseWrite() error
	// Interrupt makes reads return ErrInterrupted. Any goroutine may call it.
	Interrupt()
	// Close ends the tunnel.
	Close() error
}
