package config

import (
	"fmt"
	"strings"
)

// dnsName checks a host name and returns it in lower case without a trailing
// dot. An underscore is allowed: names of containers have them.
func dnsName(s string) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("%s is not a host name; it needs 1 to 253 characters", quote(s))
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label, "_"); err != nil {
			return "", fmt.Errorf("%s is not a host name: %w", quote(s), err)
		}
	}
	if allDigits(name[strings.LastIndexByte(name, '.')+1:]) {
		return "", fmt.Errorf("%s is neither an IP address nor a host name, whose last label is not a number", quote(s))
	}
	return name, nil
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// checkLabel checks one label of a name (RFC 1123 2.1).
func checkLabel(label, extra string) error {
	if label == "" || len(label) > 63 {
		return fmt.Errorf("a label has 1 to 63 characters")
	}
	for _, r := range label {
		if r > 126 {
			return fmt.Errorf("write names that are not ASCII in their xn-- form")
		}
		if !isAlnum(r) && r != '-' && !strings.ContainsRune(extra, r) {
			return fmt.Errorf("a label has letters, digits and -, not %q", r)
		}
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return fmt.Errorf("a label does not begin or end with -")
	}
	return nil
}

// hostPattern checks a listener's host name by Azure's rules for wildcards:
// * stands for any characters (also dots) and ? for one, * at most once in a
// label and twice in a name, at most four wildcards, not both in one label.
func hostPattern(s string) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if strings.ContainsAny(name, ":/[]") {
		return "", fmt.Errorf("%s is not a host name; write it without scheme, port or path", quote(s))
	}
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("%s is not a host name; it needs 1 to 253 characters", quote(s))
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkPatternLabel(label); err != nil {
			return "", fmt.Errorf("%s is not a host name: %w", quote(s), err)
		}
	}
	if strings.Count(name, "*") > 2 {
		return "", fmt.Errorf("%s has more than two *; use at most two in a name", quote(s))
	}
	if strings.Count(name, "*")+strings.Count(name, "?") > 4 {
		return "", fmt.Errorf("%s has more than four wildcards; use at most four in a name", quote(s))
	}
	return name, nil
}

func checkPatternLabel(label string) error {
	if strings.Count(label, "*") > 1 {
		return fmt.Errorf("use * at most once between two dots")
	}
	if strings.Contains(label, "*") && strings.Contains(label, "?") {
		return fmt.Errorf("do not use * and ? between the same two dots")
	}
	return checkLabel(label, "*?")
}

// isPattern says whether a host name has wildcards.
func isPattern(host string) bool { return strings.ContainsAny(host, "*?") }

// covers says whether pattern matches everything that other, a name or a
// pattern, can match. It may say no where the answer is yes: then only a
// warning is missing. A * of the other is taken as a character that only a *
// can match, which holds as host names have no such character.
func covers(pattern, other string) bool {
	// Greedy matching with one point to return to: linear in practice and
	// quadratic at worst, on names of at most 253 characters.
	p, o, star, back := 0, 0, -1, 0
	for o < len(other) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, o
			p++
		case p < len(pattern) && (pattern[p] == other[o] || pattern[p] == '?' && other[o] != '*'):
			p++
			o++
		case star >= 0:
			back++
			p, o = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
