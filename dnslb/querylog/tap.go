package querylog

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of dnstap.
const (
	tapBytes    = 1 << 20 // of frames that wait, twice
	tapTimeout  = 2 * time.Second
	firstPause  = 100 * time.Millisecond // before a stream is opened again,
	longestWait = 10 * time.Second       // doubled up to this
)

// tap sends frames to one dnstap file or socket. Frames wait in a bounded
// buffer while there is no stream or the reader is slow.
type tap struct {
	head     frameHead
	dnstap   string // as in Options
	target   string
	isSocket bool
	complain func(error)

	dirty, again chan struct{}
	stop, done   chan struct{}
	closing      sync.Once
	ctx          context.Context // done: give up at once
	cancel       context.CancelFunc

	mu      sync.Mutex // guards what follows
	waiting []byte     // frames, each behind its length
	spare   []byte     // taken by the sender while it writes
	current io.Closer  // the open stream's file or connection

	written, dropped, streams atomic.Uint64
}

func newTap(dnstap string, opts *Options, complain func(error)) *tap {
	path, isSocket := strings.CutPrefix(dnstap, "unix:")
	t := &tap{
		dnstap: dnstap,
		head:   newFrameHead(opts.Identity, opts.Version), target: path, isSocket: isSocket, complain: complain,
		dirty: make(chan struct{}, 1), again: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// add has a frame sent, or drops it when too many wait.
func (t *tap) add(frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting)+4+len(frame) > tapBytes {
		t.dropped.Add(1)
		return
	}
	t.waiting = binary.BigEndian.AppendUint32(t.waiting, uint32(len(frame)))
	t.waiting = append(t.waiting, frame...)
}

func (t *tap) flush() { kick(t.dirty) }

func (t *tap) reopen() {
	if !t.isSocket {
		kick(t.again)
	}
}

// close has what waits sent and the stream ended; t.done tells when.
func (t *tap) close() { t.closing.Do(func() { close(t.stop) }) }

// abort gives up what waits.
func (t *tap) abort() {
	t.close()
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.Close() // the sender sees it and complains
	}
}

// run keeps a stream open until close.
func (t *tap) run() {
	defer close(t.done)
	defer t.cancel()
	pause := firstPause
	for {
		s, err := t.open()
		if err == nil {
			pause = firstPause
			t.streams.Add(1)
			var over bool
			if over, err = t.serve(s); over {
				break
			}
		}
		if err != nil {
			t.complain(fmt.Errorf("dnstap: %w", err))
			if !t.rest(pause) {
				break
			}
			pause = min(2*pause, longestWait)
		}
	}
	t.dropped.Add(uint64(count(t.take())))
}

// rest waits before the next try; false once the tap is closed.
func (t *tap) rest(pause time.Duration) bool {
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-t.again:
		return true
	case <-t.stop:
		return false
	}
}

// serve sends frames until the stream fails, is to be opened again, or the
// tap is closed: over.
func (t *tap) serve(s *stream) (over bool, err error) {
	defer t.forget(s)
	for {
		select {
		case <-t.dirty:
			if err := t.send(s); err != nil {
				return false, err
			}
		case <-t.again:
			return false, t.finish(s)
		case <-t.stop:
			if err := t.finish(s); err != nil {
				t.complain(fmt.Errorf("dnstap: %w", err))
			}
			return true, nil
		}
	}
}

func (t *tap) finish(s *stream) error {
	if err := t.send(s); err != nil {
		return err
	}
	return s.frames.Close()
}

// send writes what waits. After a failure nobody knows what arrived: all of
// it counts as dropped.
func (t *tap) send(s *stream) error {
	batch := t.take()
	n := uint64(count(batch))
	if err := s.write(batch); err != nil {
		t.dropped.Add(n)
		return err
	}
	t.written.Add(n)
	t.mu.Lock()
	t.spare = batch[:0]
	t.mu.Unlock()
	return nil
}

func (t *tap) take() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	batch := t.waiting
	t.waiting, t.spare = t.spare, nil
	return batch
}

func (t *tap) addTo(s *Stats) {
	s.DnstapWritten += t.written.Load()
	s.DnstapDropped += t.dropped.Load()
	s.DnstapReconnects += max(t.streams.Load(), 1) - 1
}

// count is the number of frames in a batch.
func count(batch []byte) (n int) {
	for ; len(batch) > 0; n++ {
		batch = batch[4+binary.BigEndian.Uint32(batch):]
	}
	return n
}
