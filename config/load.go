// Package config is the vocabulary of Gatehouse: what its configuration files
// can say, decoded strictly into pure data.
//
// [LoadGateway] reads a file and [ParseGateway] bytes; both report every
// error at once, each with its file, line and path. What the keys are, what
// they accept and what they default to stands in one table (keys.go), which
// the decoder reads and from which [Schema] is made.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxFileSize bounds a configuration file. It is what some ten thousand
// listeners need, several times over.
const MaxFileSize = 4 << 20

// gatewayHint is what an empty file draws.
const gatewayHint = "`appgw demo` and `appgw proxy --print-config` show what to write"

// LoadGateway reads and checks the configuration of appgw. A file that
// cannot be read is an error of package os; a configuration that is refused
// is an [Errors] with everything that is wrong.
func LoadGateway(file string) (*Gateway, Warnings, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseGateway(file, data)
}

// readFile reads at most one byte more than MaxFileSize: enough for
// ParseGateway to refuse what is too long.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFileSize+1))
}

// ParseGateway checks the bytes of a configuration of appgw. The file's name
// is for messages, and its directory is what relative paths in the
// configuration are relative to; nothing is opened.
//
// Warnings are returned also beside an error.
func ParseGateway(file string, data []byte) (*Gateway, Warnings, error) {
	r := newReport(file)
	root := parseTree(r, data, gatewayHint)
	if root == nil {
		return nil, nil, r.errors()
	}
	d := &decoder{report: r, dir: filepath.Dir(file)}
	g := &Gateway{}
	gatewayObject().read(cursor{d: d, node: root}, g)
	finish(g)
	check(g, r)
	if err := r.errors(); err != nil {
		return nil, r.warnings(), err
	}
	return g, r.warnings(), nil
}
