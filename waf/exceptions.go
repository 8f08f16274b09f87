package waf

import (
	"strconv"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/waf/variables"
)

// ruleRange is rules by number, both included.
type ruleRange struct{ from, to int }

// String is the range as directives want it.
func (r ruleRange) String() string {
	if r.from == r.to {
		return strconv.Itoa(r.from)
	}
	return strconv.Itoa(r.from) + "-" + strconv.Itoa(r.to)
}

// exception has managed rules skip whole requests (Azure: exceptions). It is
// decided here and not by a rule, so that its texts mean nothing but
// themselves.
type exception struct {
	conf      *config.Exception
	addresses *cidr.Table[struct{}]
	rules     []ruleRange
}

func newExceptions(s *config.RuleSet) (list []exception) {
	for i := range s.Exceptions {
		x := &s.Exceptions[i]
		e := exception{conf: x, rules: namedRules(s, x.Rules, x.Groups)}
		if x.Operator == config.CompareIPMatch {
			e.addresses = cidr.Set(x.Prefixes)
		}
		list = append(list, e)
	}
	return list
}

// skipped are the rules that are not asked about a request.
func (p *Policy) skipped(r *variables.Request, dst []ruleRange) []ruleRange {
	for i := range p.exceptions {
		if e := &p.exceptions[i]; e.applies(r) {
			dst = append(dst, e.rules...)
		}
	}
	return dst
}

func (e *exception) applies(r *variables.Request) bool {
	switch e.conf.Variable {
	case config.ExceptRemoteAddr:
		return e.addresses != nil && e.addresses.Contains(r.Client.Addr().Unmap())
	case config.ExceptHeader:
		for i := range r.Headers {
			if h := &r.Headers[i]; strings.EqualFold(h.Name, e.conf.Selector) && e.compares(h.Value) {
				return true
			}
		}
		return false
	}
	return e.compares(r.Origin())
}

// compares reports whether one of the exception's values fits a text.
func (e *exception) compares(text string) bool {
	for _, v := range e.conf.Values {
		if comparisons[e.conf.Operator](text, v) {
			return true
		}
	}
	return false
}

var comparisons = map[config.Comparison]func(text, value string) bool{
	config.CompareEquals:     func(text, value string) bool { return text == value },
	config.CompareContains:   strings.Contains,
	config.CompareStartsWith: strings.HasPrefix,
	config.CompareEndsWith:   strings.HasSuffix,
	config.CompareEqualsAny:  func(string, string) bool { return true },
	config.CompareIPMatch:    func(string, string) bool { return false },
}
