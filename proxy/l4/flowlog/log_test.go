package flowlog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/config"
	"gatehouse/proxy/l4"
)

// guard lets in whoever comes from an even port.
type guard struct{}

func (guard) Decide(t *l4.Tuple) (bool, string) {
	if t.Client.Port()%2 == 0 {
		return true, "even"
	}
	return false, "odd"
}

func (guard) Explain(*l4.Tuple) []string { return nil }

var (
	rule   = &l4.Rule{Name: "db", Frontend: "public", Life: new(l4.RuleLife)}
	member = &l4.Member{Name: "10.0.0.1", Life: new(l4.Life)}
)

func tuple(port uint16) l4.Tuple {
	return l4.Tuple{Protocol: l4.TCP, Client: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port), Frontend: netip.MustParseAddrPort("203.0.113.10:5432")}
}

// lab runs a log to a file within a bubble of time.
func lab(t *testing.T, conf config.FlowLog, guarded bool, f func(l *Log, flows *l4.Flows)) (file string) {
	file = filepath.Join(t.TempDir(), "flows.log")
	conf.Output = file
	synctest.Test(t, func(t *testing.T) {
		flows := &l4.Flows{}
		o := Options{Flows: flows, Log: slog.New(slog.DiscardHandler)}
		if guarded {
			o.Guard = func(string) (string, l4.Guard) { return "edge", guard{} }
		}
		l := New(o)
		flows.Log = l
		out, err := Open(&conf)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx)
		}()
		l.Use(out, conf.Interval)
		synctest.Wait()
		f(l, flows)
		cancel()
		<-done
	})
	return file
}

// tuples reads the groups of a log: ACL, rule, member and tuple without its time.
func tuples(t *testing.T, file string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var doc struct{ Records []record }
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, r := range doc.Records {
			if r.Version != 4 || r.Category != "FlowLogFlowEvent" || r.Target != "/rules/db" {
				t.Errorf("%+v", r)
			}
			for _, f := range r.FlowRecords.Flows {
				for _, g := range f.Groups {
					for _, text := range g.Tuples {
						_, rest, _ := strings.Cut(text, ",")
						list = append(list, fmt.Sprint(f.ACL, " ", g.Rule, " ", g.Member, " ", rest))
					}
				}
			}
		}
	}
	return list
}

func begin(flows *l4.Flows, port uint16) *l4.Flow {
	f := &l4.Flow{Tuple: tuple(port), Rule: rule, Member: member}
	flows.Add(f)
	return f
}

func TestTheLifeOfAFlow(t *testing.T) {
	file := lab(t, config.FlowLog{Interval: time.Minute}, true, func(l *Log, flows *l4.Flows) {
		f := begin(flows, 4000)
		f.Sent.Add(100)
		f.SentPackets.Add(2)
		time.Sleep(61 * time.Second)
		f.Sent.Add(11)
		f.SentPackets.Add(1)
		f.Received.Add(7)
		f.ReceivedPackets.Add(3)
		flows.Remove(f, l4.EndClosed)
		l.Refuse(tuple(4001), rule, l4.RefusedSecurity)
		l.Refuse(tuple(4002), rule, l4.RefusedNoMember)
	})
	want := []string{
		"edge even 10.0.0.1 198.51.100.7,203.0.113.10,4000,5432,6,I,B,NX,,,,",
		"edge even 10.0.0.1 198.51.100.7,203.0.113.10,4000,5432,6,I,C,NX,2,100,0,0",
		"edge even 10.0.0.1 198.51.100.7,203.0.113.10,4000,5432,6,I,E,NX,1,11,3,7",
		"edge odd  198.51.100.7,203.0.113.10,4001,5432,6,I,D,NX,,,,",
		"edge refused_no_member  198.51.100.7,203.0.113.10,4002,5432,6,I,D,NX,,,,",
	}
	if got := tuples(t, file); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFrontendWithoutAGroup(t *testing.T) {
	file := lab(t, config.FlowLog{Interval: time.Minute}, false, func(_ *Log, flows *l4.Flows) { begin(flows, 4000) })
	if got := tuples(t, file); len(got) != 1 || !strings.HasPrefix(got[0], "unspecified unspecified 10.0.0.1 ") {
		t.Errorf("%v", got)
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	l := New(Options{Flows: &l4.Flows{}, Log: slog.New(slog.DiscardHandler)})
	l.on.Store(true) // nobody runs it
	for range queued + 5 {
		l.Refuse(tuple(1), rule, l4.RefusedFlows)
	}
	if n := l.Stats().Dropped; n != 5 {
		t.Errorf("%d dropped", n)
	}
}

// A flow whose end was dropped is not kept for ever.
func TestDroppedEndsAreForgotten(t *testing.T) {
	l := New(Options{Flows: &l4.Flows{}, Log: slog.New(slog.DiscardHandler)})
	here, gone := &l4.Flow{}, &l4.Flow{}
	l.known[here], l.known[gone] = counts{sent: 1}, counts{sent: 2}
	for i, want := range []int{2, 1, 1} {
		l.forget([]*l4.Flow{here})
		if len(l.known) != want {
			t.Errorf("%d known after %d intervals, want %d", len(l.known), i+1, want)
		}
	}
}

func TestFilesRotate(t *testing.T) {
	file := lab(t, config.FlowLog{Interval: time.Hour, MaxSize: 1000, MaxFiles: 2}, false, func(_ *Log, flows *l4.Flows) {
		for i := range 8 {
			begin(flows, uint16(4000+i))
			time.Sleep(2 * time.Second)
		}
	})
	all, _ := filepath.Glob(file + "*")
	total := 0
	for _, f := range all {
		n := len(tuples(t, f))
		if info, _ := os.Stat(f); info.Size() > 1000 || n == 0 {
			t.Errorf("%s: %d bytes, %d tuples", f, info.Size(), n)
		}
		total += n
	}
	if len(all) != 3 || total > 8 || total < 6 {
		t.Errorf("%v with %d tuples of 8", all, total)
	}
}

func TestAFileIsReopened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "flows.log")
	f, err := Open(&config.FlowLog{Output: name, MaxSize: 1 << 20, MaxFiles: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(text string) {
		if err := f.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("two")
	for file, want := range map[string]string{name + ".old": "one\n", name: "two\n"} {
		if got, _ := os.ReadFile(file); string(got) != want {
			t.Errorf("%s: %q", file, got)
		}
	}
}

// An outage is told once, and its end too.
func TestAnOutageIsTold(t *testing.T) {
	var told bytes.Buffer
	lost := uint64(0)
	lab(t, config.FlowLog{Interval: time.Hour}, false, func(l *Log, flows *l4.Flows) {
		l.o.Log = slog.New(slog.NewTextHandler(&told, nil))
		l.sink.file.out.Close()
		begin(flows, 4000)
		time.Sleep(3 * time.Second)
		begin(flows, 4001)
		time.Sleep(3 * time.Second)
		lost = l.Stats().Lost
		out, err := Open(&config.FlowLog{Output: os.DevNull})
		if err != nil {
			t.Fatal(err)
		}
		l.Use(out, time.Hour)
		synctest.Wait()
		begin(flows, 4002)
		time.Sleep(3 * time.Second)
	})
	if text := told.String(); lost != 2 || strings.Count(text, "cannot be written") != 1 || strings.Count(text, "written again") != 1 {
		t.Errorf("%d lost; told:\n%s", lost, text)
	}
}
