package transform

import "strings"

// replaceComments makes one space of each comment as C and SQL write it. One
// that is not closed goes to the end.
func replaceComments(text string) string {
	e := edit{text: text}
	for i := 0; ; {
		open := strings.Index(text[i:], "/*")
		if open < 0 {
			return e.String()
		}
		open += i
		i = len(text)
		if n := strings.Index(text[open+2:], "*/"); n >= 0 {
			i = open + 2 + n + 2
		}
		e.cut(open, i)
		e.put(' ')
	}
}

// commentByte has the bytes with which the marks of comments begin.
var commentByte = ClassOf("/*<-#").table()

// removeCommentsChar removes the marks of comments and leaves what is between
// them.
func removeCommentsChar(text string) string {
	e := edit{text: text}
	for i := 0; i < len(text); {
		n := 0
		if commentByte[text[i]] {
			n = commentMark(text[i:])
		}
		if n == 0 {
			i++
			continue
		}
		e.cut(i, i+n)
		i += n
	}
	return e.String()
}

// commentMark is the length of the mark that a text begins with; 0: none.
func commentMark(text string) int {
	if text[0] == '#' {
		return 1
	}
	switch text[:min(2, len(text))] {
	case "/*", "*/":
		return 2
	case "--":
		if strings.HasPrefix(text, "-->") {
			return 3
		}
		return 2
	case "<!":
		if strings.HasPrefix(text, "<!--") {
			return 4
		}
	}
	return 0
}

// removeComments removes comments of C, SQL, HTML and the shell.
//
// Three oddities are Coraza's: any end closes any comment; the byte after a
// comment is kept without a look at it, even if it begins another, and is a
// NUL when the text ends there; a comment that is not closed leaves a space.
func removeComments(text string) string {
	e := edit{text: text}
	for i := 0; i < len(text); i++ {
		if !commentByte[text[i]] {
			continue
		}
		rest := text[i:]
		switch {
		case text[i] == '#' || strings.HasPrefix(rest, "--"):
			e.cut(i, len(text))
			return e.String()
		case strings.HasPrefix(rest, "/*"):
			i = e.cutComment(i, i+2)
		case strings.HasPrefix(rest, "<!--"):
			i = e.cutComment(i, i+4)
		}
	}
	return e.String()
}

// cutComment cuts a comment that begins at start and whose text begins at
// inner. It returns the offset of the first byte after it.
func (e *edit) cutComment(start, inner int) int {
	end := inner + commentEnd(e.text[inner:])
	if end < inner {
		e.cut(start, len(e.text))
		e.put(' ')
		return len(e.text)
	}
	e.cut(start, end)
	if end == len(e.text) {
		e.put(0)
	}
	return end
}

// commentEnd is the offset after the first end of a comment; -1: none.
func commentEnd(text string) int {
	for i := range len(text) {
		switch {
		case text[i] == '*' && strings.HasPrefix(text[i:], "*/"):
			return i + 2
		case text[i] == '-' && strings.HasPrefix(text[i:], "-->"):
			return i + 3
		}
	}
	return -1
}
