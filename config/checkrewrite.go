package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// What Azure allows; more draws a warning.
const (
	azureRewriteSets       = 400
	azureRewriteActions    = 40
	azureRewriteConditions = 40
)

// maxRewriteParts bounds one pattern: what it may cost to look for it grows
// with its parts and the length of the text.
const maxRewriteParts = 500

// checkRewriteSets also takes texts apart, and sorts rules by sequence: last,
// when errors have been named by their places in the file.
func (c *checker) checkRewriteSets() {
	c.azureLimit("rewriteSets", "rewrite sets", len(c.g.RewriteSets), azureRewriteSets)
	for i := range c.g.RewriteSets {
		s, path := &c.g.RewriteSets[i], fmt.Sprintf("rewriteSets[%d]", i)
		names, conditions, actions := map[string]int{}, 0, 0
		for j := range s.Rules {
			r, at := &s.Rules[j], fmt.Sprintf("%s.rules[%d]", path, j)
			if first, taken := names[r.Name]; taken && r.Name != "" {
				c.errorf(at+".name", "the name %s is that of rules[%d]; each needs its own", quote(r.Name), first)
			} else {
				names[r.Name] = j
			}
			c.checkRewriteRule(at, r)
			conditions += len(r.Conditions)
			actions += len(r.Actions.RequestHeaders) + len(r.Actions.ResponseHeaders)
			if r.Actions.URL.Given() {
				actions++
			}
		}
		c.azureLimit(path, "conditions", conditions, azureRewriteConditions)
		c.azureLimit(path, "changes of fields and URLs", actions, azureRewriteActions)
		slices.SortStableFunc(s.Rules, func(a, b RewriteRule) int { return cmp.Compare(a.Sequence, b.Sequence) })
	}
}

func (c *checker) checkRewriteRule(path string, r *RewriteRule) {
	p := &textParser{conditions: r.Conditions, groups: make([]int, len(r.Conditions)), matcher: -1}
	for i := range r.Conditions {
		at := fmt.Sprintf("%s.conditions[%d].pattern", path, i)
		p.groups[i] = -1
		if !c.failed(at) && c.has(at) {
			p.groups[i] = c.checkRewritePattern(at, r.Conditions[i].Pattern, r.Conditions[i].Regexp())
		}
	}
	a, at := &r.Actions, path+".actions"
	nothing := !c.has(at+".url") && len(a.RequestHeaders) == 0 && len(a.ResponseHeaders) == 0
	switch {
	case c.failed(at), c.failed(at + ".requestHeaders"), c.failed(at + ".responseHeaders"):
	case nothing && c.has(at):
		c.errorf(at, "does nothing; add url, requestHeaders or responseHeaders")
	case r.OfResponse() && (c.has(at+".url") || len(a.RequestHeaders) > 0):
		c.errorf(at, "a condition looks at the response, which comes when the request is out; only responseHeaders can follow it")
	}
	c.checkRewriteURL(at+".url", &a.URL, p)
	for i := range a.RequestHeaders {
		f := &a.RequestHeaders[i]
		c.checkRewriteField(at+".requestHeaders."+printable(f.Name), f, p)
	}
	p.response = true
	for i := range a.ResponseHeaders {
		f := &a.ResponseHeaders[i]
		c.checkRewriteField(at+".responseHeaders."+printable(f.Name), f, p)
	}
}

// checkRewritePattern returns how many groups the pattern has, -1 if it is
// none.
func (c *checker) checkRewritePattern(path, written, pattern string) int {
	if tree, err := syntax.Parse(pattern, syntax.Perl); err == nil && parts(tree) > maxRewriteParts {
		c.errorf(path, "is too large, with its repetitions written out; write a smaller one")
		return -1
	}
	if written == "" {
		c.errorf(path, "must not be empty; ^$ is for a variable without text, and .* for any")
		return -1
	}
	c.checkRegex(path, pattern)
	re, err := regexp.Compile(pattern)
	if err != nil || c.failed(path) {
		return -1
	}
	return re.NumSubexp()
}

// parseText takes a text apart and checks what it is made of.
func (c *checker) parseText(path string, t *RewriteText, p *textParser, check func([]RewritePart) error) {
	if !t.Given || c.failed(path) {
		return
	}
	parts, err := p.parse(t.Text)
	if err == nil {
		err = check(parts)
	}
	if err != nil {
		c.errorf(path, "%s", err)
		return
	}
	t.Parts = parts
}

func (c *checker) checkRewriteURL(path string, u *RewriteURL, p *textParser) {
	if !c.has(path) || c.failed(path) {
		return
	}
	p.matcher = -1
	c.parseText(path+".path", &u.Path, p, checkPathText)
	c.parseText(path+".query", &u.Query, p, checkQueryText)
	switch {
	case c.failed(path+".path") || c.failed(path+".query"):
	case !u.Given():
		c.errorf(path, "changes nothing; add path or query")
	case u.ReevaluatePathMap && !u.Path.Given:
		c.errorf(path+".reevaluatePathMap", "the path stays, so the path rule does; add path")
	}
}

func (c *checker) checkRewriteField(path string, f *RewriteField, p *textParser) {
	at := path
	if c.has(path + ".value") {
		at = path + ".value"
	}
	if p.matcher = -1; f.Matcher.Pattern != "" || c.has(path+".valueMatcher") {
		p.matcher = c.checkRewriteMatcher(path+".valueMatcher", f, p.response)
	}
	if c.failed(path) || !f.Value.Given {
		return
	}
	if err := mayRewrite(f, p.response); err != nil {
		c.errorf(path, "%s", err)
		return
	}
	c.parseText(at, &f.Value, p, checkValueText)
}

// checkRewriteMatcher returns how many groups a valueMatcher has.
func (c *checker) checkRewriteMatcher(path string, f *RewriteField, response bool) int {
	const least = 1000 // refused already: it draws no second error
	switch {
	case c.failed(path) || c.failed(path+".pattern") || !c.has(path+".pattern"):
		return least
	case !response || !strings.EqualFold(f.Name, "Set-Cookie"):
		c.errorf(path, "chooses among lines of Set-Cookie in a response; remove it, or use a condition")
		return least
	case f.Append:
		c.errorf(path, "chooses lines to replace; append replaces none")
		return least
	}
	groups := c.checkRewritePattern(path+".pattern", f.Matcher.Pattern, f.Matcher.Regexp())
	switch {
	case groups < 0:
		return least
	case f.Matcher.Negate:
		return 0
	}
	return groups
}

// Fields that no set may touch: those that frame a message or belong to one
// connection, where a change would be a way to smuggle requests; and those by
// which the gateway knows its own.
var (
	framingFields = []string{"connection", "content-length", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	ownFields = []string{"expect", "via", "x-appgw-trace-id", "x-original-host"}
	// singleFields must not be there twice (RFC 9110 5.3, RFC 6265 5.4).
	singleFields = []string{"age", "authorization", "content-encoding", "content-location", "content-type", "cookie", "date", "etag", "expires", "from",
		"host", "last-modified", "location", "max-forwards", "referer", "retry-after", "server", "user-agent"}
)

// mayRewrite says why a field cannot be changed so.
func mayRewrite(f *RewriteField, response bool) error {
	lower := strings.ToLower(f.Name)
	switch {
	case !isToken(f.Name):
		return fmt.Errorf("%s is not the name of a field", quote(f.Name))
	case !response && !isSafeName(f.Name):
		return fmt.Errorf("%s: names of request fields have letters, digits and -; others are dropped", quote(f.Name))
	case len(f.Name) > 128:
		return errors.New("has a name of more than 128 characters")
	case slices.Contains(framingFields, lower):
		return errors.New("is about the connection or where a message ends, which the gateway sees to; remove it")
	case !response && slices.Contains(ownFields, lower):
		return errors.New("is what the gateway itself goes by; remove it")
	case lower == "host" && !response && f.Value.Text == "":
		return errors.New("cannot be deleted: every request has one")
	case f.Append && f.Value.Text == "":
		return errors.New("appends nothing; add text, or leave append out to delete the field")
	case f.Append && slices.Contains(singleFields, lower):
		return errors.New("must not be there twice; leave append out to replace it")
	}
	return nil
}

// checkRewriteOf checks the rewrite set of a rule, a path rule or a default.
func (c *checker) checkRewriteOf(path string, a Action, other string) {
	at := path + ".rewriteSet"
	i := c.refer(&c.rewriteSets, at, a.RewriteSet)
	if a.RewriteSet == "" {
		return
	}
	switch {
	case a.Redirect != "":
		c.errorf(at, "a redirect is not rewritten; remove it")
	case other != "":
		c.errorf(at, "belongs to the path rules and the default of the path map; set it there")
	case i < 0:
	case strings.HasPrefix(path, "rules") && c.g.RewriteSets[i].reevaluates():
		c.errorf(at, "rewrite set %s has reevaluatePathMap, and this rule has no path map; use one without", quote(a.RewriteSet))
	case c.g.RewriteSets[i].loops():
		c.errorf(at, "every rule of rewrite set %s has reevaluatePathMap and no condition: it would never end; give one a condition", quote(a.RewriteSet))
	}
}

func (s *RewriteSet) reevaluates() bool {
	return slices.ContainsFunc(s.Rules, func(r RewriteRule) bool { return r.Actions.URL.ReevaluatePathMap })
}

// loops is Azure's guard: a set that always re-evaluates.
func (s *RewriteSet) loops() bool {
	return len(s.Rules) > 0 && !slices.ContainsFunc(s.Rules, func(r RewriteRule) bool {
		return len(r.Conditions) > 0 || !r.Actions.URL.ReevaluatePathMap
	})
}
