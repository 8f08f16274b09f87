package custom

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// regex is Regex.
type regex []*regexp.Regexp

func newRegex(values []string) (regex, error) {
	list := make(regex, len(values))
	for i, v := range values {
		n, err := instructions(v)
		if err != nil {
			return nil, fmt.Errorf("expression %s: %w", abbreviated(v), err)
		}
		if n > MaxInstructions {
			return nil, fmt.Errorf("expression %s compiles to %d instructions, more than %d", abbreviated(v), n, MaxInstructions)
		}
		if list[i], err = regexp.Compile(v); err != nil {
			return nil, fmt.Errorf("expression %s: %w", abbreviated(v), err)
		}
	}
	return list, nil
}

// instructions is the size of the program that an expression becomes.
func instructions(expression string) (int, error) {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

func (list regex) holds(value string) bool {
	for _, r := range list {
		if r.MatchString(value) {
			return true
		}
	}
	return false
}
