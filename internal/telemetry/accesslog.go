package telemetry

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/config"
)

// AccessLogOptions configure NewAccessLog. The zero value works.
type AccessLogOptions struct {
	// Name is the log's in messages, and with underscores in the names of its
	// metrics. If empty, "access log".
	Name string

	Logger *slog.Logger // for dropped lines and failed writes; if nil, slog.Default

	// BufferBytes is the size at which a shard's buffer is full; there are
	// two of them. If zero, 256 KiB.
	BufferBytes int

	// Interval is the longest time a line waits. If zero, 100 ms.
	Interval time.Duration

	// FlushTimeout is how long Run waits at its end for an output that does
	// not take the rest. If zero, 2 s.
	FlushTimeout time.Duration
}

// AccessLog writes one line for each exchange, in batches. The caller formats
// straight into a buffer of its shard; one goroutine, [AccessLog.Run], swaps
// the buffers and writes. When the output is slower than the lines, lines are
// dropped and counted, and nobody waits.
//
// Lines of different shards may be out of order by up to the interval.
type AccessLog struct {
	opts   AccessLogOptions
	shards []logShard
	off    atomic.Bool

	initial *Output // what Run begins with
	ready   chan struct{}

	dirty   chan struct{} // a buffer is no longer empty
	full    chan struct{} // a buffer is half full
	trouble chan struct{} // something was dropped or failed

	mu      sync.Mutex // guards what follows
	next    *change    // what the writer is to adopt
	current *Output    // the last one adopted or about to be
	format  config.AccessFormat
	lastErr error

	changed     chan struct{}
	writeErrors atomic.Uint64
	lostLines   atomic.Uint64 // in failed writes

	descs accessLogDescs
}

// change is an output and a format that the writer has not adopted yet.
type change struct {
	out    *Output
	format config.AccessFormat
}

// logShard is one core's part of the log.
type logShard struct {
	logShardState
	_ [cacheLine - unsafe.Sizeof(logShardState{})%cacheLine]byte
}

type logShardState struct {
	mu      sync.Mutex // held while a line is formatted, never while one is written
	format  config.AccessFormat
	buf     []byte
	encoder encoder

	spare   []byte // the writer's
	lines   atomic.Uint64
	dropped atomic.Uint64
}

// NewAccessLog returns a log that writes to out once Run runs. It owns out.
func NewAccessLog(out *Output, format config.AccessFormat, opts AccessLogOptions) *AccessLog {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Name == "" {
		opts.Name = "access log"
	}
	if opts.BufferBytes <= 0 {
		opts.BufferBytes = 256 << 10
	}
	if opts.Interval <= 0 {
		opts.Interval = 100 * time.Millisecond
	}
	if opts.FlushTimeout <= 0 {
		opts.FlushTimeout = 2 * time.Second
	}
	l := &AccessLog{
		opts: opts, shards: make([]logShard, shardCount()),
		dirty: make(chan struct{}, 1), full: make(chan struct{}, 1),
		trouble: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		ready: make(chan struct{}), initial: out, current: out, format: format, descs: newAccessLogDescs(opts.Name),
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.format = format
		// A line may begin as long as the buffer is not full; the rest of
		// the capacity lets the last one end without growing it.
		s.buf = make([]byte, 0, opts.BufferBytes+maxLineSize)
		s.spare = make([]byte, 0, opts.BufferBytes+maxLineSize)
	}
	l.off.Store(format == config.AccessOff)
	close(l.ready)
	return l
}

// String names the task.
func (l *AccessLog) String() string { return l.opts.Name }

// Ready is closed: lines are taken from the beginning.
func (l *AccessLog) Ready() <-chan struct{} { return l.ready }

// Enabled says whether lines are written at all.
func (l *AccessLog) Enabled() bool { return !l.off.Load() }

// Log writes r's line to the buffer of shard. It neither allocates nor waits
// for the output, and keeps nothing of r.
func (l *AccessLog) Log(shard uint32, r *Record) {
	l.add(shard, func(s *logShard) bool {
		switch s.format {
		case config.AccessJSON:
			s.buf = s.encoder.json(s.buf, r)
		case config.AccessCombined:
			s.buf = s.encoder.combined(s.buf, r)
		default:
			return false
		}
		return true
	})
}

// Append writes lines that are formatted already, each with its line break,
// whatever the log's format is. What is longer than an access log's longest
// line, 40 KiB, is dropped.
func (l *AccessLog) Append(shard uint32, lines []byte) {
	if len(lines) > maxLineSize {
		l.shards[0].dropped.Add(1)
		kick(l.trouble)
		return
	}
	l.add(shard, func(s *logShard) bool {
		s.buf = append(s.buf, lines...)
		return true
	})
}

// add has a line written to the buffer of shard, if there is room.
func (l *AccessLog) add(shard uint32, write func(s *logShard) bool) {
	if l.off.Load() {
		return
	}
	s := l.lock(shard)
	before := len(s.buf)
	if before >= l.opts.BufferBytes {
		s.mu.Unlock()
		s.dropped.Add(1)
		kick(l.trouble)
		return
	}
	written := write(s)
	after := len(s.buf)
	s.mu.Unlock()
	if !written {
		return
	}
	s.lines.Add(1)
	half := l.opts.BufferBytes / 2
	if before == 0 {
		kick(l.dirty)
	}
	if before < half && after >= half {
		kick(l.full)
	}
}

// lock locks the shard, or a neighbour that is free: its owner may have been
// preempted within a line.
func (l *AccessLog) lock(shard uint32) *logShard {
	mask := uint32(len(l.shards) - 1)
	for i := range uint32(len(l.shards)) {
		if s := &l.shards[(shard+i)&mask]; s.mu.TryLock() {
			return s
		}
	}
	s := &l.shards[shard&mask]
	s.mu.Lock()
	return s
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Use makes the log go on with another output and format, as a reload may
// want; it owns out from now on. Lines logged before still go to the old
// output, which is closed then.
func (l *AccessLog) Use(out *Output, format config.AccessFormat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.use(out, format)
}

// use is Use with l.mu held.
func (l *AccessLog) use(out *Output, format config.AccessFormat) {
	if l.next != nil {
		l.next.out.Close() // nothing was written to it
	}
	l.next = &change{out, format}
	l.current, l.format = out, format
	kick(l.changed)
}

// Reopen opens the log's file again by its name, after it was renamed. Lines
// logged before go to the renamed file. When the name cannot be opened the
// log stays as it is.
func (l *AccessLog) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, err := l.current.reopen()
	if err != nil {
		return err
	}
	l.use(out, l.format)
	return nil
}

type accessLogDescs struct{ lines, dropped, errors *prometheus.Desc }

func newAccessLogDescs(name string) accessLogDescs {
	prefix := "gatehouse_" + strings.ReplaceAll(name, " ", "_")
	return accessLogDescs{
		lines:   prometheus.NewDesc(prefix+"_lines_total", "Lines formatted for the "+name+".", nil, nil),
		dropped: prometheus.NewDesc(prefix+"_dropped_lines_total", "Lines of the "+name+" that were dropped, or lost in a failed write.", []string{"reason"}, nil),
		errors:  prometheus.NewDesc(prefix+"_write_errors_total", "Writes to the "+name+" that failed.", nil, nil),
	}
}

// Describe implements prometheus.Collector, so that the log can be given to
// [Metrics.Register].
func (l *AccessLog) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.descs.lines
	ch <- l.descs.dropped
	ch <- l.descs.errors
}

// Collect implements prometheus.Collector.
func (l *AccessLog) Collect(ch chan<- prometheus.Metric) {
	var lines uint64
	for i := range l.shards {
		lines += l.shards[i].lines.Load()
	}
	c := l.counts()
	ch <- count(l.descs.lines, lines)
	ch <- count(l.descs.dropped, c.dropped, "buffer_full")
	ch <- count(l.descs.dropped, c.lost, "write_error")
	ch <- count(l.descs.errors, c.writeErrors)
}
