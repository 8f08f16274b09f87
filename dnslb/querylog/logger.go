package querylog

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Output is where lines go; *telemetry.Output is one.
type Output interface {
	// WriteLines writes whole lines and returns how many were lost.
	WriteLines(lines []byte) (lost int, err error)
	Close() error
}

// Options configure New. The zero value logs nothing: it has no output.
type Options struct {
	// Output gets the lines and is owned by the Logger. If nil, no lines.
	Output Output

	// Sample is one in how many queries of a lane is logged. If zero, all.
	Sample int

	// Dnstap is a file, or "unix:" and the path of a socket that listens. If
	// empty, none. Like Output and Sample it is what Use may change.
	Dnstap string

	// Identity and Version are what dnstap says of the server. If empty, they
	// are left out.
	Identity, Version string

	// Records is how many records a lane holds, rounded up to a power of two.
	// If zero, 1024, of some 650 bytes each.
	Records int

	// MessageBytes is how many bytes of messages a lane holds for dnstap,
	// which it takes when it has the first. If zero, 1 MiB; never above 1 GiB.
	MessageBytes int

	// Interval is the longest time a record waits for company. If zero, 50 ms.
	Interval time.Duration

	Logger *slog.Logger // for failed writes; if nil, slog.Default
}

// Bounds of the options.
const (
	mostRecords      = 1 << 20
	mostMessageBytes = 1 << 30
)

func (o *Options) defaults() {
	if o.Sample <= 0 {
		o.Sample = 1
	}
	if o.Records <= 0 {
		o.Records = 1024
	}
	if o.MessageBytes <= 0 {
		o.MessageBytes = 1 << 20
	}
	if o.Interval <= 0 {
		o.Interval = 50 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.MessageBytes = min(o.MessageBytes, mostMessageBytes)
	size := 2
	for size < min(o.Records, mostRecords) {
		size *= 2
	}
	o.Records = size
}

// Logger writes the records of its lanes.
type Logger struct {
	opts   Options
	sample atomic.Int64        // 0: nothing is wanted
	tap    atomic.Pointer[tap] // nil: no dnstap; set by New and the writer

	dirty, full, changed chan struct{}
	stop, done           chan struct{}
	closing              sync.Once

	mu        sync.Mutex // guards what follows
	lanes     []*Lane
	next      *use   // what the writer is to change to; nil: nothing
	gone      Stats  // of lanes that were closed and taps that have ended
	retired   []*tap // that may have something to send still
	complaint time.Time

	written, failed atomic.Uint64
}

// New returns a log that writes until Close. It opens no file or socket itself:
// dnstap is connected in the background, and again whenever it was lost.
func New(opts Options) *Logger {
	opts.defaults()
	l := &Logger{
		opts: opts, dirty: make(chan struct{}, 1), full: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.startTap(opts.Dnstap)
	if opts.Output != nil || opts.Dnstap != "" {
		l.sample.Store(int64(opts.Sample))
	}
	go l.run()
	return l
}

// Lane returns a new lane, for one goroutine.
func (l *Logger) Lane() *Lane {
	lane := &Lane{log: l, ring: make([]entry, l.opts.Records)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes = append(l.lanes, lane)
	return lane
}

// Dnstap says whether records need their messages.
func (l *Logger) Dnstap() bool { return l.tap.Load() != nil }

// use is where the log is to go.
type use struct {
	out    Output // nil: no lines
	dnstap string
}

// Use makes the log go on with another output, rate and dnstap, as a reload or
// a renamed file wants. It owns out; nil ends the lines. Records that were put
// before go where they were to go, which is closed then; a dnstap that stays
// the same is left alone.
func (l *Logger) Use(out Output, sample int, dnstap string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil && l.next.out != nil {
		l.closeOutput(l.next.out) // nothing was written to it
	}
	l.next = &use{out, dnstap}
	if out == nil && dnstap == "" {
		sample = 0
	} else {
		sample = max(sample, 1)
	}
	l.sample.Store(int64(sample))
	kick(l.changed)
}

// ReopenDnstap ends a dnstap file and begins another one of the same name,
// after it was renamed. It does nothing to a socket.
func (l *Logger) ReopenDnstap() {
	if t := l.tap.Load(); t != nil {
		t.reopen()
	}
}

// Close ends the log once all that was put is written and dnstap said goodbye,
// or when ctx is done: what is left then is lost. Lanes may be used on; what
// they put is not written.
func (l *Logger) Close(ctx context.Context) error {
	l.closing.Do(func() {
		l.sample.Store(0)
		close(l.stop)
	})
	if err := wait(ctx, l.done); err != nil {
		l.endTaps(ctx)
		return fmt.Errorf("query log: the output takes nothing: %w", err)
	}
	if err := l.endTaps(ctx); err != nil {
		return fmt.Errorf("query log: dnstap takes nothing: %w", err)
	}
	return nil
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complaintInterval keeps a broken output from filling the process's log.
const complaintInterval = time.Minute

// complain logs a failure, at most one a minute.
func (l *Logger) complain(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.complaint) >= complaintInterval {
		l.complaint = now
		l.opts.Logger.Warn("query log is incomplete", "error", err)
	}
}

func (l *Logger) closeOutput(out Output) {
	if err := out.Close(); err != nil {
		l.opts.Logger.Warn("query log: closing an output", "error", err)
	}
}

// takeLanes returns the lanes.
func (l *Logger) takeLanes() []*Lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lanes)
}

// forgetLanes forgets lanes that are closed and empty.
func (l *Logger) forgetLanes() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes = slices.DeleteFunc(l.lanes, func(lane *Lane) bool {
		over := lane.closed.Load() && lane.tail.Load() == lane.head.Load()
		if over {
			l.gone.add(lane)
		}
		return over
	})
}
