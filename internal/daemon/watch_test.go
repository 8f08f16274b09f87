package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite writes without emptying the file first: what a watch finds is never half of it.
func rewrite(t testing.TB, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// replace writes as editors and atomic writers do.
func replace(t testing.TB, path, content string) {
	t.Helper()
	write(t, path+".tmp", content)
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// age sets the modification time back.
func age(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Chtimes(p, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

func mkfifo(t testing.TB, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// watched is a running Watcher whose reloads a test receives.
type watched struct {
	t       *testing.T
	reloads chan string // the configuration file as each reload read it
}

// watch runs a Watcher over the files; the first is read at each reload.
func watch(t *testing.T, files ...string) *watched {
	t.Helper()
	w := &watched{t: t, reloads: make(chan string, 64)}
	r := &Reloader{Apply: func(context.Context) ([]string, error) {
		var all []string
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return files, err
			}
			all = append(all, string(b))
		}
		w.reloads <- strings.Join(all, " ")
		return files, nil
	}}
	if err := r.Reload(t.Context(), "start"); err != nil {
		t.Fatal(err)
	}
	<-w.reloads
	watcher := NewWatcher(r, nil)
	watcher.Quiet, watcher.MaxDelay, watcher.Poll = 5*time.Millisecond, 50*time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- watcher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-watcher.Ready()
	w.settle()
	return w
}

// settle waits until nothing comes any more: files written just before the
// start may be reloaded once more.
func (w *watched) settle() {
	for {
		select {
		case <-w.reloads:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

// expect waits for a reload that finds want; in-between states may be seen.
func (w *watched) expect(want string) {
	w.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case got := <-w.reloads:
			if got == want {
				return
			}
		case <-deadline:
			w.t.Fatalf("no reload found %q", want)
		}
	}
}

func TestWatcherSeesEveryWayToChangeAFile(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	write(t, conf, "0")
	w := watch(t, conf)
	for _, tt := range []struct {
		name string
		do   func(content string)
	}{
		{"in place", func(s string) { write(t, conf, s) }},
		{"by rename", func(s string) { replace(t, conf, s) }},
		{"by rename again", func(s string) { replace(t, conf, s) }},
		{"as vim does", func(s string) {
			if err := os.Rename(conf, conf+"~"); err != nil {
				t.Fatal(err)
			}
			write(t, conf, s)
			os.Remove(conf + "~")
		}},
		{"removed and written later", func(s string) {
			os.Remove(conf)
			time.Sleep(20 * time.Millisecond)
			write(t, conf, s)
		}},
		{"became a symlink", func(s string) {
			write(t, filepath.Join(dir, "real"), s)
			symlink(t, "real", conf)
		}},
		{"the symlink's target changed", func(s string) { write(t, filepath.Join(dir, "real"), s) }},
		{"the symlink leads elsewhere", func(s string) {
			elsewhere := filepath.Join(t.TempDir(), "x")
			write(t, elsewhere, s)
			symlink(t, elsewhere, conf)
		}},
	} {
		tt.do(tt.name)
		w.expect(tt.name)
	}
}

// TestWatcherSurvivesConfigMapSwaps updates a mounted ConfigMap as the
// kubelet does: a new directory, and ..data redirected to it.
func TestWatcherSurvivesConfigMapSwaps(t *testing.T) {
	dir := t.TempDir()
	update := func(version string) {
		d := filepath.Join(dir, "..v"+version)
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, "conf"), version)
		write(t, filepath.Join(d, "cert"), version)
		old, _ := os.Readlink(filepath.Join(dir, "..data"))
		symlink(t, filepath.Base(d), filepath.Join(dir, "..data"))
		if old != "" {
			os.RemoveAll(filepath.Join(dir, old))
		}
	}
	update("1")
	symlink(t, "..data/conf", filepath.Join(dir, "conf"))
	symlink(t, "..data/cert", filepath.Join(dir, "cert"))
	w := watch(t, filepath.Join(dir, "conf"), filepath.Join(dir, "cert"))
	for _, v := range []string{"2", "3", "4"} {
		update(v)
		w.expect(v + " " + v)
	}
}

func TestWatcherSeesFurtherFilesAndNewDirectories(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	conf, cert := filepath.Join(dir, "conf"), filepath.Join(other, "certs", "cert")
	write(t, conf, "0")
	os.Mkdir(filepath.Dir(cert), 0o700)
	write(t, cert, "0")
	w := watch(t, conf, cert)
	replace(t, cert, "1")
	w.expect("0 1")
	w.settle()
	// The directory goes and comes back as another one.
	if err := os.Rename(filepath.Dir(cert), filepath.Join(other, "gone")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	os.Mkdir(filepath.Dir(cert), 0o700)
	write(t, cert, "2")
	w.expect("0 2")
	write(t, cert, "3")
	w.expect("0 3")
}

func TestWatcherIgnoresSpuriousEvents(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	write(t, conf, "0")
	w := watch(t, conf)
	rewrite(t, conf, "0")
	replace(t, conf, "0")
	age(t, conf)
	write(t, filepath.Join(dir, "access.log"), "a line")
	select {
	case got := <-w.reloads:
		t.Errorf("reloaded %q though nothing changed", got)
	case <-time.After(200 * time.Millisecond):
	}
	write(t, conf, "1")
	w.expect("1")
}

// fakeWatch is a dirWatch that a test feeds.
type fakeWatch struct {
	add error
	ev  chan fsnotify.Event
	er  chan error
}

func (f *fakeWatch) Add(string) error              { return f.add }
func (f *fakeWatch) Remove(string) error           { return nil }
func (f *fakeWatch) Close() error                  { return nil }
func (f *fakeWatch) events() <-chan fsnotify.Event { return f.ev }
func (f *fakeWatch) errors() <-chan error          { return f.er }

// bubbleWatcher starts a Watcher over conf inside a synctest bubble.
func bubbleWatcher(t *testing.T, conf string, open func() (dirWatch, error), log *lockedBuffer) (reloads chan time.Time, stop func()) {
	reloads = make(chan time.Time, 16)
	age(t, conf)
	r := &Reloader{Apply: func(context.Context) ([]string, error) {
		reloads <- time.Now()
		return []string{conf}, nil
	}}
	// Twice, so that the file is known beforehand: the bubble's clock and the
	// file system's differ.
	_, _ = r.Reload(t.Context(), "start"), r.Reload(t.Context(), "start")
	<-reloads
	<-reloads
	w := NewWatcher(r, textLog(log))
	w.open = open
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	synctest.Wait()
	time.Sleep(time.Second) // the look at the start
	synctest.Wait()
	return reloads, func() { cancel(); <-done }
}

func TestWatcherDebounces(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "conf")
	write(t, conf, "0")
	real := tracePath(conf)[len(tracePath(conf))-1]
	for _, tt := range []struct {
		name   string
		events int // one every 60 ms
		want   time.Duration
	}{
		{"one event: 100 ms of quiet", 1, 100 * time.Millisecond},
		{"three events: 100 ms after the last", 3, 220 * time.Millisecond},
		{"a writer that goes on: 1 s after the first", 100, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeWatch{ev: make(chan fsnotify.Event), er: make(chan error)}
				reloads, stop := bubbleWatcher(t, conf, func() (dirWatch, error) { return f, nil }, &lockedBuffer{})
				defer stop()
				write(t, conf, tt.name)
				began := time.Now()
				for range tt.events {
					select {
					case f.ev <- fsnotify.Event{Name: real, Op: fsnotify.Write}:
						time.Sleep(60 * time.Millisecond)
					case <-reloads:
						t.Fatal("reloaded twice")
					}
					if len(reloads) > 0 {
						break
					}
				}
				if at := <-reloads; at.Sub(began) != tt.want {
					t.Errorf("reloaded after %v, want %v", at.Sub(began), tt.want)
				}
			})
		})
	}
}

func TestWatcherPollsWhereItCannotWatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		open func() (dirWatch, error)
	}{
		{"no inotify instance left", func() (dirWatch, error) { return nil, unix.EMFILE }},
		{"no inotify watch left", func() (dirWatch, error) { return &fakeWatch{add: unix.ENOSPC}, nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "conf")
			write(t, conf, "0")
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				var working atomic.Bool
				open := func() (dirWatch, error) {
					if working.Load() {
						return &fakeWatch{}, nil
					}
					return tt.open()
				}
				reloads, stop := bubbleWatcher(t, conf, open, &log)
				defer stop()
				if n := strings.Count(log.String(), "cannot watch"); n != 1 {
					t.Errorf("said so %d times: %s", n, log.String())
				}
				write(t, conf, "1")
				began := time.Now()
				if took := (<-reloads).Sub(began); took > 5*time.Second {
					t.Errorf("noticed after %v", took)
				}
				working.Store(true)
				time.Sleep(6 * time.Second)
				if !strings.Contains(log.String(), "again") {
					t.Error("did not go back to watching")
				}
			})
		})
	}
}

func TestWatcherLooksAfterAnOverflow(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "conf")
	write(t, conf, "0")
	synctest.Test(t, func(t *testing.T) {
		f := &fakeWatch{er: make(chan error)}
		reloads, stop := bubbleWatcher(t, conf, func() (dirWatch, error) { return f, nil }, &lockedBuffer{})
		defer stop()
		write(t, conf, "1")
		began := time.Now()
		f.er <- errors.New("overflow")
		if took := (<-reloads).Sub(began); took > time.Second {
			t.Errorf("noticed after %v", took)
		}
	})
}

func TestTracePath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(p string) string { return filepath.Join(dir, p) }
	os.MkdirAll(at("a/b"), 0o700)
	write(t, at("a/b/f"), "")
	symlink(t, "a", at("rel"))
	symlink(t, at("a/b"), at("abs"))
	symlink(t, "../../abs/f", at("a/b/up"))
	symlink(t, "loop", at("loop"))
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"a/b/f", []string{"a/b/f"}},
		{"rel/b/f", []string{"rel", "a/b/f"}},
		{"abs/f", []string{"abs", "a/b/f"}},
		{"a/b/up", []string{"a/b/up", "abs", "a/b/f"}},
		{"rel/b/none", []string{"rel", "a/b/none"}},
		{"rel/none/f", []string{"rel", "a/none"}},
	} {
		var want []string
		for _, p := range tt.want {
			want = append(want, at(p))
		}
		if got := tracePath(at(tt.path)); !slices.Equal(got, want) {
			t.Errorf("tracePath(%s) = %v, want %v", tt.path, got, want)
		}
	}
	if got := tracePath(at("loop")); len(got) > maxLinks+1 {
		t.Errorf("a loop gave %d paths", len(got))
	}
}
