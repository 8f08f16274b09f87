package seclang

import (
	"fmt"
	"strings"
)

// maxLine is the length of a line, in bytes, from which on Coraza stops
// reading a file, without a word.
const maxLine = 64 << 10

// statement is a directive with its arguments on one line.
type statement struct {
	text string
	file string
	line int
}

// statements puts lines that end in a backslash together, leaves out empty
// lines and comments (also between continued lines), and keeps what is
// between a backtick at the end of a line and one at the beginning of another.
func statements(f File) (list []statement, errs []error) {
	var text strings.Builder
	number, first, backticks := 0, 0, false
	for line := range strings.Lines(f.Text) {
		number++
		if len(line) >= maxLine {
			errs = append(errs, &Error{f.Name, number, fmt.Errorf("the line has more than %d bytes", maxLine-1)})
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if first == 0 {
			first = number
		}
		switch {
		case !backticks && line[len(line)-1] == '`':
			backticks = true
		case backticks && line[0] == '`':
			backticks = false
		}
		if before, ok := strings.CutSuffix(line, `\`); ok && !backticks {
			text.WriteString(before)
			continue
		}
		text.WriteString(line)
		if backticks {
			text.WriteByte('\n')
			continue
		}
		list = append(list, statement{text.String(), f.Name, first})
		text.Reset()
		first = 0
	}
	switch {
	case backticks:
		errs = append(errs, &Error{f.Name, first, fmt.Errorf("no line begins with the backtick that ends this")})
	case first != 0:
		errs = append(errs, &Error{f.Name, first, fmt.Errorf("the last line ends in a backslash, and nothing follows")})
	}
	return list, errs
}

// wholeUnquoted takes the double quotes off a text that begins and ends with
// one, as many as there are: of `"a" "b"` remains `a" "b`, as in Coraza.
func wholeUnquoted(text string) (inner string, quoted bool) {
	if len(text) >= 3 && text[0] == '"' && text[len(text)-1] == '"' {
		return strings.Trim(text, `"`), true
	}
	return text, false
}

// unquoted takes one pair of quotes of either kind off a text.
func unquoted(text string) string {
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1]
	}
	return text
}

// words splits a text at blanks, except within double quotes.
func words(text string) (list []string) {
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		if end := closingQuote(text); end > 0 {
			list, text = append(list, text[1:end]), text[end+1:]
			continue
		}
		end := strings.IndexAny(text, " \t")
		if end < 0 {
			end = len(text)
		}
		list, text = append(list, text[:end]), text[end:]
	}
	return list
}

// closingQuote returns where the double quote is that ends the text that
// begins with one, or -1. A quote after an odd number of backslashes is part
// of the text.
func closingQuote(text string) int {
	if text == "" || text[0] != '"' {
		return -1
	}
	escaped := false
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"' && !escaped:
			return i
		case text[i] == '\\':
			escaped = !escaped
		default:
			escaped = false
		}
	}
	return -1
}
