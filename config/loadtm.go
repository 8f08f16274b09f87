package config

import (
	"fmt"
	"path/filepath"
)

// trafficManagerHint is what an empty file draws.
const trafficManagerHint = "`trafficmgr demo` shows what to write"

// LoadTrafficManager reads and checks the configuration of trafficmgr. A
// file that cannot be read is an error of package os; a configuration that is
// refused is an [Errors] with everything that is wrong.
func LoadTrafficManager(file string) (*TrafficManager, Warnings, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseTrafficManager(file, data)
}

// ParseTrafficManager checks the bytes of a configuration of trafficmgr. The
// file's name is for messages, and its directory is what relative paths in
// the configuration are relative to; nothing is opened.
//
// Warnings are returned also beside an error.
func ParseTrafficManager(file string, data []byte) (*TrafficManager, Warnings, error) {
	r := newReport(file)
	root := parseTree(r, data, trafficManagerHint)
	if root == nil {
		return nil, nil, r.errors()
	}
	d := &decoder{report: r, dir: filepath.Dir(file)}
	t := &TrafficManager{}
	trafficManagerObject().read(cursor{d: d, node: root}, t)
	finishTrafficManager(t, r)
	checkTrafficManager(t, r)
	if err := r.errors(); err != nil {
		return nil, r.warnings(), err
	}
	return t, r.warnings(), nil
}
