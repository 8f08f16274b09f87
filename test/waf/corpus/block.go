package corpus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// mark begins a block.
const mark = "=== "

// block is one request as it is written down.
type block struct {
	line  int // of its mark, counted from 1
	name  string
	modes []string // how the body is written
	lines []string // of head and body, without empty ones at the end
}

// split finds the blocks of a file. What stands before the first is comment.
func split(text string) (blocks []block, err error) {
	for i, line := range strings.Split(text, "\n") {
		switch rest, begins := strings.CutPrefix(line, mark); {
		case begins:
			b := block{line: i + 1}
			if b.name, b.modes, err = title(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			blocks = append(blocks, b)
		case len(blocks) > 0:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		}
	}
	for i := range blocks {
		lines := blocks[i].lines
		for len(lines) > 0 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		blocks[i].lines = lines
	}
	return blocks, nil
}

// title reads "name [mode mode]".
func title(text string) (name string, modes []string, err error) {
	name, list, found := strings.Cut(text, " [")
	if list, closed := strings.CutSuffix(list, "]"); closed {
		modes = strings.Fields(list)
	} else if found {
		return "", nil, fmt.Errorf("the modes of %q are not closed", text)
	}
	for _, m := range modes {
		if !slices.Contains([]string{"form", "crlf", "escaped", "gzip", "chunked"}, m) {
			return "", nil, fmt.Errorf("there is no mode %q", m)
		}
	}
	if strings.TrimSpace(name) != name || name == "" {
		return "", nil, fmt.Errorf("%q is no name", name)
	}
	return name, modes, nil
}

func (b block) is(mode string) bool { return slices.Contains(b.modes, mode) }

// message is the request as bytes.
func (b block) message(pieces pieces) ([]byte, error) {
	head, written := b.lines, []string(nil)
	if i := slices.Index(b.lines, ""); i >= 0 {
		head, written = b.lines[:i], b.lines[i+1:]
	}
	body, err := b.body(written)
	if err != nil {
		return nil, err
	}
	lines, err := b.head(head, pieces, len(body))
	if err != nil {
		return nil, err
	}
	if b.is("chunked") {
		body = chunk(body)
	}
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(line + "\r\n")
	}
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes(), nil
}
