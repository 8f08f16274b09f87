package telemetry

import (
	"context"
	"fmt"
	"time"

	"gatehouse/config"
)

// Run writes until ctx is done and then the rest, for at most FlushTimeout.
// It must run once; lines logged after ctx is done may be lost.
func (l *AccessLog) Run(ctx context.Context) error {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		l.write(stop)
	}()
	l.watch(ctx)
	close(stop)
	timeout := time.NewTimer(l.opts.FlushTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-timeout.C:
		// The writer is stuck in a system call that nothing can end: a full
		// pipe. It is left to the end of the process.
		return fmt.Errorf("%s: the output took nothing for %v; the last lines are lost", l.opts.Name, l.opts.FlushTimeout)
	}
}

// write is the writer: it waits until there is a line, gives it Interval to
// find company, and writes. An idle log wakes nobody.
func (l *AccessLog) write(stop <-chan struct{}) {
	out := l.initial
	for {
		select {
		case <-l.dirty:
			out = l.settle(out, stop)
		case <-l.changed:
			out = l.adopt(out)
		case <-stop:
			out = l.adopt(out)
			l.off.Store(true)
			l.flush(out)
			if err := out.Close(); err != nil {
				l.failed(0, err)
			}
			return
		}
	}
}

// settle waits for more lines, then writes them.
func (l *AccessLog) settle(out *Output, stop <-chan struct{}) *Output {
	wait := time.NewTimer(l.opts.Interval)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.full:
	case <-stop: // the caller sees it too
	case <-l.changed:
		return l.adopt(out)
	}
	l.flush(out)
	return out
}

// adopt changes to the output and format that Use asked for, if any. Each
// shard changes its format at the moment its lines are taken, so that no
// output sees lines of both.
func (l *AccessLog) adopt(old *Output) *Output {
	l.mu.Lock()
	next := l.next
	l.next = nil
	l.mu.Unlock()
	if next == nil {
		return old
	}
	l.off.Store(next.format == config.AccessOff)
	for i := range l.shards {
		l.flushShard(&l.shards[i], old, &next.format)
	}
	if err := old.Close(); err != nil {
		l.failed(0, err)
	}
	return next.out
}

func (l *AccessLog) flush(out *Output) {
	for i := range l.shards {
		l.flushShard(&l.shards[i], out, nil)
	}
}

// flushShard swaps a shard's buffers, sets its format if there is a new one,
// and writes what the shard had.
func (l *AccessLog) flushShard(s *logShard, out *Output, format *config.AccessFormat) {
	s.mu.Lock()
	lines := s.buf
	if len(lines) > 0 {
		s.buf = s.spare
	}
	if format != nil {
		s.format = *format
	}
	s.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	if lost, err := out.WriteLines(lines); err != nil {
		l.failed(lost, err)
	}
	s.spare = lines[:0]
}

func (l *AccessLog) failed(lost int, err error) {
	l.writeErrors.Add(1)
	l.lostLines.Add(uint64(lost))
	l.mu.Lock()
	l.lastErr = err
	l.mu.Unlock()
	kick(l.trouble)
}

// complaintInterval keeps a broken output from filling the process's log.
const complaintInterval = time.Minute

// watch logs drops and failures, at once and then at most every minute, until
// ctx is done.
func (l *AccessLog) watch(ctx context.Context) {
	var quiet <-chan time.Time // not nil: a complaint was made recently
	var told accessLogCounts
	for {
		trouble := l.trouble
		if quiet != nil {
			trouble = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-trouble:
			told = l.complain(told)
			quiet = time.After(complaintInterval)
		case <-quiet:
			quiet = nil
		}
	}
}

func (l *AccessLog) complain(told accessLogCounts) accessLogCounts {
	now := l.counts()
	if now == told {
		return told
	}
	l.mu.Lock()
	err := l.lastErr
	l.lastErr = nil
	l.mu.Unlock()
	attrs := []any{
		"dropped", now.dropped - told.dropped,
		"lost", now.lost - told.lost,
		"writeErrors", now.writeErrors - told.writeErrors,
	}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	l.opts.Logger.Warn(l.opts.Name+" lines are missing", attrs...)
	return now
}

// accessLogCounts are what went wrong since the start.
type accessLogCounts struct {
	dropped     uint64 // buffer full
	lost        uint64 // in failed writes
	writeErrors uint64
}

func (l *AccessLog) counts() accessLogCounts {
	c := accessLogCounts{lost: l.lostLines.Load(), writeErrors: l.writeErrors.Load()}
	for i := range l.shards {
		c.dropped += l.shards[i].dropped.Load()
	}
	return c
}
