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
	lines []byte
	frame []byte
	stamp stamp
}

// run waits until there is a record, gives it Interval to find company, and
// writes. An idle log wakes nobody.
func (l *Logger) run() {
	defer close(l.done)
	w := &writer{log: l, out: l.opts.Output}
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

// adopt changes to the output that Use asked for, if any.
func (w *writer) adopt() {
	l := w.log
	l.mu.Lock()
	next, ok := l.next, l.hasNext
	l.next, l.hasNext = nil, false
	l.mu.Unlock()
	if !ok {
		return
	}
	w.drain()
	if w.out != nil {
		l.closeOutput(w.out)
	}
	w.out = next
}

func (w *writer) drain() {
	for _, lane := range w.log.takeLanes() {
		lane.drain(w.take)
	}
	w.flush()
	if w.log.tap != nil {
		w.log.tap.flush()
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
	tap := w.log.tap
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
