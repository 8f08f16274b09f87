package crs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	schema "github.com/coreruleset/ftw-tests-schema/v2/types"
	ftwconfig "github.com/coreruleset/go-ftw/v2/config"
	"github.com/coreruleset/go-ftw/v2/test"
	"github.com/rs/zerolog"
)

// bench is a gateway with what stands around it.
type bench struct {
	backend *backend
	log     *wafLog
	logging *gate // before the listener that only logs
	acting  *gate // before the listener that blocks
	ignored ignored
	tests   []*test.FTWTest
}

func newBench(t *testing.T) *bench {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled)
	b := &bench{backend: startBackend(t), ignored: readIgnored(t), tests: suite(t)}
	g := startGateway(t, b.backend.addr)
	var err error
	if b.log, err = openWAFLog(g); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.log.close)
	b.logging, b.acting = startGate(t, g.detection, b.log), startGate(t, g.prevention, b.log)
	return b
}

// TestCoreRuleSet runs the suite of the Core Rule Set twice: in detection, by
// the rules in the log, and in prevention, by what is blocked.
func TestCoreRuleSet(t *testing.T) {
	b := newBench(t)
	t.Run("detection logs the rules that are expected", b.detection)
	t.Run("prevention blocks what detection has scored", b.prevention)
	t.Run("what is refused reaches neither rules nor backend", b.refused)
	t.Run("what is only scored has its score in the log", b.scored)
	t.Run("every other expectation is needed", b.overridden)
}

// detection runs the suite in go-ftw's mode for logs.
func (b *bench) detection(t *testing.T) {
	rc := runnerConfig(t, b.logging, ftwconfig.DefaultRunMode)
	withOverrides(t, rc)
	began := time.Now()
	passed, failed := 0, 0
	skip := b.ignored.tests()
	for _, one := range b.tests {
		name := one.Tests[0].IdString()
		if skip[name] {
			delete(skip, name)
			continue
		}
		if problem := run(rc, one); problem != "" {
			failed++
			t.Errorf("%s: %s: %s", name, problem, b.logging.result(name))
			continue
		}
		passed++
	}
	if err := b.logging.failure(); err != nil {
		t.Error(err)
	}
	for name := range skip {
		t.Errorf("ignored.yaml has %s, which is not in the suite", name)
	}
	b.summary(passed, failed, time.Since(began))
}

// summary prints what has become of the suite.
func (b *bench) summary(passed, failed int, took time.Duration) {
	ignored := len(b.ignored.tests())
	fmt.Printf("Core Rule Set: %d tests in %v: %d passed, %d failed, %d ignored\n",
		passed+failed+ignored, took.Round(time.Second), passed, failed, ignored)
	for _, g := range b.ignored {
		fmt.Printf("  %2d ignored: %s\n", len(g.Tests), g.Reason)
	}
}

// prevention runs the suite in go-ftw's mode for firewalls whose log cannot be
// seen, after detection. That mode judges by the status alone; what it has to
// be is taken from what detection has logged.
func (b *bench) prevention(t *testing.T) {
	rc := runnerConfig(t, b.acting, ftwconfig.CloudRunMode)
	skip := b.ignored.tests()
	blocked, refused, passed := 0, 0, 0
	for _, one := range b.tests {
		name := one.Tests[0].IdString()
		results := b.logging.results[name]
		if skip[name] || len(results) < len(one.Tests[0].Stages) {
			continue // ignored, or failed already
		}
		results = results[len(results)-len(one.Tests[0].Stages):]
		want := results[len(results)-1].inPrevention()
		if want < 400 && len(one.Tests[0].Stages[len(results)-1].Output.Log.ExpectIds) > 0 {
			t.Errorf("%s: the rules that are expected have no score: %s", name, results[len(results)-1])
		}
		for i := range one.Tests[0].Stages {
			stage := &one.Tests[0].Stages[i]
			stage.Output.Status, stage.Output.ExpectError, stage.Output.RetryOnce = results[i].inPrevention(), nil, nil
		}
		problem := run(rc, one)
		if status := b.acting.lastStatus(); status != want || problem != "" {
			t.Errorf("%s: status %d, want %d; detection: %s", name, status, want, results[len(results)-1])
			continue
		}
		switch want {
		case 403:
			blocked++
		case 400:
			refused++
		default:
			passed++
		}
	}
	fmt.Printf("Core Rule Set, prevention: %d blocked, %d refused, %d let pass\n", blocked, refused, passed)
	if blocked < 4000 {
		t.Errorf("only %d tests are blocked", blocked)
	}
}

// refused sends what overrides.yaml says that the gateway refuses.
func (b *bench) refused(t *testing.T) {
	rc := runnerConfig(t, b.acting, ftwconfig.CloudRunMode)
	for _, o := range overrides(t) {
		for _, id := range o.TestIds {
			if o.Output.Status != 0 {
				b.reachesNothing(t, rc, fmt.Sprint(o.RuleId, "-", id), o.Output.Status)
			}
		}
	}
}

// reachesNothing sends a test, which must get the status before any rule or
// backend has seen it.
func (b *bench) reachesNothing(t *testing.T, rc *ftwconfig.RunnerConfig, name string, status int) {
	t.Helper()
	if _, err := b.log.next(); err != nil {
		t.Fatal(err)
	}
	before := b.backend.received.Load()
	problem := run(rc, b.expecting(t, name, schema.Output{Status: status}))
	if got := b.acting.lastStatus(); got != status || problem != "" {
		t.Errorf("%s: status %d, want %d (%s)", name, got, status, problem)
	}
	if n := b.backend.received.Load() - before; n > 0 {
		t.Errorf("%s: %d bytes have reached the backend", name, n)
	}
	if list, err := b.log.next(); err != nil || len(list) > 0 {
		t.Errorf("%s: the firewall has seen it: %v, %v", name, list, err)
	}
}

// scored sends what is ignored because its rule only reports a score.
func (b *bench) scored(t *testing.T) {
	rc := runnerConfig(t, b.logging, ftwconfig.DefaultRunMode)
	for _, g := range b.ignored {
		for _, name := range g.Tests {
			if problem := run(rc, b.expecting(t, name, schema.Output{Status: 200})); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
			if r := b.logging.result(name); r == nil || !slices.ContainsFunc(r.log, func(e entry) bool { return e.Outcome != "" && e.Score > 0 }) {
				t.Errorf("%s: no score in %s", name, r)
			}
		}
	}
}

// overridden runs the tests of overrides.yaml as the suite has them: each must
// fail.
func (b *bench) overridden(t *testing.T) {
	rc := runnerConfig(t, b.logging, ftwconfig.DefaultRunMode)
	original := suite(t)
	for _, o := range overrides(t) {
		for _, id := range o.TestIds {
			name := fmt.Sprint(o.RuleId, "-", id)
			if one := named(original, name); one == nil || run(rc, one) == "" {
				t.Errorf("%s: there is no such test, or it passes without the override", name)
			}
		}
	}
}

// expecting is a test with another expectation.
func (b *bench) expecting(t *testing.T, name string, out schema.Output) *test.FTWTest {
	t.Helper()
	one := named(b.tests, name)
	if one == nil {
		t.Fatalf("%s is not in the suite", name)
	}
	for i := range one.Tests[0].Stages {
		one.Tests[0].Stages[i].Output = out
	}
	return one
}

func named(list []*test.FTWTest, name string) *test.FTWTest {
	i := slices.IndexFunc(list, func(f *test.FTWTest) bool { return f.Tests[0].IdString() == name })
	if i < 0 {
		return nil
	}
	return list[i]
}

// result is what became of one stage of a test.
type result struct {
	status int // of the answer; 0: none
	log    []entry
}

// String is a result for people.
func (r *result) String() string {
	if r == nil {
		return "no result"
	}
	var ids []string
	for i := range r.log {
		if r.log[i].Outcome == "" {
			ids = append(ids, r.log[i].RuleID)
		}
	}
	return fmt.Sprintf("status %d, rules [%s]", r.status, strings.Join(ids, " "))
}

// protocolRules refuse what cannot be read in one way, whatever the score.
var protocolRules = []string{"200002", "200003", "200004", "200009"}

// inPrevention is the status that the same request must get in prevention.
func (r *result) inPrevention() int {
	scored := false
	for i := range r.log {
		if slices.Contains(protocolRules, r.log[i].RuleID) {
			return 400
		}
		scored = scored || r.log[i].Score > 0
	}
	if scored {
		return 403
	}
	return r.status
}
