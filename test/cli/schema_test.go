package cli

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"
)

// validator holds values against a JSON Schema, with the keywords that ours uses; another one is an error, so that none goes
// unnoticed.
type validator struct {
	root map[string]any
	errs []string
}

// file says what a YAML file violates.
func (v validator) file(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	v.check("", v.root, plain(value))
	return v.errs
}

// plain makes what YAML decodes to what JSON has.
func plain(value any) any {
	switch x := value.(type) {
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k, e := range x {
			out[fmt.Sprint(k)] = plain(e)
		}
		return out
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	case int:
		return float64(x)
	}
	return value
}

func (v *validator) fail(path, format string, args ...any) {
	v.errs = append(v.errs, path+": "+fmt.Sprintf(format, args...))
}

func (v *validator) check(path string, s map[string]any, value any) {
	for keyword, want := range s {
		switch keyword {
		case "$schema", "description", "default", "title", "properties", "patternProperties", "additionalProperties":
		case "type":
			v.checkType(path, want, value)
		case "enum":
			if !slices.Contains(want.([]any), value) {
				v.fail(path, "%v is none of %v", value, want)
			}
		case "const":
			if value != want {
				v.fail(path, "%v is not %v", value, want)
			}
		case "required":
			v.checkRequired(path, want.([]any), value)
		case "maxProperties":
			if m, ok := value.(map[string]any); ok && float64(len(m)) > want.(float64) {
				v.fail(path, "more than %v keys", want)
			}
		case "items", "minItems", "maxItems":
			v.checkList(path, keyword, want, value)
		case "oneOf", "not":
			v.checkLogic(path, keyword, want, value)
		default:
			v.checkScalar(path, keyword, want, value)
		}
	}
	if m, ok := value.(map[string]any); ok {
		v.checkObject(path, s, m)
	}
}

func (v *validator) checkType(path string, want, value any) {
	names := []any{want}
	if list, ok := want.([]any); ok {
		names = list
	}
	for _, name := range names {
		if is(name.(string), value) {
			return
		}
	}
	v.fail(path, "%v is not %v", value, want)
}

func is(name string, value any) bool {
	switch x := value.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && x == float64(int64(x))
	}
	return name == "null" && value == nil
}

func (v *validator) checkRequired(path string, names []any, value any) {
	if m, ok := value.(map[string]any); ok {
		for _, name := range names {
			if _, there := m[name.(string)]; !there {
				v.fail(path, "%v is missing: name it", name)
			}
		}
	}
}

func (v *validator) checkList(path, keyword string, want, value any) {
	list, ok := value.([]any)
	switch {
	case !ok:
	case keyword == "minItems" && float64(len(list)) < want.(float64):
		v.fail(path, "less than %v items", want)
	case keyword == "maxItems" && float64(len(list)) > want.(float64):
		v.fail(path, "more than %v items", want)
	case keyword == "items":
		for i, e := range list {
			v.check(fmt.Sprintf("%s[%d]", path, i), want.(map[string]any), e)
		}
	}
}

func (v *validator) checkLogic(path, keyword string, want, value any) {
	var matching int
	branches := []any{want}
	if keyword == "oneOf" {
		branches = want.([]any)
	}
	for _, s := range branches {
		try := validator{root: v.root}
		if try.check(path, s.(map[string]any), value); len(try.errs) == 0 {
			matching++
		}
	}
	if keyword == "oneOf" && matching != 1 || keyword == "not" && matching > 0 {
		v.fail(path, "%v: %s holds for %d", value, keyword, matching)
	}
}

func (v *validator) checkScalar(path, keyword string, want, value any) {
	text, isText := value.(string)
	number, isNumber := value.(float64)
	bad := false
	switch keyword {
	case "pattern":
		bad = isText && !regexp.MustCompile(want.(string)).MatchString(text)
	case "minLength":
		bad = isText && float64(len([]rune(text))) < want.(float64)
	case "maxLength":
		bad = isText && float64(len([]rune(text))) > want.(float64)
	case "minimum":
		bad = isNumber && number < want.(float64)
	case "maximum":
		bad = isNumber && number > want.(float64)
	default:
		v.fail(path, "the schema has a keyword that nobody checks: %s", keyword)
	}
	if bad {
		v.fail(path, "%v: %s %v", value, keyword, want)
	}
}

func (v *validator) checkObject(path string, s, m map[string]any) {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		where, known := path+"."+key, false
		if p, ok := properties[key]; ok {
			known = true
			v.check(where, p.(map[string]any), m[key])
		}
		for pattern, p := range patterns {
			if regexp.MustCompile(pattern).MatchString(key) {
				known = true
				v.check(where, p.(map[string]any), m[key])
			}
		}
		if !known && s["additionalProperties"] == false {
			v.fail(where, "no such key")
		}
	}
}
