package daemon

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// ErrStopping is returned for what is asked of a process that is draining.
var ErrStopping = errors.New("the process is stopping")

// Reloader applies the configuration, one reload at a time, and remembers
// what became of each.
type Reloader struct {
	// Apply reads, builds and commits the configuration; an error means that
	// what ran before goes on unchanged. files are all the files it depends
	// on, the configuration file first; with an error those it tried to read,
	// so that mending one of them triggers the next reload.
	//
	// ctx ends when the reload has taken longer than Timeout, not when its
	// caller loses interest: a reload once begun is finished.
	Apply func(ctx context.Context) (files []string, err error)

	// Timeout bounds Apply. If zero, one minute.
	Timeout time.Duration

	// Known are files that the first Apply is going to read, such as the
	// configuration file: one that was written just before then is not taken
	// for one that changed meanwhile.
	Known []string

	// OnResult, if set, is called with each result, one at a time: for logs
	// and metrics.
	OnResult func(Result)

	// FreeMemory gives back to the operating system, after each reload, what
	// building took: for a process that allocates too little while it serves
	// for that to be needed again soon, or for the collector to come by.
	FreeMemory bool

	// around, if set, is called before a reload; what it returns, after.
	around func(trigger string) (after func(error))

	mu      sync.Mutex // guards what follows
	turn    chan struct{}
	changed chan struct{}
	stopped bool
	files   []string               // what is watched: running and last tried
	running []string               // what the running configuration depends on
	seen    map[string]fingerprint // files as they were before the last Apply
	stale   bool                   // a file may have changed under the last Apply
	last    Result
	applied uint64
	refused uint64
}

// Result is what became of one reload.
type Result struct {
	Trigger  string        // who asked: "start", "file", "SIGHUP", "admin", ...
	Time     time.Time     // when it began
	Duration time.Duration // of Apply
	Err      error         // nil: applied; otherwise why it was refused
}

// Outcome is "applied" or "refused".
func (r Result) Outcome() string {
	if r.Err != nil {
		return "refused"
	}
	return "applied"
}

// Reloads counts reloads and tells the last one. Last.Time is zero if there
// was none.
type Reloads struct {
	Applied uint64
	Refused uint64
	Last    Result
}

// Stats returns what became of the reloads so far.
func (r *Reloader) Stats() Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Reloads{Applied: r.applied, Refused: r.refused, Last: r.last}
}

// Reload applies the configuration as it is now and returns what Apply
// returned. It waits for a reload that is under way; ctx bounds only that
// wait. When the process is stopping it returns ErrStopping.
func (r *Reloader) Reload(ctx context.Context, trigger string) error {
	var err error
	if waitErr := r.exclusive(ctx, func() { err = r.reload(ctx, trigger) }); waitErr != nil {
		return waitErr
	}
	return err
}

// Exclusive runs f while no reload runs: for what changes the running
// configuration otherwise. It waits for one that is under way; ctx bounds only
// that wait. When the process is stopping it returns ErrStopping.
func (r *Reloader) Exclusive(ctx context.Context, f func()) error {
	var err error
	waitErr := r.exclusive(ctx, func() {
		r.mu.Lock()
		stopped := r.stopped
		r.mu.Unlock()
		if stopped {
			err = ErrStopping
			return
		}
		f()
	})
	return errors.Join(waitErr, err)
}

// Exclusively is Exclusive of a function that can fail.
func (r *Reloader) Exclusively(ctx context.Context, f func() error) error {
	var err error
	refused := r.Exclusive(ctx, func() { err = f() })
	return errors.Join(refused, err)
}

// exclusive runs f while no reload runs.
func (r *Reloader) exclusive(ctx context.Context, f func()) error {
	turn := r.turns()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-turn }()
	f()
	return nil
}

// turns is the semaphore that serialises reloads.
func (r *Reloader) turns() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn == nil {
		r.turn = make(chan struct{}, 1)
	}
	return r.turn
}

// reload does one reload; the caller has the turn.
func (r *Reloader) reload(ctx context.Context, trigger string) error {
	r.mu.Lock()
	stopped, around := r.stopped, r.around
	r.mu.Unlock()
	if stopped {
		return ErrStopping
	}
	after := func(error) {}
	if around != nil {
		after = around(trigger)
	}
	r.mu.Lock()
	if r.files == nil {
		r.files = r.Known
	}
	r.mu.Unlock()
	before := r.fingerprints() // not later: what changes while Apply reads is a change
	start := time.Now()
	files, err := r.apply(ctx)
	result := Result{Trigger: trigger, Time: start, Duration: time.Since(start), Err: err}
	r.record(result, files, before)
	after(err)
	if r.OnResult != nil {
		r.OnResult(result)
	}
	if r.FreeMemory {
		debug.FreeOSMemory()
	}
	return err
}

// apply calls Apply within its time.
func (r *Reloader) apply(ctx context.Context) ([]string, error) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	return r.Apply(ctx)
}

// record keeps a result and what is to be watched after it.
func (r *Reloader) record(result Result, files []string, before map[string]fingerprint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = result
	if result.Err == nil {
		r.applied++
		r.running = files
		r.files = union(files, nil)
	} else {
		r.refused++
		r.files = union(files, r.running)
	}
	r.seen = make(map[string]fingerprint, len(r.files))
	r.stale = false
	for _, f := range r.files {
		fp, known := before[f]
		if !known {
			// Read by Apply at an unknown moment: one that changed since then
			// cannot be told from one that did not, but by its time. File
			// times come from a clock some milliseconds coarse.
			fp = takeFingerprint(f, fingerprint{})
			r.stale = r.stale || fp.modified.After(result.Time.Add(-20*time.Millisecond))
		}
		r.seen[f] = fp
	}
	if r.changed != nil {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
}

// fingerprints returns the watched files as they are now.
func (r *Reloader) fingerprints() map[string]fingerprint {
	r.mu.Lock()
	files, seen := r.files, r.seen
	r.mu.Unlock()
	now := make(map[string]fingerprint, len(files))
	for _, f := range files {
		now[f] = takeFingerprint(f, seen[f])
	}
	return now
}

// outdated tells whether a file differs from what the last reload saw.
func (r *Reloader) outdated() bool {
	now := r.fingerprints()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stale {
		return true
	}
	for f, seen := range r.seen {
		if p, ok := now[f]; ok && !p.same(seen) {
			return true
		}
	}
	return false
}

// watched returns the files to watch.
func (r *Reloader) watched() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files
}

// changes tells, from the first call on, that the set of files may have
// changed.
func (r *Reloader) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{}, 1)
	}
	return r.changed
}

// hook sets what is called around reloads.
func (r *Reloader) hook(around func(trigger string) (after func(error))) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.around = around
}

// stop refuses further reloads.
func (r *Reloader) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// union returns the distinct strings of a and b, in order.
func union(a, b []string) []string {
	known := make(map[string]bool, len(a)+len(b))
	var all []string
	for _, list := range [][]string{a, b} {
		for _, s := range list {
			if !known[s] {
				known[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}
