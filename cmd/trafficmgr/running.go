package main

import (
	"context"
	"slices"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
	"gatehouse/dnslb/querylog"
	"gatehouse/dnslb/zone"
	"gatehouse/health"
	"gatehouse/internal/tlscert"
)

// running is a configuration that is in use, or about to be.
type running struct {
	conf      *config.TrafficManager
	director  *dnslb.Director
	zones     *zone.Built
	view      *authority.View
	places    *geo.Database
	latencies *latency.Table
	certs     *tlscert.Store
	stopCerts context.CancelFunc
	logOutput querylog.Output // nil: no log, or the one before goes on

	listening map[doorKey]*door
	renew     []func()              // tells doors that go on what has changed
	watches   map[int]*health.Watch // by Endpoint.ID, of those that are probed
	signers   map[signerKey]*dnssec.Signer
	files     []string
	warnings  []string
}

// output is what the query log goes to; a nil interface for none.
func (r *running) output() querylog.Output { return r.logOutput }

// flattened are the host names whose addresses are answered.
func (r *running) flattened() (names []string) {
	for _, e := range r.director.Endpoints {
		if e.Flattened() {
			names = append(names, e.Config().Host)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// byHost are the endpoints that are one of the host names.
func (r *running) byHost(names map[string]bool) (list []*dnslb.Endpoint) {
	if len(names) == 0 {
		return nil
	}
	for _, e := range r.director.Endpoints {
		if e.Flattened() && names[e.Config().Host] {
			list = append(list, e)
		}
	}
	return list
}
