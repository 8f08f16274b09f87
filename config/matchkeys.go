package config

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// The keys of what path rules match beside paths.

const (
	maxMatches      = 16
	maxMethods      = 16
	maxMatchText    = 1024
	maxMatchName    = 256
	matchNameSchema = `^[^\x00-\x1f\x7f]{1,256}$`
)

func routeMatchObject() object[RouteMatch] {
	return object[RouteMatch]{fields: []field[RouteMatch]{
		key("methods", func(m *RouteMatch) *[]string { return &m.Methods }, upTo(maxMethods, listOf(methodName(), 1)), "Methods; it has one of them."),
		key("headers", func(m *RouteMatch) *[]ValueMatch { return &m.Headers }, valueMatches(), "Header fields by name: the text that each has, or a pattern."),
		key("query", func(m *RouteMatch) *[]ValueMatch { return &m.Query }, valueMatches(), "Parameters of the query in the same way."),
	}}
}

func patternMatchObject() object[ValueMatch] {
	return object[ValueMatch]{fields: []field[ValueMatch]{
		key("pattern", func(m *ValueMatch) *string { return &m.Pattern }, boundedText(maxRewritePattern), "Text or a regular expression (RE2), found anywhere in the value unless anchored.").required(),
		key("ignoreCase", func(m *ValueMatch) *bool { return &m.IgnoreCase }, boolean(), "Whether upper and lower case are the same.").or("false"),
	}}
}

// valueMatches is a mapping of names to texts or patterns, in the order of
// the file.
func valueMatches() value[[]ValueMatch] {
	long, short := patternMatchObject(), boundedText(maxMatchText)
	s := schema{"type": "object", "additionalProperties": false, "maxProperties": maxMatches,
		"patternProperties": map[string]any{matchNameSchema: schema{"oneOf": []schema{short.schema, long.schema()}}}}
	return value[[]ValueMatch]{schema: s, read: func(c cursor) ([]ValueMatch, bool) {
		entries, ok := c.mapping()
		if ok && len(entries) > maxMatches {
			c.errorf("must have at most %d entries, not %d", maxMatches, len(entries))
			return nil, false
		}
		var list []ValueMatch
		for i := 0; ok && i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if k.Kind != yaml.ScalarNode || entries[k.Value].value != v {
				continue // reported by mapping
			}
			at, m, good := c.key(printable(k.Value), entry{k, v}), ValueMatch{}, false
			if v.Kind == yaml.MappingNode {
				good = long.read(at, &m)
			} else {
				m.Value, good = short.read(at)
			}
			if m.Name = k.Value; m.Name == "" || len(m.Name) > maxMatchName || strings.ContainsFunc(m.Name, isControl) {
				at.errorf("a name has 1 to %d characters, none of them control characters", maxMatchName)
				continue
			}
			if good {
				list = append(list, m)
			}
		}
		return list, ok
	}}
}

// checkMatch checks patterns, and names of fields.
func (c *checker) checkMatch(path string, m *RouteMatch) {
	if c.has(path) && !c.failed(path) && !m.Given() && !c.failed(path+".methods") && !c.failed(path+".headers") && !c.failed(path+".query") {
		c.errorf(path, "wants nothing; add methods, headers or query")
	}
	for i := range m.Headers {
		h := &m.Headers[i]
		at := path + ".headers." + printable(h.Name)
		switch {
		case !isSafeName(h.Name):
			c.errorf(at, "%s names no field of a request: names have letters, digits and -", quote(h.Name))
		case slices.ContainsFunc(m.Headers[:i], func(o ValueMatch) bool { return strings.EqualFold(o.Name, h.Name) }):
			c.errorf(at, "is there already; remove one")
		default:
			c.checkValueMatch(at, h)
		}
	}
	for i := range m.Query {
		c.checkValueMatch(path+".query."+printable(m.Query[i].Name), &m.Query[i])
	}
}

func (c *checker) checkValueMatch(path string, m *ValueMatch) {
	if c.has(path+".pattern") && !c.failed(path+".pattern") {
		c.checkRewritePattern(path+".pattern", m.Pattern, m.Regexp())
	}
}
