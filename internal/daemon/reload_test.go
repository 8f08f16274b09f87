package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestReloadTellsWhatBecameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := errors.New("appgw.yaml:3: no such pool")
		var answer error
		var told []Result
		r := &Reloader{
			Apply: func(context.Context) ([]string, error) {
				time.Sleep(30 * time.Millisecond)
				return nil, answer
			},
			OnResult: func(res Result) { told = append(told, res) },
		}
		if err := r.Reload(t.Context(), "start"); err != nil {
			t.Error(err)
		}
		answer = refuse
		began := time.Now()
		if err := r.Reload(t.Context(), "admin"); !errors.Is(err, refuse) {
			t.Errorf("Reload = %v, want %v", err, refuse)
		}
		got := r.Stats()
		want := Result{Trigger: "admin", Time: began, Duration: 30 * time.Millisecond, Err: refuse}
		if got.Applied != 1 || got.Refused != 1 || got.Last != want {
			t.Errorf("Stats() = %+v", got)
		}
		if len(told) != 2 || told[0].Outcome() != "applied" || told[1].Outcome() != "refused" {
			t.Errorf("OnResult got %v", told)
		}
	})
}

func TestReloadsAreSerialised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, most, ran atomic.Int32
		r := &Reloader{Apply: func(context.Context) ([]string, error) {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(time.Second)
			inside.Add(-1)
			ran.Add(1)
			return nil, nil
		}}
		for range 4 {
			go func() { _ = r.Reload(context.Background(), "admin") }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := r.Reload(ctx, "admin"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that does not want to wait: %v", err)
		}
		time.Sleep(5 * time.Second)
		if most.Load() != 1 || ran.Load() != 4 {
			t.Errorf("at most %d at once, %d in all; want 1 and 4", most.Load(), ran.Load())
		}
	})
}

func TestReloadOutlivesItsCallerButNotItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reloader{Timeout: time.Minute, Apply: func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Reload(ctx, "admin"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("Apply had %v, want 1m", took)
		}
	})
}

func TestFilesOfARefusedConfigurationAreWatchedToo(t *testing.T) {
	files, refuse := []string{"/a", "/old"}, error(nil)
	r := &Reloader{Apply: func(context.Context) ([]string, error) { return files, refuse }}
	for _, step := range []struct {
		files []string
		err   error
		want  []string
	}{
		{[]string{"/a", "/old"}, nil, []string{"/a", "/old"}},
		{[]string{"/a", "/new"}, errors.New("bad"), []string{"/a", "/new", "/old"}},
		{[]string{"/a", "/newer"}, errors.New("bad"), []string{"/a", "/newer", "/old"}},
		{[]string{"/a", "/newer"}, nil, []string{"/a", "/newer"}},
	} {
		files, refuse = step.files, step.err
		_ = r.Reload(t.Context(), "test")
		if got := r.watched(); !slices.Equal(got, step.want) {
			t.Errorf("after %v (%v): watched %v, want %v", step.files, step.err, got, step.want)
		}
	}
}

func TestOutdatedComparesContent(t *testing.T) {
	dir := t.TempDir()
	conf, cert := filepath.Join(dir, "conf"), filepath.Join(dir, "cert")
	write(t, conf, "1")
	write(t, cert, "1")
	age(t, conf, cert)
	r := &Reloader{Apply: func(context.Context) ([]string, error) {
		return []string{conf, cert, filepath.Join(dir, "missing")}, nil
	}}
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"same content written again", func() { write(t, conf, "1") }, false},
		{"touched", func() { age(t, conf) }, false},
		{"replaced by the same", func() { replace(t, cert, "1") }, false},
		{"other content of the same length", func() { write(t, conf, "2") }, true},
		{"replaced by other content", func() { replace(t, cert, "2") }, true},
		{"removed", func() { os.Remove(cert) }, true},
		{"created", func() { write(t, filepath.Join(dir, "missing"), "") }, true},
		{"a directory in its place", func() { os.Remove(conf); os.Mkdir(conf, 0o700) }, true},
	} {
		// Twice: the first reload does not know the files beforehand.
		_ = r.Reload(t.Context(), "test")
		_ = r.Reload(t.Context(), "test")
		step.do()
		if got := r.outdated(); got != step.want {
			t.Errorf("%s: outdated = %v, want %v", step.name, got, step.want)
		}
	}
}

func TestChangeWhileApplyReadsIsSeen(t *testing.T) {
	dir := t.TempDir()
	conf, cert := filepath.Join(dir, "conf"), filepath.Join(dir, "cert")
	for _, changed := range []string{conf, cert} {
		write(t, conf, "1")
		write(t, cert, "1")
		files := []string{conf}
		during := func() {}
		r := &Reloader{Apply: func(context.Context) ([]string, error) {
			during()
			return files, nil
		}}
		_ = r.Reload(t.Context(), "test")
		_ = r.Reload(t.Context(), "test")
		// cert is new in this reload and was never looked at before.
		files, during = []string{conf, cert}, func() { write(t, changed, "2") }
		_ = r.Reload(t.Context(), "test")
		if !r.outdated() {
			t.Errorf("%s changed under Apply, and nobody noticed", changed)
		}
		during = func() {}
		_ = r.Reload(t.Context(), "test")
		if r.outdated() {
			t.Error("reloading would never end")
		}
	}
}

func TestFIFOIsNotOpened(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	mkfifo(t, pipe)
	done := make(chan fingerprint, 1)
	go func() { done <- takeFingerprint(pipe, fingerprint{}) }()
	select {
	case fp := <-done:
		if fp.kind != os.ModeNamedPipe || fp.fail != "" {
			t.Errorf("%+v", fp)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("blocked")
	}
}

func TestSettledFileIsNotReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "1")
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Minute)); err != nil { // it stays just written for a while
		t.Fatal(err)
	}
	prev := takeFingerprint(path, fingerprint{})
	if prev.settled {
		t.Fatal("a file just written counts as settled")
	}
	prev.settled = true
	prev.sum[0] ^= 1 // as if the content had been another
	if got := takeFingerprint(path, prev); got.sum != prev.sum {
		t.Error("read again although it is settled and unchanged")
	}
	write(t, path, "2")
	if got := takeFingerprint(path, prev); got.sum == prev.sum {
		t.Error("not read again although it changed")
	}
}

// What runs exclusively waits for a reload, and does not run once the process
// stops.
func TestExclusiveRunsBetweenReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		r := &Reloader{Apply: func(context.Context) ([]string, error) {
			time.Sleep(time.Second)
			order = append(order, "reload")
			return nil, nil
		}}
		go r.Reload(t.Context(), "test")
		synctest.Wait()
		if err := r.Exclusive(t.Context(), func() { order = append(order, "exclusive") }); err != nil {
			t.Error(err)
		}
		if !slices.Equal(order, []string{"reload", "exclusive"}) {
			t.Errorf("%v", order)
		}
		failed := errors.New("failed")
		if err := r.Exclusively(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
			t.Errorf("%v", err)
		}
		r.stop()
		if err := r.Exclusive(t.Context(), func() { t.Error("it ran") }); !errors.Is(err, ErrStopping) {
			t.Errorf("%v", err)
		}
	})
}
