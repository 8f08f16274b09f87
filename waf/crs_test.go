package waf

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"go.yaml.in/yaml/v4"

	"gatehouse/config"
	"gatehouse/waf/body"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// crsTest is the input of one test of the Core Rule Set.
type crsTest struct {
	name string
	req  *variables.Request
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
				list = append(list, crsTest{fmt.Sprintf("%d-%d.%d", file.Rule, test.ID, i), crsRequest(&test.Stages[i])})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func crsRequest(s *crsStage) *variables.Request {
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
	if in.Data != "" && in.Complete == nil {
		fields = append(fields, variables.Pair{Name: "Content-Length", Value: fmt.Sprint(len(in.Data))})
	}
	return request(method, uri, version, fields, in.Data)
}

// rawRequest takes a request apart, without judging it.
func rawRequest(raw string) *variables.Request {
	head, data, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	uri, version, _ := strings.Cut(rest, " ")
	var fields []variables.Pair
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		fields = append(fields, variables.Pair{Name: name, Value: strings.Trim(value, " \t")})
	}
	return request(method, uri, version, fields, data)
}

// request is a request as the connector would have it, but for its limits.
func request(method, target, version string, fields []variables.Pair, data string) *variables.Request {
	path, query, _ := strings.Cut(target, "?")
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

// TestTheIndexChangesNoJudgement judges every input of the Core Rule Set's
// tests with and without the index.
func TestTheIndexChangesNoJudgement(t *testing.T) {
	inputs := crsInputs(t)
	for level := 1; level <= 4; level++ {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			j, err := newJudge(testPolicy(level))
			if err != nil {
				t.Fatal(err)
			}
			defer j.release()
			clean := 0
			var e index.Evaluation
			for _, in := range inputs {
				plain, err := j.request(in.name, in.req, nil, false)
				if err != nil {
					t.Fatal(in.name, err)
				}
				fast, err := j.request(in.name, in.req, &e, true)
				if err != nil {
					t.Fatal(in.name, err)
				}
				if !fast.Asked {
					clean++
				}
				if a, b := summary(plain), summary(fast); a != b {
					t.Errorf("%s:\n without the index %s\n with it           %s", in.name, a, b)
				}
			}
			t.Logf("%d inputs, %d decided by the index alone", len(inputs), clean)
		})
	}
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
