package body

import (
	"strings"

	"gatehouse/waf/variables"
)

// Cookies appends the cookies of one Cookie field to into, in their order:
// pairs between semicolons, without the spaces and control characters around
// names and values. A value without a name is kept, because servers exist
// that hand it to the application; nothing is decoded, as RFC 6265 says.
func Cookies(value string, into []variables.Pair) []variables.Pair {
	for value != "" {
		var pair string
		pair, value, _ = strings.Cut(value, ";")
		name, val, _ := strings.Cut(pair, "=")
		name, val = trimControls(name), trimControls(val)
		if name == "" && val == "" {
			continue
		}
		into = append(into, variables.Pair{Name: name, Value: val})
	}
	return into
}

// trimControls removes spaces and ASCII control characters from both ends.
func trimControls(s string) string {
	for len(s) > 0 && isControlOrSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isControlOrSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isControlOrSpace(c byte) bool { return c <= ' ' || c == 0x7f }
