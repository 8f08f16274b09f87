package dns

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// The tests that the page about conformance names are there.
func TestNamedTestsAreThere(t *testing.T) {
	root := testkit.ModuleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "trafficmgr-conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range []string{"test/dns", "dnslb/zone"} {
		files, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	for _, n := range names {
		if !strings.Contains(source.String(), "func "+n[1]+"(") {
			t.Errorf("there is no %s", n[1])
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d tests are named", len(names))
	}
}
