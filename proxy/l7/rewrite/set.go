// Package rewrite changes requests and responses by the rules of rewrite sets
// (Azure: rewriteRuleSets): a Set is compiled once, an Exchange runs sets on
// one request and its response. It does no I/O and knows no listeners: what
// becomes of a new path is up to who asked for it.
package rewrite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// Set is a compiled rewrite set, for any number of exchanges at a time.
type Set struct {
	name   string
	rules  []rule
	groups int  // of all patterns whose groups are wanted
	target bool // what ChangesTarget says
	cameBy bool // responses want the addresses that the request came by
}

// Name is what the configuration calls the set.
func (s *Set) Name() string { return s.name }

// ChangesTarget reports whether the set can change what decides where a request
// goes, its path, query or Host, or how its body is read, its Content-Type or
// Content-Encoding. The firewall then judges the request with all its changes,
// and else without (Azure, but for the body).
func (s *Set) ChangesTarget() bool { return s.target }

type rule struct {
	name       string
	conditions []condition // on the request
	late       []condition // on the response
	reevaluate bool
	path       text // nil: unchanged
	query      text
	setQuery   bool // query is to be replaced, perhaps by nothing
	request    []field
	response   []field
}

// condition is a pattern on a variable.
type condition struct {
	variable config.RewriteVariable
	re       *regexp.Regexp
	negate   bool
	groups   int // of the pattern, if somebody wants them
	at       int // of the first of them among the set's
}

// field is a change of a field.
type field struct {
	name    string
	id      httpmsg.ID
	value   text // nil: deletes it
	append  bool
	matcher *regexp.Regexp // nil: every line
	negate  bool           // the matcher
}

// text is a value to be put together.
type text []part

type part struct {
	config.RewritePart
	at int // of the group among the set's
}

// Compile makes a set of one that config has checked.
func Compile(c *config.RewriteSet) (*Set, error) {
	s := &Set{name: c.Name, rules: make([]rule, len(c.Rules))}
	for i := range c.Rules {
		if err := s.compile(&s.rules[i], &c.Rules[i]); err != nil {
			return nil, fmt.Errorf("rule %q: %w", c.Rules[i].Name, err)
		}
	}
	return s, nil
}

func (s *Set) compile(r *rule, c *config.RewriteRule) error {
	r.name = c.Name
	at := make([]int, len(c.Conditions)) // of each condition's groups
	for i := range c.Conditions {
		cond, err := s.condition(&c.Conditions[i], wanted(c, i))
		if err != nil {
			return err
		}
		at[i] = cond.at
		if cond.variable.Source.OfResponse() {
			r.late = append(r.late, cond)
		} else {
			r.conditions = append(r.conditions, cond)
		}
	}
	u := &c.Actions.URL
	r.path, r.query, r.setQuery, r.reevaluate = compileText(u.Path, at), compileText(u.Query, at), u.Query.Given, u.ReevaluatePathMap
	s.target = s.target || u.Given()
	var err error
	if r.request, err = compileFields(c.Actions.RequestHeaders, at); err != nil {
		return err
	}
	for i := range r.request {
		switch r.request[i].id {
		case httpmsg.Host, httpmsg.ContentType, httpmsg.ContentEncoding:
			s.target = true
		}
	}
	r.response, err = compileFields(c.Actions.ResponseHeaders, at)
	for i := range r.response {
		s.cameBy = s.cameBy || slices.ContainsFunc(r.response[i].value, func(p part) bool { return p.Variable.Source == config.SourceAddXForwardedFor })
	}
	return err
}

// wanted reports whether a text of the rule has groups of a condition.
func wanted(c *config.RewriteRule, condition int) bool {
	texts := []config.RewriteText{c.Actions.URL.Path, c.Actions.URL.Query}
	for _, list := range [][]config.RewriteField{c.Actions.RequestHeaders, c.Actions.ResponseHeaders} {
		for i := range list {
			texts = append(texts, list[i].Value)
		}
	}
	for _, t := range texts {
		for _, p := range t.Parts {
			if p.Group > 0 && p.Variable.Source != config.SourceMatcher && p.Condition == condition {
				return true
			}
		}
	}
	return false
}

func (s *Set) condition(c *config.RewriteCondition, wanted bool) (condition, error) {
	re, err := regexp.Compile(c.Regexp())
	if err != nil {
		return condition{}, err
	}
	cond := condition{variable: c.Variable, re: re, negate: c.Negate, at: s.groups}
	if wanted {
		cond.groups = re.NumSubexp()
		s.groups += cond.groups
	}
	return cond, nil
}

func compileText(t config.RewriteText, at []int) text {
	var out text
	for _, p := range t.Parts {
		c := part{RewritePart: p}
		if p.Group > 0 && p.Variable.Source != config.SourceMatcher {
			c.at = at[p.Condition] + p.Group - 1
		}
		out = append(out, c)
	}
	return out
}

func compileFields(list []config.RewriteField, at []int) ([]field, error) {
	var out []field
	for i := range list {
		c := &list[i]
		f := field{name: c.Name, id: httpmsg.IDOf(c.Name), value: compileText(c.Value, at), append: c.Append, negate: c.Matcher.Negate}
		if c.Matcher.Pattern != "" {
			re, err := regexp.Compile(c.Matcher.Regexp())
			if err != nil {
				return nil, err
			}
			f.matcher = re
		}
		out = append(out, f)
	}
	return out, nil
}

// is reports whether the field has the name.
func (f *field) is(id httpmsg.ID, name []byte) bool {
	return f.id == id && (id != httpmsg.Other || httpmsg.EqualFold(name, f.name))
}

// isName is is for a name of the configuration.
func (f *field) isName(name string) bool { return strings.EqualFold(f.name, name) }
