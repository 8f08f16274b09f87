package http3

import (
	"io"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// Types of streams in one direction (RFC 9114 6.2, RFC 9204 4.2).
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

// ownStreams are the streams of a client that are for the connection, each of
// which there may be one of.
type ownStreams struct {
	mu   sync.Mutex
	have [4]bool
}

func (o *ownStreams) first(kind uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	had := o.have[kind]
	o.have[kind] = true
	return !had
}

// acceptOwn takes the client's streams in one direction until the connection
// ends.
func (c *Conn) acceptOwn() {
	for {
		s, err := c.quic.AcceptUniStream(c.quic.Context())
		if err != nil {
			return
		}
		c.running.Go(func() {
			defer s.ReleaseStreamCredit()
			r := reader{source: s}
			c.failed(c.ownStream(&r, s))
		})
	}
}

// ownStream reads a stream to its end.
func (c *Conn) ownStream(r *reader, s *quic.ReceiveStream) error {
	kind, err := r.varint()
	if err != nil {
		return nil // it may end before it says what it is (RFC 9114 6.2)
	}
	switch kind {
	case streamControl:
		err = c.controlStream(r)
	case streamPush:
		return connError{codeStreamCreation} // servers push (RFC 9114 6.2.2)
	case streamEncoder:
		err = c.encoderStream(r)
	case streamDecoder:
		err = c.decoderStream(r)
	default:
		s.CancelRead(quic.StreamErrorCode(codeStreamCreation))
		return c.spend(multiplex.CostUnknown)
	}
	if err == io.EOF || err == errGone {
		return connError{codeClosedCritical} // if it is the connection that is gone, nobody hears it
	}
	return err
}

// varint reads a number.
func (r *reader) varint() (uint64, error) {
	for {
		v, n, err := quicvarint.Parse(r.bytes())
		if err == nil {
			r.pos += n
			return v, nil
		}
		if err := r.fill(8, stream.Never); err != nil {
			return 0, err
		}
	}
}

// octet reads a byte.
func (r *reader) octet() (byte, error) {
	for r.buffered() == 0 {
		if err := r.fill(1, stream.Never); err != nil {
			return 0, err
		}
	}
	r.pos++
	return r.buf[r.pos-1], nil
}

// encoderStream reads what the client puts into the dynamic table, of which
// there is none (RFC 9204 4.3): it can but say that it is empty.
func (c *Conn) encoderStream(r *reader) error {
	if !c.own.first(streamEncoder) {
		return connError{codeStreamCreation}
	}
	for {
		b, err := r.octet()
		if err != nil {
			return err
		}
		if b != 0x20 { // Set Dynamic Table Capacity, to zero
			return connError{codeEncoderStream}
		}
		if err := c.spend(multiplex.CostSettings); err != nil {
			return err
		}
	}
}

// decoderStream reads what the client makes of our dynamic table, of which
// there is none (RFC 9204 4.4): it can but say that it gives a stream up.
func (c *Conn) decoderStream(r *reader) error {
	if !c.own.first(streamDecoder) {
		return connError{codeStreamCreation}
	}
	for {
		b, err := r.octet()
		if err != nil {
			return err
		}
		if b&0xc0 != 0x40 { // Stream Cancellation
			return connError{codeDecoderStream}
		}
		if b&0x3f == 0x3f {
			err = r.restOfInteger()
		}
		if err == nil {
			err = c.spend(multiplex.CostUnknown)
		}
		if err != nil {
			return err
		}
	}
}

// restOfInteger reads an integer to its end (RFC 9204 4.1.1), of no more than
// 62 bits.
func (r *reader) restOfInteger() error {
	for range 9 {
		b, err := r.octet()
		if err != nil {
			return err
		}
		if b&0x80 == 0 {
			return nil
		}
	}
	return connError{codeDecoderStream}
}
