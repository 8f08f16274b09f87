package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func directorSchema(t *testing.T) map[string]any { return readSchema(t, TrafficManagerSchema()) }

func directorErrors(t *testing.T, text string) string {
	t.Helper()
	_, _, err := ParseTrafficManager("f", []byte(text))
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDirectorSchemaAcceptsWhatTheDecoderAccepts(t *testing.T) {
	for _, text := range []string{director, everyDirectorKey} {
		if wrong := validate(directorSchema(t), asJSON(t, text), ""); wrong != "" {
			t.Error(wrong)
		}
	}
}

// Of the refused configurations, the schema sees what one key alone tells.
func TestDirectorSchemaRefusesBadValues(t *testing.T) {
	for _, text := range []string{
		"zonez: []", "zones: [{file: a}]", "listen: []", "listen: [{address: 53, protocols: [quic]}]", "nsid: " + strings.Repeat("x", 65), "limits: {udpSize: 4097}",
		"profiles: [{name: a}]", "profiles: [{name: a, routing: best}]", "profiles: [{name: a, routing: weighted, maxReturn: 11}]", "profiles: [{name: a, routing: weighted, degradedTTL: half}]",
		"profiles: [{name: a, routing: weighted, monitor: {toleratedFailures: 10}}]", "profiles: [{name: a, routing: weighted, monitor: {headers: {'a b': c}}}]",
		"profiles: [{name: a, routing: weighted, monitor: {headers: {a: b, b: b, c: b, d: b, e: b, f: b, g: b, h: b, i: b}}}]",
		"profiles: [{name: a, routing: weighted, endpoints: [{name: a, target: b, weight: 1001}]}]", "profiles: [{name: a, routing: weighted, endpoints: [{name: a, target: b, monitor: {port: 0}}]}]",
	} {
		if validate(directorSchema(t), asJSON(t, text), "") == "" {
			t.Errorf("%s: accepted", text)
		}
		if directorErrors(t, text) == "" {
			t.Errorf("%s: accepted by ParseTrafficManager", text)
		}
	}
}

func TestDirectorSchemaAndDecoderKnowTheSameKeys(t *testing.T) {
	all := sections(directorSchema(t), "", "%s")
	if len(all) < 20 {
		t.Fatalf("only %d sections", len(all))
	}
	compareKeys(t, all, directorErrors)
	if n := checkDefaults(t, directorSchema(t)); n < 50 {
		t.Errorf("only %d defaults", n)
	}
}

func readDirectorDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/trafficmgr-configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryDirectorKeyIsDocumentedWithItsDefault(t *testing.T) {
	compareDoc(t, readDirectorDoc(t), sections(directorSchema(t), "", "%s"))
}

func TestExamplesOfTheDirectorsDocumentation(t *testing.T) {
	testExamples(t, readDirectorDoc(t), directorSchema(t), ParseTrafficManager)
}

// testExamples wants each complete file of a document to load without a
// warning, and its fragments to decode.
func testExamples[T any](t *testing.T, doc string, s map[string]any, parse parser[T]) {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```yaml( fragment)?\n(.*?)^```$").FindAllStringSubmatch(doc, -1)
	if len(blocks) < 5 || strings.Count(doc, "```yaml") != len(blocks) {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		if wrong := validate(s, asJSON(t, block[2]), ""); wrong != "" {
			t.Errorf("example %d: schema: %s", i, wrong)
		}
		_, warnings, err := parse("doc.yaml", []byte(block[2]))
		if block[1] != "" {
			err, warnings = apartFromReferences(err), nil
		}
		if err != nil || len(warnings) > 0 {
			t.Errorf("example %d: errors %v, warnings %v", i, err, warnings)
		}
	}
}

// apartFromReferences drops what a fragment refers to and lacks.
func apartFromReferences(err error) error {
	var all, rest Errors
	errors.As(err, &all)
	for _, e := range all {
		if !strings.HasPrefix(e.Message, "there is no ") {
			rest = append(rest, e)
		}
	}
	if rest == nil {
		return nil
	}
	return rest
}

// Whatever the bytes: no panic, errors that point into the file, and what is
// accepted stands up to the same checks again.
func FuzzParseTrafficManager(f *testing.F) {
	for _, tt := range refusedDirectors {
		f.Add([]byte(tt.text))
	}
	for _, tt := range suspiciousDirectors {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(director))
	f.Add([]byte(everyDirectorKey))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m := judged(t, data, ParseTrafficManager); m != nil {
			directs(t, m, data)
		}
	})
}

// judged wants what is refused to be refused with places, in order, and what
// is accepted to be the same the next time, and returns that.
func judged[T any](t *testing.T, data []byte, parse parser[T]) *T {
	t.Helper()
	m, warnings, err := parse("f.yaml", data)
	for _, w := range warnings {
		inFile(t, data, Error(w))
	}
	if err == nil {
		again, _, err := parse("f.yaml", bytes.Clone(data))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("parsed twice, got two results: %v", err)
		}
		return m
	}
	var all Errors
	if m != nil || !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("configuration %v beside error %v", m, err)
	}
	inOrder(t, data, all)
	return nil
}

func directs(t *testing.T, m *TrafficManager, data []byte) {
	t.Helper()
	r := newReport("f.yaml")
	before := fmt.Sprintf("%+v", m)
	finishTrafficManager(m, r)
	checkTrafficManager(m, r)
	if err := r.errors(); err != nil {
		t.Errorf("accepted, then refused: %v", err)
	}
	if after := fmt.Sprintf("%+v", m); after != before {
		t.Errorf("changed by a second pass:\n%s\n%s", before, after)
	}
	for _, p := range m.Profiles {
		for _, e := range p.Endpoints {
			if places := btoi(e.Address.IsValid()) + btoi(e.Host != "") + btoi(e.Profile != ""); places != 1 {
				t.Errorf("endpoint %s leads to %d places", e.Name, places)
			}
		}
		if p.Monitor.Timeout > p.Monitor.Interval || p.DegradedTTL > p.TTL || p.Zone != "" && len(fullName(&p)) > 253 {
			t.Errorf("profile %+v", p)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The worst that one file can hold takes time and memory in proportion to it.
func TestLargeTrafficManagers(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i+1)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"profiles": "zones: [{name: a, file: z}]\nprofiles:\n" + repeat(10_000, "- {name: p%d, zone: a, routing: weighted, endpoints: [{name: e%d, target: 10.0.0.1}]}\n"),
		"a chain":  "profiles:\n" + repeat(30_000, "- {name: p%d, routing: weighted, endpoints: [{name: a, profile: p%d}]}\n"),
		"circles":  "profiles:\n" + repeat(30_000, "- {name: p%d, routing: weighted, endpoints: [{name: a, profile: p%d}, {name: b, profile: p0}]}\n"),
		"subnets":  "profiles: [{name: a, routing: subnet, endpoints: [{name: a, target: 10.0.0.1, subnets: [" + repeat(50_000, "'::%x-::%x', ") + "]}, {name: b, target: 10.0.0.2, subnets: [" + repeat(50_000, "'::%x-::%x', ") + "]}]}]\n",
	} {
		start := time.Now()
		m, _, err := ParseTrafficManager("f", []byte(text))
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: took %v", name, took)
		}
		if name == "profiles" && (err != nil || len(m.Profiles) != 10_000) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "profiles" && err == nil {
			t.Errorf("%s: accepted", name)
		}
		t.Logf("%s: %d bytes in %v", name, len(text), time.Since(start))
	}
}
