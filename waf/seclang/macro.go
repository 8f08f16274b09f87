package seclang

import (
	"errors"
	"fmt"
	"strings"
)

// Piece is a part of a text with macros: literal text, or a variable to be
// put in.
type Piece struct {
	// Text is literal, or what is in the braces of a macro: Coraza leaves that
	// there, without the braces, where the variable has no such value.
	Text     string
	Variable string // in upper case; empty for literal text
	Key      string // in lower case; empty if the macro has none
}

// Macro splits a text such as "%{MATCHED_VAR} in %{tx.id}" into its pieces, in
// order. The error tells of a macro that is not closed, or names no known
// variable; the texts in the rules of Parse have none, except the arguments of
// operators that have no macros for Coraza either (rx, pm and others).
func Macro(text string) (pieces []Piece, err error) {
	for text != "" {
		before, rest, ok := strings.Cut(text, "%{")
		if before != "" {
			pieces = append(pieces, Piece{Text: before})
		}
		if !ok {
			break
		}
		inner, after, ok := strings.Cut(rest, "}")
		if !ok {
			return nil, fmt.Errorf("macro %.40q has no closing brace", "%{"+rest)
		}
		p, err := macroVariable(inner)
		if err != nil {
			return nil, err
		}
		pieces, text = append(pieces, p), after
	}
	return pieces, nil
}

func macroVariable(inner string) (p Piece, err error) {
	name, key, keyed := strings.Cut(inner, ".")
	p = Piece{Text: inner, Variable: strings.ToUpper(name), Key: strings.ToLower(key)}
	bad := strings.IndexFunc(inner, func(c rune) bool { return !inMacro(c) })
	_, known := variableNames[p.Variable]
	switch {
	case bad >= 0 || keyed && strings.HasSuffix(inner, "."):
		err = fmt.Errorf("macro %.40q: want %%{VARIABLE} or %%{VARIABLE.key}", "%{"+inner+"}")
	case !known:
		err = fmt.Errorf("macro %.40q: variable %.40q is not known", "%{"+inner+"}", name)
	}
	return p, err
}

func inMacro(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.ContainsRune("[]._-", c)
}

// checkMacro finds mistakes in a text with macros that must not be empty.
func checkMacro(text string) error {
	if text == "" {
		return errors.New("an argument is missing")
	}
	_, err := Macro(text)
	return err
}
