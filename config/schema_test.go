package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// loadSchema is Schema as an editor would see it.
func loadSchema(t *testing.T) map[string]any { return readSchema(t, Schema()) }

func readSchema(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// validate is as much of JSON Schema as ours uses; an unknown keyword fails,
// so that it cannot come to use more without being tested. It returns what is
// wrong, "" if nothing is.
func validate(s map[string]any, v any, path string) string {
	for _, word := range slices.Sorted(maps.Keys(s)) {
		if wrong := validateWord(s, word, s[word], v); wrong != "" {
			return path + ": " + wrong
		}
	}
	switch v := v.(type) {
	case map[string]any:
		return validateProperties(s, v, path)
	case []any:
		for i, item := range v {
			if items, ok := s["items"].(map[string]any); ok {
				if wrong := validate(items, item, fmt.Sprintf("%s[%d]", path, i)); wrong != "" {
					return wrong
				}
			}
		}
	}
	return ""
}

func validateWord(s map[string]any, word string, arg, v any) string {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	ok := true
	switch word {
	case "$schema", "title", "description", "default", "properties", "patternProperties", "additionalProperties", "items":
	case "type":
		types, several := arg.([]any)
		if !several {
			types = []any{arg}
		}
		ok = slices.ContainsFunc(types, func(t any) bool { return hasType(t.(string), v) })
	case "enum":
		ok = slices.Contains(arg.([]any), v)
	case "const":
		ok = arg == v
	case "pattern":
		ok = !isText || regexp.MustCompile(arg.(string)).MatchString(text)
	case "minLength":
		ok = !isText || len(text) >= int(arg.(float64))
	case "maxLength":
		ok = !isText || len(text) <= int(arg.(float64))
	case "minimum":
		ok = !isNumber || number >= arg.(float64)
	case "maximum":
		ok = !isNumber || number <= arg.(float64)
	case "minItems":
		list, isList := v.([]any)
		ok = !isList || len(list) >= int(arg.(float64))
	case "maxItems":
		list, isList := v.([]any)
		ok = !isList || len(list) <= int(arg.(float64))
	case "maxProperties":
		m, isMap := v.(map[string]any)
		ok = !isMap || len(m) <= int(arg.(float64))
	case "required":
		for _, key := range arg.([]any) {
			if m, isMap := v.(map[string]any); isMap && m[key.(string)] == nil {
				ok = false
			}
		}
	case "oneOf":
		n := 0
		for _, alt := range arg.([]any) {
			if validate(alt.(map[string]any), v, "") == "" {
				n++
			}
		}
		ok = n == 1
	case "not":
		ok = validate(arg.(map[string]any), v, "") != ""
	default:
		return "unknown keyword " + word
	}
	if !ok {
		return fmt.Sprintf("%v breaks %s %v", v, word, arg)
	}
	return ""
}

func hasType(want string, v any) bool {
	switch v := v.(type) {
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "integer" && v == math.Trunc(v)
	case map[string]any:
		return want == "object"
	case []any:
		return want == "array"
	}
	return false
}

func validateProperties(s, v map[string]any, path string) string {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(v)) {
		sub, ok := properties[key].(map[string]any)
		for pattern, p := range patterns {
			if regexp.MustCompile(pattern).MatchString(key) {
				sub, ok = p.(map[string]any), true
			}
		}
		if !ok && s["additionalProperties"] == false {
			return path + ": no key " + key
		}
		if wrong := validate(sub, v[key], path+"."+key); ok && wrong != "" {
			return wrong
		}
	}
	return ""
}

// asJSON is YAML as an editor's schema checker sees it.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Load([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return jsonValue(v)
}

func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = jsonValue(x)
		}
		return out
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			out[fmt.Sprint(k)] = jsonValue(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = jsonValue(x)
		}
		return out
	case int:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}

func TestSchemaAcceptsWhatTheDecoderAccepts(t *testing.T) {
	s := loadSchema(t)
	for _, text := range []string{web, everything, everyFirewallKey, everyRewriteKey, everyMatchKey, web + firewalls} {
		if wrong := validate(s, asJSON(t, text), ""); wrong != "" {
			t.Error(wrong)
		}
	}
}

// Of the refused configurations, the schema sees what one key alone tells.
func TestSchemaRefusesBadValues(t *testing.T) {
	for _, text := range []string{
		"listenners: []", "limits: {fields: 0}", "limits: {fields: '5'}", "limits: {headTimeout: 30}", "limits: {headBytes: 1TiB}",
		"logs: {access: {format: xml}}", "listeners: [{name: a}]", "listeners: [{name: a, address: 1, http3: 3}]", "errorPages: {200: a}",
		"listeners: [{name: a, address: 1, protocol: udp}]", "rewriteSets: [{name: a, rules: []}]", "wafPolicies: [{name: a, mode: blocking}]", "wafPolicies: [{name: a, verifySample: 1}]", "wafPolicies: [{name: a, ruleSet: {allowedMethods: [get]}}]", "backendPools: [{name: a, targets: [{weight: 1}]}]",
		"backendPools: [{name: a, balance: p3c}]", "pathMaps: [{name: a, default: {}, paths: [{paths: [/*.jpg]}]}]", "rules: [{name: a, listener: b, priority: 20001}]",
	} {
		if validate(loadSchema(t), asJSON(t, text), "") == "" {
			t.Errorf("%s: accepted", text)
		}
		if _, _, err := ParseGateway("f", []byte(text)); err == nil {
			t.Errorf("%s: accepted by ParseGateway", text)
		}
	}
}

// section is a mapping of the schema: where it is and what its keys are.
type section struct {
	path string // as in the documentation: listeners[].tls
	wrap string // YAML around the mapping: %s stands for it
	keys map[string]map[string]any
	must []any
}

// sections walks every mapping of the schema.
func sections(s map[string]any, path, wrap string) (out []section) {
	switch {
	case s["properties"] != nil:
		sec := section{path: path, wrap: wrap, keys: map[string]map[string]any{}}
		sec.must, _ = s["required"].([]any)
		for key, sub := range s["properties"].(map[string]any) {
			sec.keys[key] = sub.(map[string]any)
			subPath := strings.TrimPrefix(path+"."+key, ".")
			out = append(out, sections(sec.keys[key], subPath, fmt.Sprintf(wrap, "{"+key+": %s}"))...)
		}
		return append(out, sec)
	case s["items"] != nil:
		return sections(s["items"].(map[string]any), path+"[]", fmt.Sprintf(wrap, "[%s]"))
	case s["oneOf"] != nil:
		for _, alt := range s["oneOf"].([]any) {
			out = append(out, sections(alt.(map[string]any), path, wrap)...)
		}
	}
	return out
}

func TestSchemaAndDecoderKnowTheSameKeys(t *testing.T) {
	all := sections(loadSchema(t), "", "%s")
	if len(all) < 25 {
		t.Fatalf("only %d sections", len(all))
	}
	compareKeys(t, all, decodeErrors)
}

// compareKeys compares the keys of a schema with those that a decoder knows,
// of which it tells what it finds wrong.
func compareKeys(t *testing.T, all []section, decodeErrors func(t *testing.T, text string) string) {
	t.Helper()
	for _, sec := range all {
		for key, s := range sec.keys {
			text := fmt.Sprintf(sec.wrap, "{"+key+": []}")
			if msg := decodeErrors(t, text); strings.Contains(msg, "unknown key") {
				t.Errorf("%s.%s is in the schema, the decoder says %s", sec.path, key, msg)
			}
			if reserved := s["not"] != nil; reserved != strings.Contains(decodeErrors(t, text), key+": "+notAvailable) {
				t.Errorf("%s.%s: reserved in the schema is %v, the decoder disagrees", sec.path, key, reserved)
			}
			must := slices.Contains(sec.must, any(key))
			where := strings.ReplaceAll(sec.path, "[]", "[0]") + "." + key
			if missing := strings.Contains(decodeErrors(t, fmt.Sprintf(sec.wrap, "{}")), ": "+where+": is missing"); missing != must {
				t.Errorf("%s.%s: required in the schema is %v, in the decoder %v", sec.path, key, must, missing)
			}
		}
		// The decoder lists what it knows beside a key that is like none.
		msg := decodeErrors(t, fmt.Sprintf(sec.wrap, "{qqqqqqqqqq: 1}"))
		_, list, ok := strings.Cut(msg, "unknown key; known keys: ")
		list, _, _ = strings.Cut(list, "\n")
		known := strings.Split(list, ", ")
		slices.Sort(known)
		if want := slices.Sorted(maps.Keys(sec.keys)); !ok || !slices.Equal(known, want) {
			t.Errorf("%s: the decoder knows %v, the schema %v", sec.path, known, want)
		}
	}
}

func decodeErrors(t *testing.T, text string) string {
	t.Helper()
	_, _, err := ParseGateway("f", []byte(text))
	if err == nil {
		return ""
	}
	return err.Error()
}

// Every default of the table is valid for its own key, in the schema too.
func TestDefaultsAreValid(t *testing.T) {
	if n := checkDefaults(t, loadSchema(t)); n < 40 {
		t.Errorf("only %d defaults", n)
	}
}

func checkDefaults(t *testing.T, s map[string]any) (n int) {
	t.Helper()
	for _, sec := range sections(s, "", "%s") {
		for key, s := range sec.keys {
			def, ok := s["default"]
			if !ok {
				continue
			}
			n++
			if wrong := validate(s, def, sec.path+"."+key); wrong != "" {
				t.Error(wrong)
			}
		}
	}
	return n
}
