package custom

import (
	"fmt"
	"net/netip"
	"strings"
)

// Operator is how a value is compared with those of a condition.
type Operator uint8

const (
	Any                Operator = iota // there is a value; a query string or body must not be empty
	IPMatch                            // the address is one of these addresses or in one of these prefixes
	GeoMatch                           // the address is in one of these countries: ISO 3166-1 alpha-2, or ZZ for unknown
	Equal                              // the whole value, case included
	Contains                           // somewhere in the value, case included
	BeginsWith                         // the value begins so, case included
	EndsWith                           // the value ends so, case included
	LessThan                           // numbers, compared as such; a value that is no number satisfies none of the four
	LessThanOrEqual                    // likewise
	GreaterThan                        // likewise
	GreaterThanOrEqual                 // likewise
	Regex                              // an RE2 expression matches somewhere in the value; as in RE2, a dot is no newline without (?s)
)

// String is the operator's name in configurations.
func (o Operator) String() string {
	return name(o, "any", "ipMatch", "geoMatch", "equal", "contains", "beginsWith", "endsWith", "lessThan",
		"lessThanOrEqual", "greaterThan", "greaterThanOrEqual", "regex")
}

// operator decides on one text, after its transforms.
type operator interface {
	holds(value string) bool
}

// addressOperator decides on one address. It gets the country only when it
// asks, since that is a look-up.
type addressOperator interface {
	holdsAddr(a netip.Addr, country func(netip.Addr) string) bool
}

// operators makes the operator of a condition from its values: one for texts,
// or one for addresses.
func (c *Condition) operators() (operator, addressOperator, error) {
	switch c.Operator {
	case Any:
		return anything{}, anything{}, noValues(c.Values)
	case IPMatch:
		op, err := newIPMatch(c.Values)
		return nil, op, err
	case GeoMatch:
		op, err := newGeoMatch(c.Values)
		return nil, op, err
	case LessThan, LessThanOrEqual, GreaterThan, GreaterThanOrEqual:
		op, err := newComparison(c.Operator, c.Values)
		return op, nil, err
	}
	if err := checkTexts(c.Operator, c.Values); err != nil {
		return nil, nil, err
	}
	switch c.Operator {
	case Equal:
		return newEqual(c.Values), nil, nil
	case Contains:
		return contains(c.Values), nil, nil
	case BeginsWith:
		return beginsWith(c.Values), nil, nil
	case EndsWith:
		return endsWith(c.Values), nil, nil
	case Regex:
		op, err := newRegex(c.Values)
		return op, nil, err
	}
	return nil, nil, fmt.Errorf("unknown operator %d", c.Operator)
}

// checkTexts refuses values that would match everything by mistake, or cost too much.
func checkTexts(o Operator, values []string) error {
	most := MaxTexts
	if o == Equal {
		most = MaxEqual
	}
	if len(values) == 0 || len(values) > most {
		return fmt.Errorf("%d values, want 1 to %d", len(values), most)
	}
	for _, v := range values {
		if len(v) > MaxText {
			return fmt.Errorf("value %s has %d bytes, more than %d", abbreviated(v), len(v), MaxText)
		}
		if v == "" && o != Equal {
			return fmt.Errorf("an empty value is in every text")
		}
	}
	return nil
}

func abbreviated(v string) string {
	if len(v) > 40 {
		v = strings.ToValidUTF8(v[:40], "") + "..."
	}
	return fmt.Sprintf("%q", v)
}
