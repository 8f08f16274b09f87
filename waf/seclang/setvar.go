package seclang

import (
	"fmt"
	"strings"
)

// SetVar gives a variable of the collection TX a value: setvar:TX.name=value.
type SetVar struct {
	Name string // without TX, with macros; case does not matter
	// Value is a text with macros. If, when these are put in, it begins with a
	// plus or minus sign and goes on with digits or not at all, that much is
	// added to or taken from what the variable has (nothing is 0).
	Value string
}

func (r *Rule) addSetVar(text string) error {
	key, value, given := strings.Cut(text, "=")
	collection, name, _ := strings.Cut(strings.TrimPrefix(key, "!"), ".")
	switch {
	case !strings.EqualFold(collection, "TX") || strings.TrimSpace(name) == "":
		return fmt.Errorf("%.60q: want TX.name=value", text)
	case key[0] == '!' || !given:
		// Coraza accepts these and panics when the rule matches.
		return fmt.Errorf("%.60q: a variable cannot be removed: want TX.name=value", text)
	}
	if err := checkMacro(name); err != nil {
		return err
	}
	if err := checkMacro(value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	r.SetVars = append(r.SetVars, SetVar{Name: name, Value: value})
	return nil
}
