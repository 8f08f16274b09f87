// Package flowlog writes which flows there were, in the shape of Azure's VNet
// flow logs, version 4: one JSON record a line, with tuples in state B
// (begins), C (goes on), E (ends) and D (denied).
//
// Whoever carries flows only puts events into a queue; one goroutine makes
// and writes the records. What the queue has no room for is not logged, and
// counted.
package flowlog

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gatehouse/proxy/l4"
)

// Options configure New.
type Options struct {
	// Flows are asked which flows go on.
	Flows *l4.Flows
	// Guard tells which security group a frontend has, and its name; nil: none.
	Guard func(frontend string) (group string, guard l4.Guard)
	// Log gets what goes wrong with the file.
	Log *slog.Logger
}

const (
	// queued is how many events may wait for the writer.
	queued = 1 << 14
	// every is how long events are gathered, and batch how many at most make
	// one line.
	every = time.Second
	batch = 2000
)

// Log is a flow log. It implements [l4.FlowLogger].
type Log struct {
	o       Options
	events  chan event
	use     chan sink
	on      atomic.Bool
	dropped atomic.Uint64
	records atomic.Uint64
	lost    atomic.Uint64

	// Owned by Run.
	sink    sink
	known   map[*l4.Flow]counts // flows whose begin was logged, and what was told of them
	pending pending
	failing bool
}

// sink is where the log goes, and how often flows that go on are told.
type sink struct {
	file     *File // nil: nowhere
	interval time.Duration
}

// event is something that happened to a flow.
type event struct {
	state byte // B, E or D
	at    time.Time
	flow  *l4.Flow
	tuple l4.Tuple // of D
	rule  *l4.Rule
	why   l4.Refusal
}

// counts is what was told of a flow.
type counts struct {
	sent, sentPackets, received, receivedPackets uint64
	missed                                       int // times in a row that the flow was not there and its end not told
}

// New returns a log that goes nowhere until Use.
func New(o Options) *Log {
	return &Log{o: o, events: make(chan event, queued), use: make(chan sink, 1), known: map[*l4.Flow]counts{}}
}

// Use lets the log go to a file, which is closed when the next one is used;
// nil: nowhere.
func (l *Log) Use(f *File, interval time.Duration) {
	l.on.Store(f != nil)
	l.use <- sink{f, interval}
}

// Begin implements [l4.FlowLogger].
func (l *Log) Begin(f *l4.Flow) { l.put(event{state: 'B', flow: f}) }

// End implements [l4.FlowLogger].
func (l *Log) End(f *l4.Flow, _ l4.End) { l.put(event{state: 'E', flow: f}) }

// Refuse implements [l4.FlowLogger].
func (l *Log) Refuse(t l4.Tuple, r *l4.Rule, why l4.Refusal) {
	l.put(event{state: 'D', tuple: t, rule: r, why: why})
}

func (l *Log) put(e event) {
	if !l.on.Load() {
		return
	}
	e.at = time.Now()
	select {
	case l.events <- e:
	default:
		l.dropped.Add(1)
	}
}

// Stats is what became of events.
type Stats struct {
	Dropped uint64 // events that the queue had no room for
	Records uint64 // lines that were written
	Lost    uint64 // lines that could not be written
}

// Stats returns the counts so far.
func (l *Log) Stats() Stats {
	return Stats{Dropped: l.dropped.Load(), Records: l.records.Load(), Lost: l.lost.Load()}
}

// Run writes until ctx is done, and what is left then.
func (l *Log) Run(ctx context.Context) error {
	flush := time.NewTicker(every)
	defer flush.Stop()
	goesOn := time.NewTimer(time.Hour)
	defer goesOn.Stop()
	for {
		select {
		case <-ctx.Done():
			l.drain()
			l.switchTo(sink{})
			return nil
		case s := <-l.use:
			l.drain()
			l.switchTo(s)
			if s.interval > 0 {
				goesOn.Reset(s.interval)
			}
		case e := <-l.events:
			l.take(e)
		case <-flush.C:
			l.flush()
		case <-goesOn.C:
			l.tellLiving()
			goesOn.Reset(l.sink.interval)
		}
	}
}

// drain takes what is queued.
func (l *Log) drain() {
	for {
		select {
		case e := <-l.events:
			l.take(e)
		default:
			l.flush()
			return
		}
	}
}

func (l *Log) switchTo(s sink) {
	if l.sink.file != nil {
		l.sink.file.Close()
	}
	l.sink = s
	if s.file == nil {
		clear(l.known)
	}
}

// take makes the tuple of an event.
func (l *Log) take(e event) {
	if l.sink.file == nil {
		return
	}
	switch e.state {
	case 'B':
		l.known[e.flow] = counts{}
		l.add(e.at, e.flow.Tuple, e.flow.Rule, e.flow, 'B', counts{})
	case 'E':
		l.add(e.at, e.flow.Tuple, e.flow.Rule, e.flow, 'E', l.since(e.flow))
		delete(l.known, e.flow)
	case 'D':
		l.addDenied(e)
	}
	if l.pending.tuples >= batch {
		l.flush()
	}
}

// since is what a flow has carried since it was told of last.
func (l *Log) since(f *l4.Flow) counts {
	now := counts{sent: f.Sent.Load(), sentPackets: f.SentPackets.Load(), received: f.Received.Load(), receivedPackets: f.ReceivedPackets.Load()}
	old := l.known[f]
	l.known[f] = now
	return counts{sent: now.sent - old.sent, sentPackets: now.sentPackets - old.sentPackets,
		received: now.received - old.received, receivedPackets: now.receivedPackets - old.receivedPackets}
}

// tellLiving tells of the flows that go on and were told of before.
func (l *Log) tellLiving() {
	if l.sink.file == nil {
		return
	}
	var living []*l4.Flow
	l.o.Flows.Each(func(f *l4.Flow) bool {
		living = append(living, f)
		return true
	})
	l.forget(living)
	now := time.Now()
	for _, f := range living {
		if _, told := l.known[f]; !told {
			continue // its begin is still in the queue, or was dropped; its end will tell
		}
		l.add(now, f.Tuple, f.Rule, f, 'C', l.since(f))
		if l.pending.tuples >= batch {
			l.flush()
		}
	}
}

// forget forgets flows that have ended and whose end was dropped.
func (l *Log) forget(living []*l4.Flow) {
	there := make(map[*l4.Flow]bool, len(living))
	for _, f := range living {
		there[f] = true
	}
	for f, c := range l.known {
		if there[f] {
			continue
		}
		if c.missed++; c.missed > 1 { // the first time, its end may be in the queue
			delete(l.known, f)
		} else {
			l.known[f] = c
		}
	}
}

// flush writes the records of what is pending.
func (l *Log) flush() {
	lines, n := l.pending.take()
	if n == 0 || l.sink.file == nil {
		return
	}
	err := l.sink.file.Write(lines)
	if err != nil {
		l.lost.Add(uint64(n))
	} else {
		l.records.Add(uint64(n))
	}
	if failing := err != nil; failing != l.failing {
		l.failing = failing
		if failing {
			l.o.Log.Error("flow log cannot be written; records are lost", "error", err)
		} else {
			l.o.Log.Info("flow log is written again")
		}
	}
}
