package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"golang.org/x/sys/unix"

	"gatehouse/config"
)

// soon is how long a disk may take on a busy machine.
const soon = 30 * time.Second

func openOutput(t testing.TB, name string) *Output {
	t.Helper()
	out, err := OpenOutput(name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// running runs a log; stop ends it and waits.
func running(t *testing.T, l *AccessLog) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { stop() })
	return stop
}

// numbered is a record that can be told from others in the output.
func numbered(n int) *Record {
	r := usualRecord()
	r.Target = fmt.Appendf(nil, "/n/%d.", n)
	r.Referer = nil
	return r
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// lockedBuffer is a log's output for tests.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestEveryLineIsWrittenOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	l := NewAccessLog(openOutput(t, name), config.AccessCombined, AccessLogOptions{BufferBytes: 8 << 20, FlushTimeout: soon})
	stop := running(t, l)
	const writers, lines = 8, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range lines {
				l.Log(uint32(w), numbered(w*lines+i))
			}
		})
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(readFile(t, name), "\n"), "\n")
	seen := map[string]bool{}
	for _, line := range got {
		_, rest, _ := strings.Cut(line, "/n/")
		n, _, _ := strings.Cut(rest, ".")
		seen[n] = true
	}
	if len(got) != writers*lines || len(seen) != writers*lines {
		t.Errorf("%d lines, %d different, want %d", len(got), len(seen), writers*lines)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLineWaitsAtMostTheInterval(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l := NewAccessLog(openOutput(t, name), config.AccessJSON, AccessLogOptions{})
		stop := running(t, l)
		for round := range 3 {
			time.Sleep(time.Hour)
			l.Log(0, numbered(round))
			time.Sleep(99 * time.Millisecond)
			synctest.Wait()
			if n := strings.Count(readFile(t, name), "\n"); n != round {
				t.Errorf("round %d: %d lines before the interval is over", round, n)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if n := strings.Count(readFile(t, name), "\n"); n != round+1 {
				t.Errorf("round %d: %d lines after the interval", round, n)
			}
		}
		stop()
	})
}

func TestHalfFullBufferIsWrittenAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		l := NewAccessLog(openOutput(t, name), config.AccessJSON, AccessLogOptions{BufferBytes: 16 << 10, Interval: time.Hour})
		stop := running(t, l)
		for i := range 12 {
			l.Log(0, numbered(i))
		}
		synctest.Wait()
		if n := strings.Count(readFile(t, name), "\n"); n < 8 {
			t.Errorf("%d lines were written of a buffer that is more than half full", n)
		}
		stop()
	})
}

// stuckPipe returns an output that takes what a pipe holds and then nothing.
func stuckPipe(t *testing.T) (*Output, *os.File) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOutput(name); err == nil {
		t.Fatal("a FIFO without a reader was opened")
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	if _, err := unix.FcntlInt(reader.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	return openOutput(t, name), reader
}

func TestStuckOutputDropsLinesAndBlocksNobody(t *testing.T) {
	out, reader := stuckPipe(t)
	var said lockedBuffer
	l := NewAccessLog(out, config.AccessJSON, AccessLogOptions{
		BufferBytes: 32 << 10, Interval: time.Millisecond, FlushTimeout: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	stop := running(t, l)
	deadline := time.Now().Add(20 * time.Second)
	// Some 44 kB: more than a buffer and the pipe hold, so that the writer
	// has begun a write that it cannot finish.
	for l.counts().dropped < 1000 || l.shards[0].lines.Load()+l.shards[1].lines.Load() < 40 {
		if time.Now().After(deadline) {
			t.Fatal("nothing is dropped")
		}
		start := time.Now()
		l.Log(0, usualRecord())
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("Log took %v", d)
		}
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), "took nothing") {
		t.Errorf("Run with a stuck output: %v", err)
	}
	if n := strings.Count(said.String(), "lines are missing"); n != 1 {
		t.Errorf("drops are logged %d times within a minute, want once:\n%s", n, said.String())
	}
	reader.Close() // ends the writer: broken pipe
}

func TestComplaintsComeOncePerMinute(t *testing.T) {
	var said lockedBuffer
	synctest.Test(t, func(t *testing.T) {
		l := NewAccessLog(openOutput(t, "/dev/full"), config.AccessCombined, AccessLogOptions{
			Logger: slog.New(slog.NewTextHandler(&said, nil)),
		})
		stop := running(t, l)
		for range 180 { // seconds
			l.Log(0, numbered(1))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		stop()
		c := l.counts()
		if c.writeErrors < 170 || c.lost != c.writeErrors {
			t.Errorf("counts %+v", c)
		}
	})
	if n := strings.Count(said.String(), "\n"); n < 3 || n > 4 {
		t.Errorf("%d complaints in three minutes:\n%s", n, said.String())
	}
	if !strings.Contains(said.String(), "no space left") {
		t.Errorf("the reason is missing:\n%s", said.String())
	}
}

func TestReopenLosesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "access.log")
	l := NewAccessLog(openOutput(t, name), config.AccessCombined, AccessLogOptions{Interval: time.Millisecond, BufferBytes: 4 << 20, FlushTimeout: soon})
	stop := running(t, l)
	const rotations, lines = 20, 200
	for i := range rotations {
		for j := range lines {
			l.Log(uint32(j), numbered(i*lines+j))
		}
		if err := os.Rename(name, fmt.Sprintf("%s.%d", name, i)); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(name + "*")
	all := ""
	for _, f := range files {
		all += readFile(t, f)
	}
	for n := range rotations * lines {
		if c := strings.Count(all, fmt.Sprintf("/n/%d. ", n)); c != 1 {
			t.Fatalf("line %d is in the files %d times", n, c)
		}
	}
	if len(files) != rotations+1 {
		t.Errorf("%d files, want %d", len(files), rotations+1)
	}
}

func TestReopenThatFailsKeepsTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := NewAccessLog(openOutput(t, filepath.Join(dir, "access.log")), config.AccessCombined, AccessLogOptions{FlushTimeout: soon})
	stop := running(t, l)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reopen: %v", err)
	}
	l.Log(0, numbered(7))
	stop()
	if !strings.Contains(readFile(t, filepath.Join(dir+".old", "access.log")), "/n/7.") {
		t.Error("the line is lost")
	}
}

func TestUseChangesOutputAndFormatTogether(t *testing.T) {
	dir := t.TempDir()
	first, second, third := filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "3")
	synctest.Test(t, func(t *testing.T) {
		l := NewAccessLog(openOutput(t, first), config.AccessOff, AccessLogOptions{})
		stop := running(t, l)
		l.Log(0, numbered(0))
		if l.Enabled() {
			t.Error("off is enabled")
		}
		l.Use(openOutput(t, second), config.AccessJSON)
		synctest.Wait()
		l.Log(0, numbered(1))
		l.Log(1, numbered(2))
		l.Use(openOutput(t, third), config.AccessCombined)
		synctest.Wait()
		l.Log(1, numbered(3))
		l.Use(openOutput(t, first), config.AccessOff)
		synctest.Wait()
		l.Log(0, numbered(4))
		stop()
	})
	if got := readFile(t, first); got != "" {
		t.Errorf("off: %q", got)
	}
	if got := readFile(t, second); strings.Count(got, "{\"timeStamp") != 2 || strings.Count(got, "\n") != 2 {
		t.Errorf("json: %q", got)
	}
	if got := readFile(t, third); !strings.HasPrefix(got, "203.0.113.77 - - [") || strings.Count(got, "\n") != 1 {
		t.Errorf("combined: %q", got)
	}
}

func TestTornLineCostsOneLine(t *testing.T) {
	// A file that may not grow beyond a limit is a disk that gets full
	// within a line, and then has room again.
	if os.Getenv("TELEMETRY_TORN") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTornLineCostsOneLine$")
		cmd.Env = append(os.Environ(), "TELEMETRY_TORN="+filepath.Join(t.TempDir(), "log"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	name := os.Getenv("TELEMETRY_TORN")
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: 1 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	out := openOutput(t, name)
	limit(10)
	if lost, err := out.WriteLines([]byte("one\ntwo\nthree\nfour\n")); lost != 2 || err == nil {
		t.Errorf("lost %d, %v; want 2 and an error", lost, err)
	}
	if lost, err := out.WriteLines([]byte("five\n")); lost != 1 || err == nil {
		t.Errorf("still full: lost %d, %v", lost, err)
	}
	limit(1 << 30)
	if lost, err := out.WriteLines([]byte("six\nseven\n")); lost != 0 || err != nil {
		t.Errorf("lost %d, %v", lost, err)
	}
	if got, want := readFile(t, name), "one\ntwo\nth\nsix\nseven\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestClosedStdoutDoesNotEndTheProcess(t *testing.T) {
	if os.Getenv("TELEMETRY_EPIPE") != "" {
		l := NewAccessLog(openOutput(t, "stdout"), config.AccessJSON, AccessLogOptions{Interval: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		stop := running(t, l)
		for l.counts().writeErrors < 3 {
			l.Log(0, usualRecord())
			time.Sleep(time.Millisecond)
		}
		stop()
		os.Exit(42)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestClosedStdoutDoesNotEndTheProcess$")
	cmd.Env, cmd.Stdout = append(os.Environ(), "TELEMETRY_EPIPE=1"), w
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != 42 {
		t.Errorf("the process ended with %v", cmd.ProcessState)
	}
}

func TestAccessLogMetrics(t *testing.T) {
	out := openOutput(t, os.DevNull)
	defer out.Close()
	l := NewAccessLog(out, config.AccessJSON, AccessLogOptions{BufferBytes: 4 << 10})
	for range 10 { // Run does not run: the buffer fills
		l.Log(0, usualRecord())
	}
	want := `
# HELP gatehouse_access_log_dropped_lines_total Lines of the access log that were dropped, or lost in a failed write.
# TYPE gatehouse_access_log_dropped_lines_total counter
gatehouse_access_log_dropped_lines_total{reason="buffer_full"} 6
gatehouse_access_log_dropped_lines_total{reason="write_error"} 0
# HELP gatehouse_access_log_lines_total Lines formatted for the access log.
# TYPE gatehouse_access_log_lines_total counter
gatehouse_access_log_lines_total 4
# HELP gatehouse_access_log_write_errors_total Writes to the access log that failed.
# TYPE gatehouse_access_log_write_errors_total counter
gatehouse_access_log_write_errors_total 0
`
	if err := testutil.CollectAndCompare(l, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestLoggerFollowsItsOutput(t *testing.T) {
	var buf bytes.Buffer
	NewLogger(&buf, slog.LevelWarn).Warn("hello", "n", 1)
	NewLogger(&buf, slog.LevelWarn).Info("hidden")
	if got := buf.String(); !strings.HasPrefix(got, "{") || strings.Contains(got, "hidden") {
		t.Errorf("not a terminal: %q", got)
	}
}

func TestFormattedLinesAreAppended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "waf.log")
	out, err := OpenOutput(file)
	if err != nil {
		t.Fatal(err)
	}
	l := NewAccessLog(out, config.AccessJSON, AccessLogOptions{Name: "waf log", FlushTimeout: soon, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	l.Append(0, []byte("{\"a\":1}\n{\"b\":2}\n"))
	l.Append(3, bytes.Repeat([]byte("x"), maxLineSize+1))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "{\"a\":1}\n{\"b\":2}\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if n := l.counts().dropped; n != 1 {
		t.Errorf("%d lines dropped, want 1", n)
	}
}
