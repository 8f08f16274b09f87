package config

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func readDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Complete files load without a warning; those marked as fragments decode.
func TestExamplesOfTheDocumentation(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```yaml( fragment)?\n(.*?)^```$").FindAllStringSubmatch(readDoc(t), -1)
	if len(blocks) < 6 || strings.Count(readDoc(t), "```yaml") != len(blocks) {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		fragment, text := block[1] != "", block[2]
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if wrong := validate(loadSchema(t), asJSON(t, text), ""); wrong != "" {
				t.Errorf("schema: %s", wrong)
			}
			if fragment {
				checkFragment(t, text)
				return
			}
			if _, warnings, err := ParseGateway("doc.yaml", []byte(text)); err != nil || len(warnings) > 0 {
				t.Errorf("errors %v, warnings %v", err, warnings)
			}
		})
	}
}

// checkFragment decodes without asking whether all names are there.
func checkFragment(t *testing.T, text string) {
	t.Helper()
	r := newReport("doc.yaml")
	root := parseTree(r, []byte(text), gatewayHint)
	if root != nil {
		gatewayObject().read(cursor{d: &decoder{report: r}, node: root}, &Gateway{})
	}
	if err := r.errors(); err != nil {
		t.Error(err)
	}
}

// rows are the keys that a section of the document has, with their lines.
func rows(t *testing.T, doc, path string) map[string]string {
	t.Helper()
	heading := "## `" + path + "`"
	if path == "" {
		heading = "## The top level"
	}
	_, text, ok := strings.Cut(doc, heading)
	if !ok {
		t.Errorf("no section %s", heading)
		return nil
	}
	text, _, _ = strings.Cut(text, "\n##")
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z0-9]+)` \\|.*$").FindAllStringSubmatch(text, -1) {
		if strings.Count(m[0], " |") >= 5 { // not the table of TLS policies
			out[m[1]] = m[0]
		}
	}
	return out
}

func TestEveryKeyIsDocumentedWithItsDefault(t *testing.T) {
	compareDoc(t, readDoc(t), sections(loadSchema(t), "", "%s"))
}

func compareDoc(t *testing.T, doc string, all []section) {
	t.Helper()
	for _, sec := range all {
		got := rows(t, doc, sec.path)
		if want := slices.Sorted(maps.Keys(sec.keys)); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("section %q has rows %v, the decoder knows %v", sec.path, slices.Sorted(maps.Keys(got)), want)
		}
		for key, s := range sec.keys {
			if def := documented(s["default"]); !strings.Contains(got[key], def) {
				t.Errorf("%s.%s: default %s is not in its row %s", sec.path, key, def, got[key])
			}
			if s["not"] != nil && !strings.Contains(got[key], "| reserved |") {
				t.Errorf("%s.%s is reserved, its row does not say so", sec.path, key)
			}
			if slices.Contains(sec.must, any(key)) && !strings.Contains(got[key], "| required |") {
				t.Errorf("%s.%s is required, its row does not say so", sec.path, key)
			}
		}
	}
}

// documented is how a table shows a default; none is shown of a mapping.
func documented(def any) string {
	switch def := def.(type) {
	case nil, map[string]any:
		return ""
	case []any:
		var words []string
		for _, x := range def {
			words = append(words, fmt.Sprint(x))
		}
		return "| `[" + strings.Join(words, ", ") + "]` |"
	case float64:
		return "| `" + strconv.FormatFloat(def, 'f', -1, 64) + "` |"
	default:
		return fmt.Sprintf("| `%v` |", def)
	}
}

// The example that fixes all names loads.
func TestNamesExample(t *testing.T) {
	data, err := os.ReadFile("testdata/names.yaml")
	if err != nil {
		t.Fatal(err)
	}
	g, _ := mustParse(t, string(data))
	if len(g.Listeners) != 2 || len(g.Rules) != 2 || !g.Listeners[1].HTTP2 || len(g.WAFPolicies) != 1 || len(g.WAFPolicies[0].CustomRules) != 2 ||
		len(g.RewriteSets) != 1 || g.PathMaps[0].Paths[0].RewriteSet != "strip" {
		t.Errorf("got %+v", g)
	}
}
