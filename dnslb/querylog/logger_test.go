package querylog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/telemetry"
)

var _ Output = (*telemetry.Output)(nil)

func TestRecordsAreWrittenWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &memory{}
		l := New(Options{Output: out, Interval: 30 * time.Millisecond})
		lane, r := l.Lane(), sample()
		lane.Put(&r)
		time.Sleep(29 * time.Millisecond)
		synctest.Wait()
		if out.String() != "" {
			t.Error("the record did not wait for company")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if countLines([]byte(out.String())) != 1 {
			t.Error("the record was not written")
		}
		closeLog(t, l)
		if !out.closed {
			t.Error("the output is open still")
		}
	})
}

func TestUseChangesFilesWithoutLoss(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries.log")
	open := func() *telemetry.Output {
		out, err := telemetry.OpenOutput(path)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l := New(Options{Output: open(), Interval: time.Hour})
	lane, r := l.Lane(), sample()
	lane.Put(&r)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	l.Use(open(), 1, "")
	for l.Stats().Written == 0 { // adopted: what was put before is in the old file
		time.Sleep(time.Millisecond)
	}
	lane.Put(&r)
	lane.Put(&r)
	closeLog(t, l)
	for name, want := range map[string]int{path + ".old": 1, path: 2} {
		if text, err := os.ReadFile(name); err != nil || countLines(text) != want {
			t.Errorf("%s: %d lines, %v; want %d", filepath.Base(name), countLines(text), err, want)
		}
	}
}

func TestCloseGivesUpOnAnOutputThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &memory{held: make(chan struct{})}
		l := New(Options{Output: out})
		lane, r := l.Lane(), sample()
		lane.Put(&r)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want the deadline", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
		close(out.held)
	})
}

func TestFailedWritesAreCounted(t *testing.T) {
	out := &memory{err: errors.New("disk full")}
	l := New(Options{Output: out, Logger: quiet()})
	lane, r := l.Lane(), sample()
	lane.Put(&r)
	lane.Put(&r)
	closeLog(t, l)
	if s := l.Stats(); s.Failed != 2 || s.Written != 0 {
		t.Errorf("failed %d, written %d; want 2, 0", s.Failed, s.Written)
	}
}
