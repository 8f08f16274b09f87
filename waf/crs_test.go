package waf

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v4"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/waf/body"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// crsTest is the input of one test of the Core Rule Set.
type crsTest struct {
	name     string
	req      *variables.Request
	body     string // as it was sent
	positive bool   // a rule must match it
}

// crsStage is what is used of a stage in the files.
type crsStage struct {
	Input struct {
		Method  string            `yaml:"method"`
		URI     string            `yaml:"uri"`
		Version string            `yaml:"version"`
		Headers map[string]string `yaml:"headers"`
		Ordered []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"ordered_headers"`
		Data     string `yaml:"data"`
		Encoded  string `yaml:"encoded_request"`
		Complete *bool  `yaml:"autocomplete_headers"`
	} `yaml:"input"`
	Output struct {
		Log struct {
			Expect []int `yaml:"expect_ids"`
		} `yaml:"log"`
	} `yaml:"output"`
}

// crsInputs are the inputs of all tests of the Core Rule Set, as parsed
// requests.
func crsInputs(t testing.TB) (list []crsTest) {
	err := fs.WalkDir(crstests.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := fs.ReadFile(crstests.FS, path)
		if err != nil {
			return err
		}
		var file struct {
			Rule  int `yaml:"rule_id"`
			Tests []struct {
				ID     int        `yaml:"test_id"`
				Stages []crsStage `yaml:"stages"`
			} `yaml:"tests"`
		}
		if err := yaml.Unmarshal(data, &file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, test := range file.Tests {
			for i := range test.Stages {
				req, sent := crsRequest(&test.Stages[i])
				list = append(list, crsTest{fmt.Sprintf("%d-%d.%d", file.Rule, test.ID, i), req, sent, len(test.Stages[i].Output.Log.Expect) > 0})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// crsRequest is the request of a stage, and its body.
func crsRequest(s *crsStage) (r *variables.Request, data string) {
	in := &s.Input
	if in.Encoded != "" {
		raw, _ := base64.StdEncoding.DecodeString(in.Encoded)
		return rawRequest(string(raw))
	}
	method, uri, version := in.Method, in.URI, in.Version
	if method == "" {
		method = "GET"
	}
	if uri == "" {
		uri = "/"
	}
	if version == "" {
		version = "HTTP/1.1"
	}
	var fields []variables.Pair
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		fields = append(fields, variables.Pair{Name: name, Value: in.Headers[name]})
	}
	for _, h := range in.Ordered {
		fields = append(fields, variables.Pair{Name: h.Name, Value: h.Value})
	}
	data = in.Data
	if slices.ContainsFunc(fields, func(f variables.Pair) bool { return strings.HasPrefix(f.Value, "multipart/form-data;") }) {
		data = strings.ReplaceAll(data, "\n", "\r\n") // as go-ftw, which the tests are written for, sends it
	}
	if data != "" && in.Complete == nil {
		fields = append(fields, variables.Pair{Name: "Content-Length", Value: fmt.Sprint(len(data))})
	}
	return request(method, uri, version, fields, data), data
}

// rawRequest takes a request apart, without judging it.
func rawRequest(raw string) (r *variables.Request, data string) {
	head, data, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	uri, version, _ := strings.Cut(rest, " ")
	var fields []variables.Pair
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		fields = append(fields, variables.Pair{Name: name, Value: strings.Trim(value, " \t")})
	}
	return request(method, uri, version, fields, data), data
}

// request is a request as the connector would have it, but for its limits.
func request(method, target, version string, fields []variables.Pair, data string) *variables.Request {
	path, query, _ := strings.Cut(target, "?")
	if _, absolute, ok := strings.Cut(path, "://"); ok && !strings.HasPrefix(path, "/") {
		_, path, _ = strings.Cut(absolute, "/")
		path = "/" + path
	}
	r := &variables.Request{Client: netip.MustParseAddrPort("192.0.2.1:40000"), Method: method, Target: target, Protocol: version,
		Line: method + " " + target + " " + version, Path: path, Query: query, Headers: fields}
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Cookie") {
			r.Cookies = body.Cookies(f.Value, r.Cookies)
		}
	}
	(&reader{}).target(r, 1000)
	kind := variables.None
	contentType, _ := r.Header("content-type")
	if k, _, err := body.KindOf(contentType); err == nil {
		kind = k
	}
	var truncated bool
	r.Body, truncated, _ = body.Parse(kind, contentType, data, body.Limits{Force: true})
	r.ArgsTruncated = r.ArgsTruncated || truncated
	return r
}

func testPolicy(level int) *config.WAFPolicy {
	return &config.WAFPolicy{Name: "test", Enabled: true, Mode: config.WAFDetection, RuleSet: config.RuleSet{
		Profile: config.ProfileCRS, Paranoia: level, DetectionParanoia: level, InboundThreshold: 5, OutboundThreshold: 4,
		MaxArgs: 255, ArgNameLength: 100, ArgLength: 400, TotalArgLength: 64000, MaxFileSize: 64100, CombinedFileSizes: 65535, ValidateUTF8: true}}
}

// TestTheIndexChangesNoJudgement judges inputs of the Core Rule Set's tests
// with and without the index.
func TestTheIndexChangesNoJudgement(t *testing.T) {
	oneGoroutine(t)
	var some []crsTest
	for i, in := range crsInputs(t) {
		if i%16 == 0 {
			some = append(some, in)
		}
	}
	sameJudgements(t, some, 1, 2)
}

// TestTheIndexChangesNoJudgementInTwentyRuns does so with every input, and
// also sees that no run differs from another: what matched must not depend on
// the order in which maps are walked.
func TestTheIndexChangesNoJudgementInTwentyRuns(t *testing.T) {
	testkit.Long(t)
	inputs := crsInputs(t)
	if len(inputs) < 4674 {
		t.Fatalf("only %d inputs", len(inputs))
	}
	for level, runs := range []int{1: 20, 2: 2, 3: 2, 4: 4} {
		if runs > 0 {
			t.Run(fmt.Sprint("level ", level), func(t *testing.T) { sameJudgements(t, inputs, level, runs) })
		}
	}
}

// sameJudgements judges inputs several times, with and without the index, on
// two processors.
func sameJudgements(t *testing.T, inputs []crsTest, level, runs int) {
	j, err := newJudge(testPolicy(level))
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
	var clean atomic.Int64
	var halves sync.WaitGroup
	for half := range 2 {
		halves.Go(func() {
			var e index.Evaluation
			for i := half; i < len(inputs); i += 2 {
				if !sameInRuns(t, j, &inputs[i], &e, runs) {
					clean.Add(1)
				}
			}
		})
	}
	halves.Wait()
	t.Logf("%d inputs, %d decided by the index alone", len(inputs), clean.Load())
}

// sameInRuns judges an input several times; it reports whether the engine was
// asked.
func sameInRuns(t *testing.T, j *judge, in *crsTest, e *index.Evaluation, runs int) (asked bool) {
	want := ""
	for run := range runs {
		for _, useIndex := range []bool{false, true} {
			got, err := j.request(in.name, in.req, nil, e, useIndex)
			if err != nil {
				t.Error(in.name, err)
				return true
			}
			asked = got.Asked
			switch text := summary(got); {
			case want == "":
				want = text
			case text != want:
				t.Errorf("%s, run %d, index %v:\n got  %s\n want %s", in.name, run, useIndex, text, want)
				return true
			}
		}
	}
	return asked
}

// summary is what must be the same.
func summary(j Judgement) string {
	var ids []int
	for _, m := range j.Matches {
		ids = append(ids, m.RuleID)
	}
	slices.Sort(ids)
	return fmt.Sprint(slices.Compact(ids), " score ", j.Score, " blocked ", j.Blocked, " by ", j.RuleID)
}
