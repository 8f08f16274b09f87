package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// checkCustomRules also sorts the rules by priority: last, when errors have
// been named by their places in the file.
func (c *checker) checkCustomRules(path string, w *WAFPolicy) {
	names, priorities := map[string]int{}, map[int]int{}
	for i := range w.CustomRules {
		r, at := &w.CustomRules[i], fmt.Sprintf("%s.customRules[%d]", path, i)
		if first, taken := names[r.Name]; taken && r.Name != "" {
			c.errorf(at+".name", "the name %s is that of customRules[%d]; each needs its own", quote(r.Name), first)
		} else {
			names[r.Name] = i
		}
		if first, taken := priorities[r.Priority]; taken && r.Priority != 0 {
			c.errorf(at+".priority", "priority %d is already that of custom rule %s; each needs its own", r.Priority, quote(w.CustomRules[first].Name))
		} else {
			priorities[r.Priority] = i
		}
		c.checkRate(at, r)
		for j := range r.Match {
			c.checkCondition(fmt.Sprintf("%s.match[%d]", at, j), &r.Match[j], w.RequestBody)
		}
	}
	c.azureLimit(path+".customRules", "custom rules", len(w.CustomRules), azureCustomRules)
	slices.SortStableFunc(w.CustomRules, func(a, b CustomRule) int { return cmp.Compare(a.Priority, b.Priority) })
}

func (c *checker) checkRate(path string, r *CustomRule) {
	has := r.Rate != (RateLimit{}) || c.has(path+".rate")
	switch {
	case c.failed(path), c.failed(path + ".type"), c.failed(path + ".rate"):
	case r.Type == RateLimitRule && !has:
		c.errorf(path, "rate is missing; add rate: {requests: 100, per: 1m}")
	case r.Type == MatchRule && has:
		c.errorf(path+".rate", "only a rule of type: rateLimit has one; remove it, or set the type")
	case c.failed(path + ".action"):
	case r.Type == RateLimitRule && (r.Action == CustomAllow && c.has(path+".action") || r.Action == CustomJSChallenge):
		c.errorf(path+".action", "a rate limit cannot %s; use block or log", r.Action)
	}
}

// checkCondition also reads addresses, and writes country codes in upper case.
func (c *checker) checkCondition(path string, m *MatchCondition, body RequestBody) {
	if c.failed(path) || c.failed(path+".variable") || c.failed(path+".operator") ||
		!c.has(path+".variable") || !c.has(path+".operator") {
		return
	}
	switch {
	case m.Operator.isOfAddress() && !m.Variable.isAddress():
		c.errorf(path+".operator", "%s compares addresses; only remoteAddr and socketAddr are", m.Operator)
		return
	case m.Variable.isAddress() && !m.Operator.isOfAddress() && m.Operator != OperatorAny:
		c.errorf(path+".operator", "%s is an address; use ipMatch, geoMatch or any", m.Variable)
		return
	case m.Variable.isAddress() && len(m.Transforms) > 0:
		c.errorf(path+".transforms", "an address cannot be transformed; remove them")
	}
	if c.has(path+".selector") && !m.Variable.isCollection() {
		c.errorf(path+".selector", "%s has no parts; only postArgs, requestHeaders and requestCookies have a selector", m.Variable)
	}
	if (m.Variable == MatchPostArgs || m.Variable == MatchBody) && !body.Inspect {
		c.warnf(path+".variable", "there is no %s to look at with requestBody.inspect: false", m.Variable)
	}
	c.checkValues(path+".values", m)
}

// checkValues checks that the values are of the operator's kind.
func (c *checker) checkValues(path string, m *MatchCondition) {
	switch {
	case c.failed(path):
		return
	case m.Operator == OperatorAny && len(m.Values) > 0:
		c.errorf(path, "any compares with nothing; remove them")
		return
	case m.Operator != OperatorAny && len(m.Values) == 0:
		c.errorf(path, "are missing; add at least one for %s to compare with", m.Operator)
		return
	case m.Operator == OperatorIPMatch:
		m.Prefixes = c.prefixes(path, m.Values)
		c.azureLimit(path, "addresses", len(m.Values), azurePrefixes)
		return
	case m.Operator == OperatorContains || m.Operator == OperatorBeginsWith || m.Operator == OperatorEndsWith || m.Operator == OperatorRegex:
		c.refuseEmpty(path, m.Values)
	}
	for i := range m.Values {
		if at := fmt.Sprintf("%s[%d]", path, i); !c.failed(at) && !c.full() {
			c.checkValue(at, m, &m.Values[i])
		}
	}
}

func (c *checker) checkValue(path string, m *MatchCondition, v *string) {
	switch {
	case m.Operator == OperatorGeoMatch:
		*v = strings.ToUpper(*v)
		if len(*v) != 2 || !onlyOf(*v, upperCase) {
			c.errorf(path, "must be a country's code of two letters such as DE, or ZZ for unknown, not %s", quote(*v))
		}
	case m.Operator.isOfNumbers():
		if _, err := strconv.ParseInt(*v, 10, 64); err != nil {
			c.errorf(path, "%s compares whole numbers, not %s", m.Operator, quote(*v))
		}
	case m.Operator == OperatorRegex:
		c.checkRegex(path, *v)
	default:
		c.checkCase(path, m.Transforms, *v)
		c.azureLimit(path, "bytes", len(*v), azureTextLength)
	}
}

// maxRegexes bounds all regular expressions of a gateway together, in parts
// with their repetitions: each part takes up to a microsecond to compile.
const maxRegexes = 1 << 20

func (c *checker) checkRegex(path, pattern string) {
	if c.regexes > maxRegexes {
		return // reported
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err == nil {
		if c.regexes += parts(tree); c.regexes > maxRegexes {
			c.errorf(path, "the regular expressions up to this one are too large together; write fewer repetitions such as {1000}")
			return
		}
		_, err = regexp.Compile(pattern)
	}
	if wrong := (*syntax.Error)(nil); errors.As(err, &wrong) {
		c.errorf(path, "is no regular expression (RE2): %s: %s%s", wrong.Code, quote(wrong.Expr), notInRE2(wrong))
	} else if err != nil {
		c.errorf(path, "is no regular expression (RE2): %s", quote(err.Error()))
	}
}

// notInRE2 explains what the expressions of other engines (PCRE) have and RE2
// has not.
func notInRE2(wrong *syntax.Error) string {
	const why = ", so that no text takes long to look through"
	for _, around := range []string{"(?=", "(?!", "(?<=", "(?<!", "(?>"} {
		if strings.HasPrefix(wrong.Expr, around) {
			return "; RE2 has no lookahead, lookbehind or atomic groups" + why
		}
	}
	if e := wrong.Expr; wrong.Code == syntax.ErrInvalidEscape && len(e) > 1 && (e[1] >= '1' && e[1] <= '9' || e[1] == 'k' || e[1] == 'g') {
		return "; RE2 has no back references" + why
	}
	return ""
}

// parts is how large an expression becomes: its parts, each as often as it is
// repeated. The parser bounds depth and repetitions.
func parts(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += parts(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return 1 + n + len(re.Rune)/64
}

// checkCase warns of a text that cannot be met after all letters have become
// large or small.
func (c *checker) checkCase(path string, transforms []Transform, v string) {
	if len(transforms) == 0 {
		return
	}
	last := transforms[len(transforms)-1]
	if last == TransformLowercase && v != strings.ToLower(v) || last == TransformUppercase && v != strings.ToUpper(v) {
		c.warnf(path, "%s can never match: the transform %s changes its letters; write it so", quote(v), last)
	}
}
