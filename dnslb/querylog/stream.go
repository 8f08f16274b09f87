package querylog

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	framestream "github.com/farsightsec/golang-framestream"
)

// contentType is what the frames of a stream are.
const contentType = "protobuf:dnstap.Dnstap"

// stream is an open Frame Streams stream, one-way to a file or with a
// handshake on a socket.
type stream struct {
	frames *framestream.Writer
	under  io.WriteCloser
}

// open opens the file or connects to the socket.
func (t *tap) open() (*stream, error) {
	under, err := t.openUnder()
	if err != nil {
		return nil, err
	}
	s := &stream{under: under}
	t.mu.Lock()
	t.current = under
	t.mu.Unlock()
	if t.ctx.Err() != nil { // aborted before it could close this one
		t.forget(s)
		return nil, t.ctx.Err()
	}
	s.frames, err = framestream.NewWriter(under, &framestream.WriterOptions{
		ContentTypes: [][]byte{[]byte(contentType)}, Bidirectional: t.isSocket, Timeout: tapTimeout,
	})
	if err != nil {
		t.forget(s)
		return nil, fmt.Errorf("%s: handshake: %w", t.target, err)
	}
	return s, nil
}

func (t *tap) openUnder() (io.WriteCloser, error) {
	if t.isSocket {
		d := net.Dialer{Timeout: tapTimeout}
		return d.DialContext(t.ctx, "unix", t.target)
	}
	if err := keepOld(t.target); err != nil {
		return nil, err
	}
	// O_NONBLOCK: a FIFO without a reader is an error now, not a hang.
	return os.OpenFile(t.target, os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// keepOld renames a file with something in it, which nothing can be appended
// to: a stream has one beginning. The process before an upgrade writes on to
// the renamed one.
func keepOld(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil // opening it tells what is wrong
	}
	const layout = "20060102T150405.000000000Z"
	return os.Rename(path, path+"."+info.ModTime().UTC().Format(layout))
}

// forget closes the stream's file or connection, whose errors were seen when
// it was written to.
func (t *tap) forget(s *stream) {
	t.mu.Lock()
	t.current = nil
	t.mu.Unlock()
	s.under.Close()
}

// write writes frames that are each behind their length.
func (s *stream) write(batch []byte) error {
	for len(batch) > 0 {
		n := 4 + binary.BigEndian.Uint32(batch)
		if _, err := s.frames.WriteFrame(batch[4:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return s.frames.Flush()
}
