package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watcher is the task that reloads when a file of the running configuration
// changes.
//
// It watches directories, not files: editors and atomic writers replace a
// file by a rename, and a mounted Kubernetes ConfigMap swaps a symlink
// (..data) some directories up, and in each case a watch on the file itself
// would follow the old one. An event only prompts a look; a reload follows
// only if some content changed since the last one. Where directories cannot
// be watched the files are looked at every few seconds instead.
type Watcher struct {
	// Reloader is asked to reload, and knows which files to watch.
	Reloader *Reloader

	// Log gets a line when watching fails or works again. If nil, discarded.
	// What became of a reload is told by Reloader.OnResult.
	Log *slog.Logger

	// Quiet is how long after the last event to wait, for a writer to finish;
	// MaxDelay how long after the first at most. If zero, 100 ms and 1 s.
	Quiet    time.Duration
	MaxDelay time.Duration

	// Poll is how often to look without an event, where directories cannot be
	// watched; if zero, 5 s. Where they can, a look is still taken every ten
	// times that: a network file system or a directory replaced as a whole
	// raises no event.
	Poll time.Duration

	// open starts watching; nil: fsnotify.
	open func() (dirWatch, error)

	ready chan struct{}

	// Owned by Run.
	watch   dirWatch
	dirs    map[string]bool // watched
	names   map[string]bool // paths whose events matter
	polling bool
}

// dirWatch is what the Watcher needs of fsnotify.
type dirWatch interface {
	Add(dir string) error
	Remove(dir string) error
	Close() error
	events() <-chan fsnotify.Event
	errors() <-chan error
}

// inotify is a dirWatch of the operating system.
type inotify struct{ *fsnotify.Watcher }

func (w inotify) events() <-chan fsnotify.Event { return w.Events }
func (w inotify) errors() <-chan error          { return w.Errors }

// NewWatcher makes a Watcher that triggers r.
func NewWatcher(r *Reloader, log *slog.Logger) *Watcher {
	return &Watcher{Reloader: r, Log: log, ready: make(chan struct{})}
}

// String names the task.
func (w *Watcher) String() string { return "configuration watch" }

// Ready is closed when the files are watched, or polled.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Run watches until ctx is cancelled.
func (w *Watcher) Run(ctx context.Context) error {
	w.setDefaults()
	changed := w.Reloader.changes()
	w.sync()
	defer w.close()
	close(w.ready)

	// What changed since the last reload and before the watch stood.
	pending := newDebounce(w.Quiet, w.MaxDelay)
	defer pending.stop()
	pending.event()

	poll := time.NewTimer(w.interval())
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.events():
			if w.names[e.Name] {
				pending.event()
			}
		case <-w.errors(): // the queue overflowed: anything may have changed
			pending.event()
		case <-changed:
			// Files may have changed before their directories were watched.
			w.sync()
			pending.event()
		case <-pending.timer.C:
			pending.fired()
			w.look(ctx)
		case <-poll.C:
			w.look(ctx)
			poll.Reset(w.interval())
		}
	}
}

// setDefaults fills in what is zero.
func (w *Watcher) setDefaults() {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.Quiet == 0 {
		w.Quiet = 100 * time.Millisecond
	}
	if w.MaxDelay == 0 {
		w.MaxDelay = time.Second
	}
	if w.Poll == 0 {
		w.Poll = 5 * time.Second
	}
	if w.open == nil {
		w.open = func() (dirWatch, error) {
			fw, err := fsnotify.NewWatcher()
			return inotify{fw}, err
		}
	}
}

// interval is how long to wait for the next look without an event.
func (w *Watcher) interval() time.Duration {
	if w.polling {
		return w.Poll
	}
	return 10 * w.Poll
}

// look reloads if a file changed.
func (w *Watcher) look(ctx context.Context) {
	w.sync() // first: what changes from here on raises an event
	if w.Reloader.outdated() {
		// The result is kept, and told, by the Reloader.
		_ = w.Reloader.Reload(ctx, "file")
	}
}

// sync watches the directories that matter now, and no others; if it cannot,
// it polls, and tries again with each look.
func (w *Watcher) sync() {
	err := w.trySync()
	switch {
	case err != nil && !w.polling:
		w.Log.Warn("cannot watch the configuration files, looking at them periodically instead",
			"error", err, "every", w.Poll)
	case err == nil && w.polling:
		w.Log.Info("watching the configuration files again")
	}
	w.polling = err != nil
	if err != nil {
		w.close()
	}
}

// trySync brings the watch in line with the files, or says why it cannot.
func (w *Watcher) trySync() error {
	dirs := make(map[string]bool)
	names := make(map[string]bool)
	for _, f := range w.Reloader.watched() {
		for _, p := range tracePath(f) {
			// The directory by its own name: it may be moved away.
			dir := filepath.Dir(p)
			names[p], names[dir] = true, true
			dirs[dir] = true
		}
	}
	if w.watch == nil {
		watch, err := w.open()
		if err != nil {
			return err
		}
		w.watch, w.dirs = watch, make(map[string]bool)
	}
	// Adding again is harmless and needed: a directory that was removed and
	// made anew is no longer watched.
	for d := range dirs {
		if err := w.watch.Add(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for d := range w.dirs {
		if !dirs[d] {
			_ = w.watch.Remove(d) // fails if the directory is gone, which is as good
		}
	}
	w.dirs, w.names = dirs, names
	return nil
}

// close stops watching.
func (w *Watcher) close() {
	if w.watch != nil {
		_ = w.watch.Close()
		w.watch = nil
	}
}

// events is nil, hence silent, while nothing is watched.
func (w *Watcher) events() <-chan fsnotify.Event {
	if w.watch == nil {
		return nil
	}
	return w.watch.events()
}

// errors is nil, hence silent, while nothing is watched.
func (w *Watcher) errors() <-chan error {
	if w.watch == nil {
		return nil
	}
	return w.watch.errors()
}

// maxLinks bounds the symlinks followed for one file, as the kernel does.
const maxLinks = 40

// tracePath returns the paths whose change can change what is found at path:
// every symlink met on the way, and the file itself at the end; each below a
// directory that is no symlink. Where a directory is missing it is the last.
func tracePath(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil // the working directory is gone
	}
	var met []string
	at, rest := "/", strings.TrimPrefix(path, "/")
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil || (info.Mode().Type() != fs.ModeSymlink && rest == "") {
			return append(met, next)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		met = append(met, next)
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return met
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = strings.TrimPrefix(target+"/"+rest, "/")
		rest = strings.TrimSuffix(rest, "/")
	}
	return append(met, at)
}

// debounce fires when events have been quiet for a while, or gone on too long.
type debounce struct {
	quiet, most time.Duration
	timer       *time.Timer
	deadline    time.Time // zero: no event is pending
}

// newDebounce makes a debounce with nothing pending.
func newDebounce(quiet, most time.Duration) *debounce {
	d := &debounce{quiet: quiet, most: most, timer: time.NewTimer(quiet)}
	d.timer.Stop()
	return d
}

// event notes an event.
func (d *debounce) event() {
	now := time.Now()
	if d.deadline.IsZero() {
		d.deadline = now.Add(d.most)
	}
	d.timer.Reset(min(d.quiet, d.deadline.Sub(now)))
}

// fired must be called when the timer's channel delivered.
func (d *debounce) fired() { d.deadline = time.Time{} }

// stop releases the timer.
func (d *debounce) stop() { d.timer.Stop() }
