package config

import (
	"fmt"
	"path/filepath"
)

// loadBalancerHint is what an empty file draws.
const loadBalancerHint = "`l4lb demo` and `l4lb forward --print-config` show what to write"

// LoadLoadBalancer reads and checks the configuration of l4lb. A file that
// cannot be read is an error of package os; a configuration that is refused
// is an [Errors] with everything that is wrong.
func LoadLoadBalancer(file string) (*LoadBalancer, Warnings, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return ParseLoadBalancer(file, data)
}

// ParseLoadBalancer checks the bytes of a configuration of l4lb. The file's
// name is for messages, and its directory is what relative paths in the
// configuration are relative to; nothing is opened.
//
// Warnings are returned also beside an error.
func ParseLoadBalancer(file string, data []byte) (*LoadBalancer, Warnings, error) {
	r := newReport(file)
	root := parseTree(r, data, loadBalancerHint)
	if root == nil {
		return nil, nil, r.errors()
	}
	d := &decoder{report: r, dir: filepath.Dir(file)}
	b := &LoadBalancer{}
	loadBalancerObject().read(cursor{d: d, node: root}, b)
	finishLoadBalancer(b)
	checkLoadBalancer(b, r)
	if err := r.errors(); err != nil {
		return nil, r.warnings(), err
	}
	return b, r.warnings(), nil
}
