package transform

import (
	"path"
	"strings"
)

// normalisePath resolves the elements "." and ".." and repeated slashes of a
// path, and keeps a slash at its end. Coraza's oddity: it makes two slashes of
// one alone.
func normalisePath(text string) string {
	if strings.IndexByte(text, '/') < 0 {
		if text == "." {
			return ""
		}
		return text
	}
	clean := path.Clean(text)
	switch end := len(text) - 1; {
	case clean == ".":
		return ""
	case text[end] != '/':
		return clean
	case clean == text[:end]:
		return text
	}
	return clean + "/"
}

// normalisePathWin is normalisePath for a path as Windows reads it: a backslash
// is a slash, the name of a data stream after a colon is no part of the name,
// nor are dots and spaces at the end of a component.
func normalisePathWin(text string) string {
	return trimComponents(cutStream(normalisePath(strings.ReplaceAll(text, `\`, "/"))))
}

// cutStream removes the name of a data stream ("file:stream",
// "file::$DATA") from the last component. The colon of a drive is none.
func cutStream(path string) string {
	start, end := 0, len(path)
	if end >= 2 && path[1] == ':' && 'a' <= lowerByte(path[0]) && lowerByte(path[0]) <= 'z' {
		start = 2
	}
	if end > start && path[end-1] == '/' {
		end--
	}
	last := start + strings.LastIndexByte(path[start:end], '/') + 1
	colon := strings.IndexByte(path[last:end], ':')
	if colon < 0 {
		return path
	}
	return path[:last+colon] + path[end:]
}

// trimComponents removes the dots and spaces at the end of each component, and
// a component of which nothing is left.
func trimComponents(path string) string {
	if !trimmable(path) {
		return path
	}
	out := make([]byte, 0, len(path))
	first := true
	for component := range strings.SplitSeq(path, "/") {
		kept := trimComponent(component)
		if kept == "" && component != "" {
			continue
		}
		if !first {
			out = append(out, '/')
		}
		first = false
		out = append(out, kept...)
	}
	return asString(out)
}

func trimmable(path string) bool {
	for component := range strings.SplitSeq(path, "/") {
		if len(trimComponent(component)) < len(component) {
			return true
		}
	}
	return false
}

// trimComponent leaves a component of dots alone: it says where to go.
func trimComponent(component string) string {
	end, dots := len(component), true
	for ; end > 0; end-- {
		c := component[end-1]
		if c != '.' && c != ' ' {
			return component[:end]
		}
		dots = dots && c == '.'
	}
	if dots {
		return component
	}
	return ""
}
