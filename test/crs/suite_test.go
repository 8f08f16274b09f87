package crs

import (
	"io"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	schema "github.com/coreruleset/ftw-tests-schema/v2/types"
	overridesschema "github.com/coreruleset/ftw-tests-schema/v2/types/overrides"
	ftwconfig "github.com/coreruleset/go-ftw/v2/config"
	"github.com/coreruleset/go-ftw/v2/output"
	"github.com/coreruleset/go-ftw/v2/runner"
	"github.com/coreruleset/go-ftw/v2/test"
)

// suite are the tests of the Core Rule Set, each alone: go-ftw ends a run at
// the first answer that it cannot read.
func suite(t *testing.T) (list []*test.FTWTest) {
	t.Helper()
	err := fs.WalkDir(crstests.FS, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		data, err := fs.ReadFile(crstests.FS, name)
		if err != nil {
			return err
		}
		file, err := test.GetTestFromYaml(data, path.Base(name))
		if err != nil {
			return err
		}
		for _, one := range file.Tests {
			alone := *file
			alone.Tests = []schema.Test{one}
			list = append(list, &alone)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 4000 {
		t.Fatalf("only %d tests: the suite is not whole", len(list))
	}
	return list
}

// runnerConfig is how go-ftw works.
func runnerConfig(t *testing.T, g *gate, mode ftwconfig.RunMode) *ftwconfig.RunnerConfig {
	t.Helper()
	host, p, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	rc := ftwconfig.NewRunnerConfiguration(&ftwconfig.FTWConfiguration{
		LogFile: g.ftwLog, LogMarkerHeaderName: markerField, RunMode: mode, MaxMarkerRetries: 3, MaxMarkerLogLines: 500,
		TestOverride: ftwconfig.FTWTestOverride{Overrides: ftwconfig.Overrides{DestAddr: &host, Port: &port}},
	})
	rc.ReadTimeout = 10 * time.Second
	return rc
}

// withOverrides has the expectations of overrides.yaml apply.
func withOverrides(t *testing.T, rc *ftwconfig.RunnerConfig) {
	t.Helper()
	if err := rc.LoadPlatformOverrides("overrides.yaml"); err != nil {
		t.Fatal(err)
	}
}

// overrides are the entries of overrides.yaml.
func overrides(t *testing.T) []overridesschema.TestOverride {
	t.Helper()
	var rc ftwconfig.RunnerConfig
	withOverrides(t, &rc)
	return rc.PlatformOverrides.TestOverrides
}

// run runs a test; problem is empty when it has passed.
func run(rc *ftwconfig.RunnerConfig, one *test.FTWTest) (problem string) {
	res, err := runner.Run(rc, []*test.FTWTest{one}, output.NewOutput("quiet", io.Discard))
	switch {
	case err != nil:
		return err.Error()
	case len(res.Stats.Success) != 1:
		return "not as expected"
	}
	return ""
}
