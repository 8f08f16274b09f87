package corpus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// body is what the lines of a body stand for, before it is cut into chunks.
func (b block) body(lines []string) ([]byte, error) {
	if b.is("form") {
		return []byte(form(lines)), nil
	}
	text := strings.Join(lines, "\n")
	if b.is("crlf") && len(lines) > 0 {
		text = strings.Join(lines, "\r\n") + "\r\n"
	}
	body := []byte(text)
	if b.is("escaped") {
		var err error
		if body, err = unescape(text); err != nil {
			return nil, err
		}
	}
	if b.is("gzip") {
		return compress(body)
	}
	return body, nil
}

// form encodes fields as browsers do. A line that begins with a tab is a
// further line of the value above.
func form(lines []string) string {
	var fields []string
	for _, line := range lines {
		more, continues := strings.CutPrefix(line, "\t")
		if continues && len(fields) > 0 {
			fields[len(fields)-1] += "%0D%0A" + encode(more)
		} else {
			fields = append(fields, pair(line))
		}
	}
	return strings.Join(fields, "&")
}

// pair encodes "name=value".
func pair(text string) string {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return encode(name)
	}
	return encode(name) + "=" + encode(value)
}

// encode is the urlencoded serializer of the URL standard, which differs
// from Go's in two characters.
func encode(text string) string {
	return strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(text))
}

// unescape replaces \r, \n, \t, \\ and \xHH; a backslash before anything
// else is a mistake.
func unescape(text string) ([]byte, error) {
	simple := map[byte]byte{'r': '\r', 'n': '\n', 't': '\t', '\\': '\\'}
	var out []byte
	for {
		before, rest, found := strings.Cut(text, `\`)
		out = append(out, before...)
		if !found {
			return out, nil
		}
		if rest == "" {
			return nil, fmt.Errorf("a backslash at the end")
		}
		if c, ok := simple[rest[0]]; ok {
			out, text = append(out, c), rest[1:]
			continue
		}
		if rest[0] != 'x' || len(rest) < 3 {
			return nil, fmt.Errorf(`no escape begins with \%.1s`, rest)
		}
		n, err := strconv.ParseUint(rest[1:3], 16, 8)
		if err != nil {
			return nil, fmt.Errorf(`\%s: %w`, rest[:3], err)
		}
		out, text = append(out, byte(n)), rest[3:]
	}
}

func compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// chunk cuts a body in two, as a sender does that does not know its length.
func chunk(body []byte) []byte {
	var out bytes.Buffer
	half := len(body) / 2
	for _, part := range [][]byte{body[:half], body[half:]} {
		if len(part) > 0 {
			fmt.Fprintf(&out, "%x\r\n%s\r\n", len(part), part)
		}
	}
	out.WriteString("0\r\n\r\n")
	return out.Bytes()
}
