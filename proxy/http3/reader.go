package http3

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"gatehouse/internal/stream"
)

// source is what a reader reads: a stream of QUIC.
type source interface {
	Read(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
}

// reader is the buffer in which frames of a stream are looked at.
type reader struct {
	source   source
	buf      []byte
	pos, end int
	toSkip   uint64 // of a frame that is of no interest
	eof      bool   // there is nothing behind what is buffered
	total    int64  // bytes that were read

	mu          sync.Mutex
	interrupted bool
}

// errGone is for a client that has left, or given the request up.
var errGone = errors.New("client is gone")

func (r *reader) reset(s source) {
	r.source, r.pos, r.end, r.toSkip, r.eof, r.total = s, 0, 0, 0, false, 0
	r.interrupted = false
}

func (r *reader) buffered() int { return r.end - r.pos }
func (r *reader) bytes() []byte { return r.buf[r.pos:r.end] }

// past is a deadline that makes reads return at once.
var past = time.Unix(1, 0)

// fill waits until the deadline for more bytes, of which want are of use
// counted from the first that is buffered.
func (r *reader) fill(want int, deadline int64) error {
	if r.eof {
		return io.EOF
	}
	r.makeRoom(want)
	if err := r.arm(deadline); err != nil {
		return err
	}
	n, err := r.source.Read(r.buf[r.end:])
	r.end += n
	r.total += int64(n)
	switch {
	case err == io.EOF:
		if r.eof = true; n == 0 {
			return io.EOF
		}
		return nil
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		if r.isInterrupted() {
			return stream.ErrInterrupted
		}
		return stream.ErrTimeout
	case err == nil:
		return nil
	}
	return errGone
}

// makeRoom makes room for want bytes, those that are buffered included.
func (r *reader) makeRoom(want int) {
	if r.pos == r.end {
		r.pos, r.end = 0, 0
	}
	if len(r.buf)-r.pos >= want && r.end < len(r.buf) {
		return
	}
	if size := max(want, r.buffered()+1, smallBuffer); len(r.buf) < size {
		b := make([]byte, size)
		r.end = copy(b, r.bytes())
		r.buf, r.pos = b, 0
		return
	}
	r.end = copy(r.buf, r.bytes())
	r.pos = 0
}

// arm sets the deadline of the read that follows.
func (r *reader) arm(deadline int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.interrupted {
		return stream.ErrInterrupted
	}
	return r.source.SetReadDeadline(at(deadline))
}

// at is a point on the clock of stream.Now for package time.
func at(deadline int64) time.Time {
	if deadline == stream.Never {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(deadline - stream.Now()))
}

// interrupt makes reads end until on is false again.
func (r *reader) interrupt(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.interrupted = on; on {
		_ = r.source.SetReadDeadline(past) // it does not fail
	}
}

func (r *reader) isInterrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interrupted
}
