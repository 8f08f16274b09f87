package http2

import (
	"sync"

	"gatehouse/internal/stream"
)

// source is what the Framer reads from: a buffer that a connection has only
// while there is something in it.
type source struct {
	stream   *stream.Conn
	lent     *[]byte // nil: none
	buf      []byte  // it
	pos, end int
	deadline int64 // of the frame that is being read
}

const sourceSize = 16 << 10

var sourceBuffers = sync.Pool{New: func() any {
	b := make([]byte, sourceSize)
	return &b
}}

func (s *source) init(c *stream.Conn) { s.stream = c }

func (s *source) buffered() int { return s.end - s.pos }

// Lend implements stream.Lender.
func (s *source) Lend() []byte {
	if s.buf == nil {
		s.lent = sourceBuffers.Get().(*[]byte)
		s.buf = *s.lent
	}
	return s.buf
}

// Unlend implements stream.Lender.
func (s *source) Unlend() { s.release() }

func (s *source) release() {
	if s.buf != nil {
		sourceBuffers.Put(s.lent)
		s.lent, s.buf = nil, nil
	}
	s.pos, s.end = 0, 0
}

// await waits for bytes, holding no buffer, when there are none.
func (s *source) await(deadline int64) error {
	s.release()
	n, err := s.stream.ReadLent(s, deadline)
	if err != nil {
		return err
	}
	s.pos, s.end = 0, n
	return nil
}

// Read implements io.Reader for the Framer, within s.deadline.
func (s *source) Read(p []byte) (int, error) { return s.read(p, s.deadline) }

func (s *source) read(p []byte, deadline int64) (int, error) {
	for s.pos == s.end {
		if len(p) >= sourceSize/2 {
			n, err := s.stream.Read(p, deadline)
			if err == stream.ErrInterrupted {
				s.stream.Resume() // nobody gives up in the middle of a frame
				continue
			}
			return n, err
		}
		n, err := s.stream.Read(s.Lend(), deadline)
		if err == stream.ErrInterrupted {
			s.stream.Resume()
			continue
		}
		if err != nil {
			return 0, err
		}
		s.pos, s.end = 0, n
	}
	n := copy(p, s.buf[s.pos:s.end])
	s.pos += n
	return n, nil
}
