package corpus

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// pieces are lists of fields by name: what one browser, say, always sends.
type pieces map[string][]string

// loadPieces reads the pieces of a directory; it need not have any.
func loadPieces(dir fs.FS) (pieces, error) {
	text, err := fs.ReadFile(dir, headsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	blocks, err := split(string(text))
	if err != nil {
		return nil, fmt.Errorf("corpus: %s: %w", headsFile, err)
	}
	all := pieces{}
	for _, b := range blocks {
		all[b.name] = b.lines
	}
	return all, nil
}

// head is the request line and the fields of a message. A field that the
// block itself has takes the place of those of its pieces.
func (b block) head(written []string, pieces pieces, length int) ([]string, error) {
	if len(written) == 0 {
		return nil, errors.New("no request line")
	}
	lines, own := []string{""}, map[string]bool{}
	var query []string
	for _, line := range written[1:] {
		if arg, ok := strings.CutPrefix(line, "?"); ok {
			query = append(query, pair(arg))
		} else {
			own[fieldName(line)] = true
		}
	}
	for _, line := range written[1:] {
		name, isPiece := strings.CutPrefix(line, "@")
		fields, known := pieces[name]
		switch {
		case isPiece && !known:
			return nil, fmt.Errorf("no piece @%s in %s", name, headsFile)
		case isPiece:
			lines = append(lines, slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return own[fieldName(f)] })...)
		case !strings.HasPrefix(line, "?"):
			lines = append(lines, line)
		}
	}
	lines[0] = withQuery(written[0], query)
	return append(lines, b.framing(written[0], own, length)...), nil
}

// framing is the field that says where the body ends, where the block itself
// does not say it.
func (b block) framing(requestLine string, own map[string]bool, length int) []string {
	method, _, _ := strings.Cut(requestLine, " ")
	switch {
	case own["content-length"] || own["transfer-encoding"]:
		return nil
	case b.is("chunked"):
		return []string{"Transfer-Encoding: chunked"}
	case length > 0 || slices.Contains([]string{"POST", "PUT", "PATCH"}, method):
		return []string{"Content-Length: " + strconv.Itoa(length)}
	}
	return nil
}

// withQuery adds arguments to the target of a request line.
func withQuery(line string, args []string) string {
	if len(args) == 0 {
		return line
	}
	method, rest, _ := strings.Cut(line, " ")
	target, protocol, _ := strings.Cut(rest, " ")
	sep := "?"
	if strings.Contains(target, "?") {
		sep = "&"
	}
	return method + " " + target + sep + strings.Join(args, "&") + " " + protocol
}

func fieldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.ToLower(name)
}
