package querylog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
)

// Each record goes where the log went when it was put, nothing is lost between
// two files, and the counters go on.
func TestUseChangesDnstap(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	l := New(Options{Interval: time.Millisecond})
	lane, r := l.Lane(), sample()
	use := func(dnstap string) {
		t.Helper()
		l.Use(nil, 1, dnstap)
		waitFor(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.next == nil && l.tap.Load().name() == dnstap
		})
	}
	put := func(query string) {
		r.Query, r.Response = nil, nil
		if l.Dnstap() {
			r.Query = []byte(query)
		}
		if lane.Want() {
			lane.Put(&r)
		}
	}
	put("nowhere")
	for _, u := range []struct{ query, dnstap string }{{"one", first}, {"two", second}, {"three", second}, {"none", ""}, {"four", first}} {
		use(u.dnstap)
		put(u.query)
	}
	closeLog(t, l)
	queries := func(file string) (list string) {
		for _, m := range fileFrames(t, file) {
			list += string(m.GetMessage().GetQueryMessage()) + " "
		}
		return list
	}
	old, _ := filepath.Glob(first + ".*")
	if len(old) != 1 {
		t.Fatalf("the first file was kept as %q", old)
	}
	if got := queries(old[0]) + queries(second) + queries(first); got != "one two three four " {
		t.Errorf("got %q", got)
	}
	if again, _ := filepath.Glob(second + ".*"); len(again) > 0 {
		t.Errorf("what stayed the same was opened again: %q", again)
	}
	if s := l.Stats(); s.DnstapWritten != 4 || s.DnstapDropped != 0 || s.DnstapReconnects != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// A pipe whose reader hangs is given up, with its memory, while the log goes
// on elsewhere.
func TestARetiredTapEndsByForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l := New(Options{Dnstap: path, Logger: quiet(), Interval: time.Millisecond})
	defer closeLog(t, l)
	lane, r := l.Lane(), sample()
	r.Response = make([]byte, 60_000)
	for range 4 { // more than a pipe holds
		lane.Put(&r)
	}
	old := l.tap.Load()
	l.Use(nil, 1, "")
	select {
	case <-old.done:
	case <-time.After(5 * retireTime):
		t.Fatal("the sender lives on")
	}
	waitFor(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.retired) == 0
	})
	// The first response fits the pipe, if it was sent before there was another.
	if s := l.Stats(); s.DnstapDropped < 6 || s.DnstapWritten+s.DnstapDropped != 8 {
		t.Errorf("stats: %+v, want all frames counted, most as dropped", s)
	}
}

// Close waits for what was retired a moment before, too.
func TestCloseWaitsForRetiredTaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	ln := listen(t, path)
	l := New(Options{Dnstap: "unix:" + path, Logger: quiet(), Interval: time.Millisecond})
	lane, r := l.Lane(), sample()
	lane.Put(&r)
	conn := accept(t, ln)
	l.Use(nil, 1, "")
	waitFor(t, func() bool { return l.tap.Load() == nil })
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeLog(t, l)
		if s := l.Stats(); s.DnstapWritten != 2 {
			t.Errorf("stats: %+v, want 2 frames written", s)
		}
	}()
	select {
	case <-closed:
		t.Error("Close did not wait for the reader")
	case <-time.After(50 * time.Millisecond):
	}
	readFrames(t, conn, true, func(*dnstap.Dnstap) {})
	<-closed
}

// A lane has memory for messages only while somebody wants them.
func TestMessagesTakeMemoryOnlyForDnstap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	l := New(Options{Output: &memory{}, Interval: time.Millisecond})
	defer closeLog(t, l)
	lane, r := l.Lane(), sample()
	for _, dnstap := range []string{"", path, ""} {
		l.Use(&memory{}, 1, dnstap)
		waitFor(t, func() bool { return l.tap.Load().name() == dnstap })
		lane.Put(&r)
		waitFor(t, func() bool { return lane.tail.Load() == lane.puts })
		lane.Put(&r) // by now nobody reads what was put before
		if has := lane.arena.bytes != nil; has != (dnstap != "") {
			t.Errorf("dnstap %q: memory for messages: %t", dnstap, has)
		}
	}
}
