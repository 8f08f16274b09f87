// Package corpus reads requests that were written down for tests: what real
// applications send and must stay unblocked, and attacks that must stay
// caught. test/waf/benign/README.md says how the files are written.
package corpus

import (
	"fmt"
	"io/fs"
	"strings"
)

// Request is one request of a corpus.
type Request struct {
	Class string // the name of its file, without .txt
	Name  string // says what it is; unique in its class
	Raw   []byte // the whole HTTP/1.1 message, as it goes over the wire
}

// headsFile defines pieces of heads for the other files of its directory.
const headsFile = "heads.txt"

// Load reads the classes of a directory, the files *.txt, in the order of
// their names. A mistake in a file is an error that names file and block.
func Load(dir fs.FS) ([]Request, error) {
	names, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	pieces, err := loadPieces(dir)
	if err != nil {
		return nil, err
	}
	var all []Request
	for _, name := range names {
		if name == headsFile {
			continue
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
		list, err := parse(string(text), pieces)
		if err != nil {
			return nil, fmt.Errorf("corpus: %s: %w", name, err)
		}
		for _, r := range list {
			r.Class = strings.TrimSuffix(name, ".txt")
			all = append(all, r)
		}
	}
	return all, nil
}

// parse reads the requests of one file.
func parse(text string, pieces pieces) (list []Request, err error) {
	blocks, err := split(text)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, b := range blocks {
		if seen[b.name] {
			return nil, fmt.Errorf("line %d: %q is there twice", b.line, b.name)
		}
		seen[b.name] = true
		raw, err := b.message(pieces)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", b.line, b.name, err)
		}
		list = append(list, Request{Name: b.name, Raw: raw})
	}
	return list, nil
}
