package seclang

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
)

// crs is what a server with the Core Rule Set would load.
func crs(t testing.TB) []File {
	t.Helper()
	names := []string{"@coraza.conf-recommended", "@crs-setup.conf.example"}
	rules, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for _, name := range append(names, rules...) {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: path.Base(name), Text: string(text)})
	}
	return files
}

func mustApply(t testing.TB, files ...File) []Item {
	t.Helper()
	list, err := Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	items, err := Apply(list)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func TestCoreRuleSetIsUnderstoodAsByCoraza(t *testing.T) {
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(
		"Include @coraza.conf-recommended\nInclude @crs-setup.conf.example\nInclude @owasp_crs/*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	items := mustApply(t, crs(t)...)
	if len(items) < 600 {
		t.Errorf("only %d rules and markers", len(items))
	}
	compare(t, items, rulesOf(waf))
}

func TestCoreRuleSetDirectives(t *testing.T) {
	list, err := Parse(crs(t)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if d.Rule != nil && !strings.HasPrefix(d.Rule.Raw, d.Name) {
			t.Errorf("%s:%d: %s is said to be %.40s", d.File, d.Line, d.Name, d.Rule.Raw)
		}
	}
}
