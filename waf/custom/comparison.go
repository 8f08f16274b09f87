package custom

import (
	"fmt"
	"strings"
)

// comparison is one of the four operators on numbers.
type comparison struct {
	operator Operator
	values   []decimal
}

func newComparison(o Operator, values []string) (comparison, error) {
	if len(values) == 0 || len(values) > MaxTexts {
		return comparison{}, fmt.Errorf("%d numbers, want 1 to %d", len(values), MaxTexts)
	}
	c := comparison{operator: o, values: make([]decimal, len(values))}
	for i, v := range values {
		d, ok := parseDecimal(v)
		if !ok {
			return comparison{}, fmt.Errorf("%s is no number", abbreviated(v))
		}
		c.values[i] = d
	}
	return c, nil
}

func (c comparison) holds(value string) bool {
	d, ok := parseDecimal(value)
	if !ok {
		return false
	}
	for _, v := range c.values {
		if c.satisfied(d.compare(v)) {
			return true
		}
	}
	return false
}

// satisfied judges the outcome of a comparison: less than, equal to or
// greater than zero.
func (c comparison) satisfied(outcome int) bool {
	switch c.operator {
	case LessThan:
		return outcome < 0
	case LessThanOrEqual:
		return outcome <= 0
	case GreaterThan:
		return outcome > 0
	default:
		return outcome >= 0
	}
}

// decimal is a number as digits, so that numbers of any length compare exactly.
type decimal struct {
	negative bool
	whole    string // without leading zeros
	fraction string // without trailing zeros
}

// parseDecimal reads digits with an optional sign and an optional fraction:
// -12, +3.50, .5. Blanks, exponents and other bases make no number.
func parseDecimal(s string) (d decimal, ok bool) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.negative = s[0] == '-'
		s = s[1:]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole)+len(fraction) == 0 || !digits(whole) || !digits(fraction) {
		return decimal{}, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	d.negative = d.negative && d.whole+d.fraction != ""
	return d, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (d decimal) compare(e decimal) int {
	switch {
	case d.negative && !e.negative:
		return -1
	case !d.negative && e.negative:
		return 1
	case d.negative:
		return magnitude(e, d)
	}
	return magnitude(d, e)
}

// magnitude compares two numbers without their signs.
func magnitude(d, e decimal) int {
	if len(d.whole) != len(e.whole) {
		return len(d.whole) - len(e.whole)
	}
	if c := strings.Compare(d.whole, e.whole); c != 0 {
		return c
	}
	return strings.Compare(d.fraction, e.fraction)
}
