package hygiene

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	namedKey  = regexp.MustCompile("`([a-z][A-Za-z0-9.\\[\\]]*)`")
)

// TestTestsThatDocumentsNameExist takes `TestX`, `proxy/l7.TestX` and, for the fuzz tests, `FuzzX`.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	tests := testsByPackage(t)
	for _, doc := range []string{"docs/features.md", "docs/trafficmgr-conformance.md"} {
		found := namedTest.FindAllStringSubmatch(string(read(t, doc)), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d tests", doc, len(found))
		}
		for _, name := range found {
			if !tests[name[1]][name[2]] {
				t.Errorf("%s: there is no test %s", doc, name[0])
			}
		}
	}
}

// testsByPackage has the names of tests by the directory they are in, and all of them under "".
func testsByPackage(t *testing.T) map[string]map[string]bool {
	t.Helper()
	tests := map[string]map[string]bool{"": {}}
	for _, name := range files(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		dir := path.Dir(name)
		if tests[dir] == nil {
			tests[dir] = map[string]bool{}
		}
		for _, f := range testFunc.FindAllStringSubmatch(string(read(t, name)), -1) {
			tests[dir][f[1]], tests[""][f[1]] = true, true
		}
	}
	return tests
}

func TestKeysOfFeaturesAreDocumented(t *testing.T) {
	keys := documentedKeys(string(read(t, "docs/configuration.md")))
	n := 0
	for _, line := range strings.Split(string(read(t, "docs/features.md")), "\n") {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 {
			continue
		}
		for _, key := range namedKey.FindAllStringSubmatch(cells[1], -1) {
			if n++; !keys[key[1]] {
				t.Errorf("docs/features.md: docs/configuration.md has no key %s", key[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("docs/features.md names %d keys", n)
	}
}

// documentedKeys are the first cells of a reference's tables, with the headings that they stand under.
func documentedKeys(text string) map[string]bool {
	heading := regexp.MustCompile("^#+ (?:`([A-Za-z0-9.\\[\\]]+)`|(The top level))")
	row := regexp.MustCompile("^\\| `([A-Za-z0-9]+)` \\|")
	keys, under := map[string]bool{}, "-"
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") {
			under = "-"
		}
		if m := heading.FindStringSubmatch(line); m != nil && m[2] != "" {
			under = ""
		} else if m != nil {
			under = m[1] + "."
		}
		if m := row.FindStringSubmatch(line); m != nil && under != "-" {
			keys[under+m[1]] = true
		}
	}
	return keys
}
