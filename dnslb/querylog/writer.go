package querylog

import (
	"bytes"
	"fmt"
	"time"
)

// batchBytes is how many bytes of lines are written at once, about.
const batchBytes = 64 << 10

// writer is the goroutine that empties the lanes.
type writer struct {
	log   *Logger
	out   Output // nil: no lines
	tap   *tap   // nil: no dnstap
	lines []byte
	frame []byte
	stamp stamp
}

// run waits until there is a record, gives it Interval to find company, and
// writes. An idle log wakes nobody.
func (l *Logger) run() {
	defer close(l.done)
	w := &writer{log: l, out: l.opts.Output, tap: l.tap.Load()}
	for {
		select {
		case <-l.dirty:
			w.settle()
		case <-l.changed:
			w.adopt()
		case <-l.stop:
			w.adopt()
			w.drain()
			if w.out != nil {
				l.closeOutput(w.out)
			}
			return
		}
	}
}

func (w *writer) settle() {
	wait := time.NewTimer(w.log.opts.Interval)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-w.log.full:
	case <-w.log.stop: // run sees it too
	case <-w.log.changed:
		w.adopt()
	}
	w.drain()
}

// adopt changes to what Use asked for, if anything.
func (w *writer) adopt() {
	l := w.log
	l.mu.Lock()
	next := l.next
	l.next = nil
	l.mu.Unlock()
	if next == nil {
		return
	}
	w.drain()
	if w.out != nil {
		l.closeOutput(w.out)
	}
	w.out = next.out
	if next.dnstap != w.tap.name() {
		l.retireTap(w.tap)
		w.tap = l.startTap(next.dnstap)
	}
}

func (w *writer) drain() {
	for _, lane := range w.log.takeLanes() {
		lane.drain(w.take)
	}
	w.log.forgetLanes()
	w.flush()
	if w.tap != nil {
		w.tap.flush()
	}
}

// take writes one record to where it is wanted.
func (w *writer) take(e *entry, query, response []byte) {
	if w.out != nil {
		w.lines = appendLine(w.lines, e, &w.stamp)
		if len(w.lines) >= batchBytes {
			w.flush()
		}
	}
	tap := w.tap
	if tap == nil {
		return
	}
	if len(query) > 0 {
		w.frame = tap.head.appendQuery(w.frame[:0], &e.Record, query)
		tap.add(w.frame)
	}
	if len(response) > 0 {
		w.frame = tap.head.appendResponse(w.frame[:0], &e.Record, query, response)
		tap.add(w.frame)
	}
}

func (w *writer) flush() {
	if len(w.lines) == 0 {
		return
	}
	lost, err := w.out.WriteLines(w.lines)
	if err != nil {
		w.log.complain(fmt.Errorf("%d lines: %w", lost, err))
	}
	w.log.failed.Add(uint64(lost))
	w.log.written.Add(uint64(bytes.Count(w.lines, []byte{'\n'}) - lost))
	w.lines = w.lines[:0]
}
