package config

import (
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// The keys of rewrite sets.

const (
	maxRewriteRules   = 200
	maxRewritePattern = 1024
	maxRewriteText    = 8 << 10
	maxRewriteFields  = 100 // of one rule, requests and responses each
)

func rewriteSetObject() object[RewriteSet] {
	return object[RewriteSet]{at: func(s *RewriteSet, p Pos) { s.Pos = p }, fields: []field[RewriteSet]{
		key("name", func(s *RewriteSet) *string { return &s.Name }, name(), "What rules and path maps call it.").required(),
		key("rules", func(s *RewriteSet) *[]RewriteRule { return &s.Rules }, upTo(maxRewriteRules, listOf(rewriteRuleObject().value(), 1)), "Rules, run by sequence.").required(),
	}}
}

func rewriteRuleObject() object[RewriteRule] {
	return object[RewriteRule]{at: func(r *RewriteRule, p Pos) { r.Pos = p }, fields: []field[RewriteRule]{
		key("name", func(r *RewriteRule) *string { return &r.Name }, name(), "For explain; unique in the set.").required(),
		key("sequence", func(r *RewriteRule) *int { return &r.Sequence }, integer(0, 1_000_000), "The lowest is run first; those with the same as listed.").or("100"),
		key("conditions", func(r *RewriteRule) *[]RewriteCondition { return &r.Conditions }, upTo(100, listOf(rewriteConditionObject().value(), 0)), "All of them must hold; none: always."),
		key("actions", func(r *RewriteRule) *RewriteActions { return &r.Actions }, rewriteActionsObject().value(), "What is done.").required(),
	}}
}

func rewriteConditionObject() object[RewriteCondition] {
	return object[RewriteCondition]{fields: []field[RewriteCondition]{
		key("variable", func(c *RewriteCondition) *RewriteVariable { return &c.Variable }, rewriteVariable(), "What is looked at: http_req_FIELD, http_resp_FIELD, or var_ and a server variable.").required(),
		key("pattern", func(c *RewriteCondition) *string { return &c.Pattern }, boundedText(maxRewritePattern), "Text or a regular expression (RE2), found anywhere in it unless anchored.").required(),
		key("ignoreCase", func(c *RewriteCondition) *bool { return &c.IgnoreCase }, boolean(), "Whether upper and lower case are the same.").or("false"),
		key("negate", func(c *RewriteCondition) *bool { return &c.Negate }, boolean(), "Turn it round: the pattern is not found.").or("false"),
	}}
}

func rewriteActionsObject() object[RewriteActions] {
	return object[RewriteActions]{fields: []field[RewriteActions]{
		key("url", func(a *RewriteActions) *RewriteURL { return &a.URL }, rewriteURLObject().value(), "Replaces the path, the query, or both."),
		key("requestHeaders", func(a *RewriteActions) *[]RewriteField { return &a.RequestHeaders }, rewriteFields(), "Fields of the request by name: text, which replaces them, empty deletes them, or value, append and valueMatcher."),
		key("responseHeaders", func(a *RewriteActions) *[]RewriteField { return &a.ResponseHeaders }, rewriteFields(), "Fields of the response in the same way."),
	}}
}

func rewriteURLObject() object[RewriteURL] {
	return object[RewriteURL]{fields: []field[RewriteURL]{
		key("path", func(u *RewriteURL) *RewriteText { return &u.Path }, rewriteText(), "The new path; none: it stays."),
		key("query", func(u *RewriteURL) *RewriteText { return &u.Query }, rewriteText(), "The new query, without the question mark; none: it stays; empty: there is none."),
		key("reevaluatePathMap", func(u *RewriteURL) *bool { return &u.ReevaluatePathMap }, boolean(), "Choose the path rule again by the new path, once.").or("false"),
	}}
}

// rewriteText is text with variables, which are taken apart when the
// conditions of the rule are known.
func rewriteText() value[RewriteText] {
	v := boundedText(maxRewriteText)
	return value[RewriteText]{schema: v.schema, read: func(c cursor) (RewriteText, bool) {
		s, ok := v.read(c)
		return RewriteText{Text: s, Given: ok}, ok
	}}
}

// rewriteVariable is the variable of a condition.
func rewriteVariable() value[RewriteVariable] {
	s := schema{"type": "string", "pattern": "^(http_req_|http_resp_|var_)."}
	return parsed("a variable such as var_uri_path", s, func(text string) (RewriteVariable, error) {
		v, err := parseRewriteVariable(text)
		if err == nil && v.Source == SourceMatcher {
			return v, fmt.Errorf("%s is what a valueMatcher finds; a condition cannot look at it", quote(text))
		}
		return v, err
	})
}

func rewriteMatcherObject() object[RewriteMatcher] {
	return object[RewriteMatcher]{fields: []field[RewriteMatcher]{
		key("pattern", func(m *RewriteMatcher) *string { return &m.Pattern }, boundedText(maxRewritePattern), "Text or a regular expression (RE2).").required(),
		key("ignoreCase", func(m *RewriteMatcher) *bool { return &m.IgnoreCase }, boolean(), "Whether upper and lower case are the same.").or("false"),
		key("negate", func(m *RewriteMatcher) *bool { return &m.Negate }, boolean(), "Turn it round: lines that the pattern is not found in.").or("false"),
	}}
}

func rewriteFieldObject() object[RewriteField] {
	return object[RewriteField]{fields: []field[RewriteField]{
		key("value", func(f *RewriteField) *RewriteText { return &f.Value }, rewriteText(), "The value; empty deletes the field.").required(),
		key("append", func(f *RewriteField) *bool { return &f.Append }, boolean(), "Add a line and keep those that are there.").or("false"),
		key("valueMatcher", func(f *RewriteField) *RewriteMatcher { return &f.Matcher }, rewriteMatcherObject().value(), "Which lines of Set-Cookie; none: all."),
	}}
}

// rewriteFields is a mapping of names to values, in the order of the file.
func rewriteFields() value[[]RewriteField] {
	long, short := rewriteFieldObject(), rewriteText()
	s := schema{"type": "object", "additionalProperties": false, "maxProperties": maxRewriteFields,
		"patternProperties": map[string]any{"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$": schema{"oneOf": []schema{short.schema, long.schema()}}}}
	one := func(c cursor, name string) (RewriteField, bool) {
		f, ok := RewriteField{}, false
		if c.node.Kind == yaml.MappingNode {
			ok = long.read(c, &f)
		} else {
			f.Value, ok = short.read(c)
		}
		f.Name = name
		return f, ok
	}
	return value[[]RewriteField]{schema: s, read: func(c cursor) ([]RewriteField, bool) {
		entries, ok := c.mapping()
		if ok && len(entries) > maxRewriteFields {
			c.errorf("must have at most %d entries, not %d", maxRewriteFields, len(entries))
			return nil, false
		}
		var list []RewriteField
		for i := 0; ok && i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if k.Kind != yaml.ScalarNode || entries[k.Value].value != v {
				continue // reported by mapping
			}
			at := c.key(printable(k.Value), entry{k, v})
			f, good := one(at, k.Value)
			for _, other := range list {
				if strings.EqualFold(other.Name, f.Name) {
					at.errorf("is there already as %s; use another rule for more changes of it", other.Name)
				}
			}
			if good {
				list = append(list, f)
			}
		}
		return list, ok
	}}
}
