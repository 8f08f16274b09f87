package config

import (
	"fmt"
	"path/filepath"
)

// Draft is a configuration file read without judging it: for what has to be
// known also of a file that is refused, and for the places of what is found
// wrong after [LoadGateway], with the files that the configuration names.
type Draft struct {
	// AdminAddress is admin.address, or its default. Empty: what is written
	// there is no such address.
	AdminAddress string

	// Gateway is what could be decoded, which nothing may serve: what was
	// refused is zero or wrong, names may be there twice, and references lead
	// nowhere.
	Gateway *Gateway

	// TrafficManager is the same of [LoadTrafficManagerDraft], which leaves
	// Gateway nil. Defaults that depend on other keys are missing.
	TrafficManager *TrafficManager

	// LoadBalancer is the same of [LoadLoadBalancerDraft].
	LoadBalancer *LoadBalancer

	report *report
}

// LoadDraft reads a file. The error says that it cannot be read, or that it
// is not YAML.
func LoadDraft(file string) (*Draft, error) {
	g := &Gateway{}
	r, err := draft(file, gatewayHint, func(c cursor) { gatewayObject().read(c, g) })
	if err != nil {
		return nil, err
	}
	return &Draft{AdminAddress: r.adminAddress(g.Admin), Gateway: g, report: r}, nil
}

// LoadTrafficManagerDraft is [LoadDraft] of a configuration of trafficmgr.
func LoadTrafficManagerDraft(file string) (*Draft, error) {
	t := &TrafficManager{}
	r, err := draft(file, trafficManagerHint, func(c cursor) { trafficManagerObject().read(c, t) })
	if err != nil {
		return nil, err
	}
	return &Draft{AdminAddress: r.adminAddress(t.Admin), TrafficManager: t, report: r}, nil
}

// LoadLoadBalancerDraft is [LoadDraft] of a configuration of l4lb.
func LoadLoadBalancerDraft(file string) (*Draft, error) {
	b := &LoadBalancer{}
	r, err := draft(file, loadBalancerHint, func(c cursor) { loadBalancerObject().read(c, b) })
	if err != nil {
		return nil, err
	}
	return &Draft{AdminAddress: r.adminAddress(b.Admin), LoadBalancer: b, report: r}, nil
}

// draft decodes a file, whatever is wrong with its values.
func draft(file, hint string, decode func(cursor)) (*report, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	r := newReport(file)
	root := parseTree(r, data, hint)
	if root == nil {
		return nil, r.errors()
	}
	decode(cursor{d: &decoder{report: r, dir: filepath.Dir(file)}, node: root})
	return r, nil
}

// adminAddress is empty if it was refused.
func (r *report) adminAddress(a Admin) string {
	if r.failed("admin.address") || r.failed("admin") {
		return ""
	}
	return a.Address
}

// Refused says whether the value at a path, such as listeners[1].address, was
// itself refused when it was decoded.
func (d *Draft) Refused(path string) bool { return d.report.failed(path) }

// Problem says what is wrong at a path, such as listeners[1].tls, with the
// line of it or of the nearest thing around it.
func (d *Draft) Problem(path, message string) Error {
	return d.report.problem(path, "%s", []any{message})
}
