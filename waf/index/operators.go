package index

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/corazawaf/libinjection-go"
	"rsc.io/binaryregexp"

	"gatehouse/internal/cidr"
	"gatehouse/waf/transform"
)

// operator decides on one transformed value.
type operator interface {
	Match(text string) bool
}

// Expression is @rx, compiled.
type Expression interface {
	Match(text string) bool
	// Groups is what the whole and each of its groups matched; nil: no match.
	Groups(text string) []string
}

// NewExpression compiles the argument of @rx.
func NewExpression(argument string) (Expression, error) {
	op, _, err := newExpression(argument, nil)
	if err != nil {
		return nil, err
	}
	return op.(Expression), nil
}

// capturer is an operator that also says which parts of the text its groups
// matched: TX:0 to TX:9.
type capturer interface {
	Groups(text string) []string
}

// expression is @rx. Dots match line ends, as the Core Rule Set expects.
type expression struct {
	re  *regexp.Regexp
	dfa *dfa // nil: not worth it
}

func (e expression) Match(text string) bool {
	if e.dfa != nil {
		if found, ok := e.dfa.match(text); ok {
			return found
		}
	}
	return e.re.MatchString(text)
}

func (e expression) Groups(text string) []string { return e.re.FindStringSubmatch(text) }

// byteExpression is @rx with an expression that matches bytes that are not UTF-8.
type byteExpression struct{ re *binaryregexp.Regexp }

func (e byteExpression) Match(text string) bool      { return e.re.MatchString(text) }
func (e byteExpression) Groups(text string) []string { return e.re.FindStringSubmatch(text) }

// phrases is @pm: that one of the phrases was found is all there is to know.
type phrases struct{ list []string }

func (p phrases) Match(text string) bool {
	lower := strings.ToLower(text)
	for _, s := range p.list {
		if strings.Contains(lower, s) || strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// The operators on texts.
type (
	within   struct{ list string }
	contains struct{ part string }
	equal    struct{ text string }
	begins   struct{ with string }
	ends     struct{ with string }
)

func (o within) Match(text string) bool   { return strings.Contains(o.list, text) }
func (o contains) Match(text string) bool { return strings.Contains(text, o.part) }
func (o equal) Match(text string) bool    { return text == o.text }
func (o begins) Match(text string) bool   { return strings.HasPrefix(text, o.with) }
func (o ends) Match(text string) bool     { return strings.HasSuffix(text, o.with) }

// comparison is one of the operators on numbers. What is no number is zero.
type comparison struct {
	with int
	is   func(a, b int) bool
}

func (o comparison) Match(text string) bool {
	n, _ := strconv.Atoi(text)
	return o.is(n, o.with)
}

// byteRange is @validateByteRange: it matches a text with a byte that is not
// in the range.
type byteRange struct{ bad transform.Class }

func (o byteRange) Match(text string) bool { return transform.ClassOf(text).Intersects(o.bad) }

// urlEncoding is @validateUrlEncoding: it matches a percent sign without two
// hexadecimal digits behind it.
type urlEncoding struct{}

func (urlEncoding) Match(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if i+2 >= len(text) || !hex(text[i+1]) || !hex(text[i+2]) {
			return true
		}
		i += 2
	}
	return false
}

func hex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// utf8Encoding is @validateUtf8Encoding: it matches what is not UTF-8.
type utf8Encoding struct{}

func (utf8Encoding) Match(text string) bool { return !utf8.ValidString(text) }

// The detectors of libinjection.
type (
	sqlInjection struct{}
	scripting    struct{}
)

func (sqlInjection) Match(text string) bool {
	found, _ := libinjection.IsSQLi(text)
	return found
}

func (scripting) Match(text string) bool { return libinjection.IsXSS(text) }

// addresses is @ipMatch.
type addresses struct{ table *cidr.Table[struct{}] }

func (o addresses) Match(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && o.table.Contains(addr.Unmap())
}

// always is @unconditionalMatch.
type always struct{}

func (always) Match(string) bool { return true }

// opaque is an operator that is not known here: it may match anything.
type opaque struct{}

func (opaque) Match(string) bool { return true }

// comparisons are the operators on numbers.
var comparisons = map[string]func(a, b int) bool{
	"eq": func(a, b int) bool { return a == b },
	"ne": func(a, b int) bool { return a != b },
	"gt": func(a, b int) bool { return a > b },
	"ge": func(a, b int) bool { return a >= b },
	"lt": func(a, b int) bool { return a < b },
	"le": func(a, b int) bool { return a <= b },
}

// newOperator compiles an operator whose argument has no macros left. n is
// what a text must contain for it to match.
func newOperator(name, argument string, file func(string) ([]byte, error), budget *atomic.Int64) (op operator, n need, err error) {
	switch name {
	case "rx":
		return newExpression(argument, budget)
	case "pm":
		return newPhrases(strings.Split(strings.ToLower(argument), " "))
	case "pmfromfile", "pmf":
		data, err := file(argument)
		if err != nil {
			return nil, n, fmt.Errorf("@pmFromFile: %w", err)
		}
		return newPhrases(phraseLines(string(data)))
	case "within":
		return within{argument}, n, nil
	case "contains", "strmatch":
		return contains{argument}, whole(argument), nil
	case "streq":
		return equal{argument}, whole(argument), nil
	case "beginswith":
		return begins{argument}, whole(argument), nil
	case "endswith":
		return ends{argument}, whole(argument), nil
	case "validatebyterange":
		op, err := newByteRange(argument)
		return op, n, err
	case "validateurlencoding":
		n.bytes.all = []transform.Class{letter('%')}
		return urlEncoding{}, n, nil
	case "validateutf8encoding":
		return utf8Encoding{}, n, nil
	case "detectsqli":
		return sqlInjection{}, n, nil
	case "detectxss":
		return scripting{}, n, nil
	case "unconditionalmatch":
		return always{}, n, nil
	case "ipmatch":
		op, err := newAddresses(argument)
		return op, n, err
	}
	if is := comparisons[name]; is != nil {
		with, _ := strconv.Atoi(argument)
		return comparison{with, is}, n, nil
	}
	return opaque{}, n, nil
}

// whole is the need of an operator that looks for one text.
func whole(text string) (n need) {
	if text != "" {
		n.anyOf = []string{lowered(text)[:min(len(text), maxLiteral)]}
	}
	return n
}

// lowered is text with ASCII letters in lower case, and so of the same length.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

func newExpression(argument string, budget *atomic.Int64) (operator, need, error) {
	if arbitraryBytes(argument) {
		re, err := binaryregexp.Compile(argument)
		if err != nil {
			return nil, need{}, err
		}
		n := need{}
		if parsed, err := syntax.Parse(argument, syntax.Perl); err == nil {
			n = needOf(parsed)
		}
		return byteExpression{re}, n, nil
	}
	re, err := regexp.Compile("(?s)" + argument)
	if err != nil {
		return nil, need{}, err
	}
	parsed, err := syntax.Parse("(?s)"+argument, syntax.Perl)
	if err != nil {
		return nil, need{}, err
	}
	e := expression{re: re}
	if budget != nil {
		if e.dfa, err = newDFA(parsed, budget); err != nil {
			return nil, need{}, err
		}
	}
	return e, needOf(parsed), nil
}

// arbitraryBytes reports whether an expression has escapes (\xe2) that are
// meant as bytes and are not UTF-8 together.
func arbitraryBytes(argument string) bool {
	var decoded []byte
	for i := 0; i < len(argument); i++ {
		if argument[i] == '\\' && i+3 < len(argument) && argument[i+1] == 'x' {
			digits, skip := argument[i+2:i+4], 3
			if end := strings.IndexByte(argument[i:], '}'); argument[i+2] == '{' && end > 0 {
				digits, skip = argument[i+3:i+end], end
			}
			if n, err := strconv.ParseUint(digits, 16, 8); err == nil {
				decoded = append(decoded, byte(n))
				i += skip
				continue
			}
		}
		decoded = append(decoded, argument[i])
	}
	return !utf8.Valid(decoded)
}

// newPhrases compiles a list of phrases. An empty phrase matches everything.
func newPhrases(list []string) (operator, need, error) {
	n := need{anyOf: make([]string, 0, len(list)), exact: true}
	for _, s := range list {
		if s == "" {
			return always{}, need{}, nil
		}
		n.anyOf = append(n.anyOf, lowered(s)[:min(len(s), maxLiteral)])
		n.exact = n.exact && len(s) <= maxLiteral
	}
	return phrases{list}, n, nil
}

// phraseLines are the lines of a file of phrases.
func phraseLines(text string) (list []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			list = append(list, strings.ToLower(l))
		}
	}
	return list
}

func newByteRange(argument string) (operator, error) {
	var good transform.Class
	for part := range strings.SplitSeq(argument, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 8)
		b, err2 := strconv.ParseUint(to, 10, 8)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("@validateByteRange: %q is no range of bytes", part)
		}
		for c := a; c <= b; c++ {
			good.Add(byte(c))
		}
	}
	var o byteRange
	for i := range o.bad {
		o.bad[i] = ^good[i]
	}
	return o, nil
}

func newAddresses(argument string) (operator, error) {
	o := addresses{&cidr.Table[struct{}]{}}
	for part := range strings.SplitSeq(argument, ",") {
		part = strings.TrimSpace(part)
		if addr, err := netip.ParseAddr(part); err == nil {
			o.table.Insert(netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), struct{}{})
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("@ipMatch: %q is no address or prefix", part)
		}
		o.table.Insert(p.Masked(), struct{}{})
	}
	return o, nil
}
