package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// syntaxPos keeps the position inside the file: the parser may point behind
// its end, or nowhere.
func syntaxPos(err error, data []byte) Pos {
	at := Pos{Line: 1, Column: 1}
	var le *yaml.LoadError
	if errors.As(err, &le) && le.Mark.Line > 0 {
		at = Pos{Line: le.Mark.Line, Column: max(le.Mark.Column, 1)}
	} else if i := noText(data); i >= 0 {
		at.Line = lines(append(bytes.Clone(data[:i]), 'x'))
	}
	var extra extraDocument
	if errors.As(err, &extra) {
		at = extra.at
	}
	if last := lines(data); at.Line > last {
		at = Pos{Line: last, Column: 1}
	}
	return at
}

// lines counts lines as YAML does: CR, LF, CRLF, NEL, LS and PS end one. A
// break at the end of the file starts no line.
func lines(data []byte) int {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data))
	return 1 + strings.Count(strings.TrimSuffix(text, "\n"), "\n")
}

// noText is where the first byte is that YAML takes for no text, or -1: what
// is not UTF-8, and control characters. The parser does not say.
func noText(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 {
			return i
		}
		i += n
	}
	return -1
}

// syntaxMessage is the parser's, in the words of who writes a configuration
// where it speaks of tokens.
func syntaxMessage(err error, data []byte) string {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return err.Error()
	}
	if i := noText(data); i >= 0 && le.Mark.Line == 0 {
		return fmt.Sprintf("the byte 0x%02x is no text; save the file as UTF-8, without control characters", data[i])
	}
	name, isAlias := strings.CutPrefix(le.Message, "unknown anchor '")
	switch {
	case isAlias:
		name, _, _ = strings.Cut(name, "'")
		return fmt.Sprintf("a value that begins with * needs quotes: %s", quote("*"+name))
	case strings.HasPrefix(le.Message, "found character that cannot start any token"):
		return badStart(le.Mark, data)
	case strings.HasPrefix(le.Message, "exceeded max depth"):
		return fmt.Sprintf("nested deeper than %d levels, which no key is; check brackets and indentation", maxDepth)
	}
	said := le.Message
	if le.ContextMsg != "" {
		said = fmt.Sprintf("%s (%s)", le.Message, le.ContextMsg)
	}
	return said + advice(le)
}

// badStart explains a character that no value begins with.
func badStart(at yaml.Mark, data []byte) string {
	rest := skip(data, at.Index)
	switch {
	case bytes.HasPrefix(rest, []byte("\t")):
		return "a tab where the indentation is; indent with blanks"
	case len(rest) > 0 && strings.IndexByte("@`%", rest[0]) >= 0:
		return fmt.Sprintf("a value that begins with %c needs quotes", rest[0])
	}
	return "a value begins with a character that cannot begin one; put it in quotes"
}

// skip leaves out n characters.
func skip(data []byte, n int) []byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for ; n > 0 && len(data) > 0; n-- {
		_, size := utf8.DecodeRune(data)
		data = data[size:]
	}
	return data
}

// advice is what to do about messages that only say what the parser expected.
func advice(le *yaml.LoadError) string {
	switch m := le.Message; {
	case strings.HasPrefix(m, "mapping values are not allowed"):
		return "; a value with a colon and a blank in it needs quotes, and the keys of a mapping begin in one column"
	case strings.Contains(m, "'-' indicator"):
		return "; the entries of a list begin with - in one column, and their keys in another"
	case strings.HasPrefix(m, "did not find expected key"):
		return "; the keys of a mapping begin in one column"
	case strings.HasPrefix(m, "found unexpected end of stream") && le.ContextMark.Line > 0:
		return fmt.Sprintf("; the quote on line %d is not closed", le.ContextMark.Line)
	case strings.HasPrefix(m, "could not find expected ':'"):
		return "; a key is followed by a colon and a blank"
	}
	return ""
}
