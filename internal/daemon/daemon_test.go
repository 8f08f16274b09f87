package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTask is a task whose every step a test decides.
type fakeTask struct {
	name  string
	ready chan struct{}
	fail  chan error    // what Run returns early
	drain time.Duration // how long it takes to end
	ended atomic.Bool
	onEnd func()
}

func newFakeTask(name string) *fakeTask {
	return &fakeTask{name: name, ready: make(chan struct{}), fail: make(chan error, 1)}
}

func readyTask(name string) *fakeTask {
	t := newFakeTask(name)
	close(t.ready)
	return t
}

func (f *fakeTask) Ready() <-chan struct{} { return f.ready }
func (f *fakeTask) String() string         { return f.name }

func (f *fakeTask) Run(ctx context.Context) error {
	defer f.ended.Store(true)
	select {
	case err := <-f.fail:
		return err
	case <-ctx.Done():
	}
	time.Sleep(f.drain)
	if f.onEnd != nil {
		f.onEnd()
	}
	return ctx.Err() // a task may pass the cancellation on
}

// running is a Daemon under test inside a synctest bubble.
type running struct {
	*Daemon
	signals chan os.Signal
	exits   chan int
	result  chan error
	cancel  context.CancelFunc
}

func start(d *Daemon) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{
		Daemon:  d,
		signals: make(chan os.Signal, 8),
		exits:   make(chan int, 8),
		result:  make(chan error, 1),
		cancel:  cancel,
	}
	d.Signals = r.signals
	d.Exit = func(status int) { r.exits <- status }
	go func() { r.result <- d.Run(ctx) }()
	return r
}

// Two processes write one log during an upgrade: each line says whose it is.
func TestLogLinesNameTheirProcess(t *testing.T) {
	var log bytes.Buffer
	web := newFakeTask("web")
	close(web.ready)
	r := start(&Daemon{Tasks: []Task{web}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer r.cancel()
	for deadline := time.Now().Add(10 * time.Second); r.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(r.Ready())
		}
	}
	if err := r.Upgrade(t.Context()); err == nil {
		t.Error("a process without an Upgrader was upgraded")
	}
	r.signals <- syscall.SIGTERM
	if err := <-r.result; err != nil {
		t.Errorf("Run = %v", err)
	}
	pid := fmt.Sprintf(" pid=%d", os.Getpid())
	for _, msg := range []string{"msg=ready", `msg="not upgraded, going on"`, "msg=draining"} {
		if !strings.Contains(log.String(), msg+pid) {
			t.Errorf("no line has %s%s:\n%s", msg, pid, log.String())
		}
	}
}

func TestReadyOnlyWhenEveryTaskIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, admin := newFakeTask("listener web"), newFakeTask("admin")
		r := start(&Daemon{Tasks: []Task{web}, Support: []Task{admin}})
		defer r.cancel()

		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() {}, "starting: waiting for admin, listener web"},
			{func() { close(admin.ready) }, "starting: waiting for listener web"},
			{func() { close(web.ready) }, "<nil>"},
			{func() { web.drain = time.Second; r.signals <- syscall.SIGTERM }, "draining"},
		} {
			step.do()
			synctest.Wait()
			got := "<nil>"
			if err := r.Ready(); err != nil {
				got = err.Error()
			}
			if got != step.want {
				t.Errorf("Ready() = %s, want %s", got, step.want)
			}
		}
		if err := <-r.result; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestAllStopWhenOneFails(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		fail func(web, admin *fakeTask)
		want error
		text string
	}{
		{"a task", func(web, _ *fakeTask) { web.fail <- broken }, broken, "web: broken"},
		{"a supporting task", func(_, admin *fakeTask) { admin.fail <- broken }, broken, "admin: broken"},
		{"a task that ends too early", func(web, _ *fakeTask) {
			web.ready = make(chan struct{})
			web.fail <- nil
		}, nil, "web: ended before it was ready"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web, other, admin := readyTask("web"), readyTask("other"), readyTask("admin")
				tt.fail(web, admin)
				r := start(&Daemon{Tasks: []Task{web, other}, Support: []Task{admin}})
				err := <-r.result
				if err == nil || err.Error() != tt.text || (tt.want != nil && !errors.Is(err, tt.want)) {
					t.Errorf("Run = %v, want %s", err, tt.text)
				}
				if !web.ended.Load() || !other.ended.Load() || !admin.ended.Load() {
					t.Error("a task was not joined")
				}
			})
		})
	}
}

func TestEndsWhenNothingIsLeftToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, admin := readyTask("web"), readyTask("admin")
		web.fail <- nil
		if err := <-start(&Daemon{Tasks: []Task{web}, Support: []Task{admin}}).result; err != nil {
			t.Errorf("Run = %v", err)
		}
		if !admin.ended.Load() {
			t.Error("the supporting task was not joined")
		}
	})
}

func TestSupportOutlivesTheDrain(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, nil} {
		synctest.Test(t, func(t *testing.T) {
			web, admin := readyTask("web"), readyTask("admin")
			web.drain = 20 * time.Second
			web.onEnd = func() {
				if admin.ended.Load() {
					t.Error("admin ended before web had drained")
				}
			}
			r := start(&Daemon{Tasks: []Task{web}, Support: []Task{admin}})
			synctest.Wait()
			begin := time.Now()
			if s != nil {
				r.signals <- s
			} else {
				r.cancel()
			}
			if err := <-r.result; err != nil {
				t.Errorf("Run = %v", err)
			}
			if took := time.Since(begin); took != web.drain {
				t.Errorf("drained for %v, want %v", took, web.drain)
			}
		})
	}
}

func TestTaskThatDoesNotEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := readyTask("web")
		web.drain = time.Hour
		r := start(&Daemon{Tasks: []Task{web}, Drain: func() time.Duration { return 10 * time.Second }})
		begin := time.Now()
		r.cancel()
		err := <-r.result
		if err == nil || !strings.Contains(err.Error(), "gave up waiting after 15s for: web") {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(begin); took != 15*time.Second {
			t.Errorf("waited %v", took)
		}
		time.Sleep(web.drain) // no goroutine may outlive the test
		synctest.Wait()
	})
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := readyTask("web")
		web.drain = 20 * time.Second
		r := start(&Daemon{Tasks: []Task{web}})
		synctest.Wait()
		r.signals <- syscall.SIGTERM
		synctest.Wait()
		select {
		case <-r.exits:
			t.Fatal("the first signal exited")
		default:
		}
		r.signals <- syscall.SIGINT
		synctest.Wait()
		select {
		case status := <-r.exits:
			if status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
		default:
			t.Error("the second signal did not exit")
		}
		<-r.result
	})
}

func TestSIGUSR1ReopensEvenWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := readyTask("web")
		web.drain = time.Second
		var reopened atomic.Int32
		r := start(&Daemon{Tasks: []Task{web}, Reopen: func() error { reopened.Add(1); return nil }})
		synctest.Wait()
		r.signals <- syscall.SIGUSR1
		synctest.Wait()
		r.signals <- syscall.SIGTERM
		r.signals <- syscall.SIGUSR1
		if err := <-r.result; err != nil {
			t.Error(err)
		}
		if n := reopened.Load(); n != 2 {
			t.Errorf("reopened %d times, want 2", n)
		}
	})
}

func TestSIGHUPReloadsOnceReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newFakeTask("web")
		reloads := make(chan Result, 4)
		d := &Daemon{Tasks: []Task{web}, Reloader: &Reloader{
			Apply:    func(context.Context) ([]string, error) { return nil, nil },
			OnResult: func(r Result) { reloads <- r },
		}}
		r := start(d)
		r.signals <- syscall.SIGHUP
		r.signals <- syscall.SIGHUP
		synctest.Wait()
		if len(reloads) != 0 {
			t.Error("reloaded before the process was ready")
		}
		close(web.ready)
		synctest.Wait()
		if got := (<-reloads).Trigger; got != "SIGHUP" {
			t.Errorf("trigger %q", got)
		}
		r.signals <- syscall.SIGTERM
		<-r.result
		if err := d.Reloader.Reload(context.Background(), "admin"); !errors.Is(err, ErrStopping) {
			t.Errorf("Reload after the end = %v, want ErrStopping", err)
		}
	})
}

func TestUpgradeIsRefusedWhereItCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newFakeTask("web")
		r := start(&Daemon{Tasks: []Task{web}})
		if err := r.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "not possible") {
			t.Errorf("without an Upgrader: %v", err)
		}
		r.cancel()
		<-r.result

		r = start(&Daemon{Tasks: []Task{web}, Upgrader: &Upgrader{}})
		if err := r.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "waiting for web") {
			t.Errorf("while starting: %v", err)
		}
		r.cancel()
		<-r.result
	})
}

// lockedBuffer is a log that a test may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
