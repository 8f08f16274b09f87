package hygiene

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// direct lists the modules that our code imports or runs as a tool, whatever the comments in go.mod say.
func direct(t *testing.T) (used, required []string) {
	t.Helper()
	mod := string(read(t, "go.mod"))
	for _, m := range regexp.MustCompile(`(?m)^\s+(?:require )?(\S+) v\d\S*`).FindAllStringSubmatch(mod, -1) {
		required = append(required, m[1])
	}
	var packages []string
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:tool )(\S+)$`).FindAllStringSubmatch(mod, -1) {
		packages = append(packages, m[1])
	}
	for _, s := range sources(t) {
		for _, spec := range s.file.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			packages = append(packages, imp)
		}
	}
	for _, m := range required {
		if slices.ContainsFunc(packages, func(p string) bool { return p == m || strings.HasPrefix(p, m+"/") }) {
			used = append(used, m)
		}
	}
	return used, required
}

func TestEveryDependencyHasAReason(t *testing.T) {
	used, required := direct(t)
	var explained []string
	for _, m := range regexp.MustCompile("(?m)^## `?([^`\\s]+)`?").FindAllStringSubmatch(string(read(t, "docs/dependencies.md")), -1) {
		explained = append(explained, m[1])
	}
	if len(used) == 0 || len(explained) == 0 {
		t.Fatalf("%d modules used, %d explained: the test reads the wrong files", len(used), len(explained))
	}
	for _, m := range used {
		if !slices.Contains(explained, m) {
			t.Errorf("docs/dependencies.md has no heading for %s", m)
		}
	}
	for _, m := range explained {
		if !slices.Contains(required, m) {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", m)
		}
	}
}
