package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatehouse/proxy/l7"
)

// door is where a request arrives, as its URL or its Host field says.
type door struct {
	scheme string // http or https, tcp or tls; empty: http or https
	host   string // without port and brackets
	port   string // empty: none is named
}

// takes says whether an address speaks the scheme.
func (d door) takes(s *l7.Sites) bool {
	l := s.First()
	if d.layer4() || l.Layer4 {
		return d.layer4() == l.Layer4 && (d.scheme == "tls") == l.HTTPS
	}
	return d.scheme == "" || (d.scheme == "https") == l.HTTPS
}

// layer4 says whether it is a connection that is meant, and no request.
func (d door) layer4() bool { return d.scheme == "tcp" || d.scheme == "tls" }

// meant is the port that a request to an address would be sent to.
func (d door) meant(s *l7.Sites) string {
	switch {
	case d.port != "":
		return d.port
	case d.layer4():
		return "" // bytes have no usual port
	case s.First().HTTPS:
		return "443"
	}
	return "80"
}

// sitesFor finds the listeners that a request would meet. When their address
// is not plain from the request, a step says which one is meant.
func (r *running) sitesFor(d door) (*l7.Sites, []l7.Step, error) {
	var exact, all []int
	var ports []string
	for i, s := range r.snapshot.Sites {
		if !d.takes(s) {
			continue
		}
		port := portOf(s)
		all = append(all, i)
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
		if port == d.meant(s) {
			exact = append(exact, i)
		}
	}
	switch {
	case len(exact) == 1:
		return r.snapshot.Sites[exact[0]], nil, nil
	case len(exact) > 1:
		i, why := r.choose(exact, d.host)
		return r.at(i, why)
	case d.port == "" && len(ports) == 1:
		i, why := r.choose(all, d.host)
		if why != "" {
			why = "; " + why
		}
		return r.at(i, fmt.Sprintf("no port is named, and %s is the only one that %s listeners have%s", ports[0], d.word(), why))
	}
	return nil, nil, r.noDoor(d, ports)
}

// at is the listeners of an address, and the step that says so.
func (r *running) at(i int, why string) (*l7.Sites, []l7.Step, error) {
	return r.snapshot.Sites[i], []l7.Step{{Name: "address", Result: listenAddress(r.addresses[i]), Why: why}}, nil
}

// choose takes the address that a host names, or the first.
func (r *running) choose(candidates []int, host string) (i int, why string) {
	if len(candidates) == 1 {
		return candidates[0], ""
	}
	addr, err := netip.ParseAddr(host)
	for _, i := range candidates {
		if err == nil && r.addresses[i].Addr() == addr.Unmap() {
			return i, "the URL names it"
		}
	}
	return candidates[0], fmt.Sprintf("it is the first of the %d addresses with that port", len(candidates))
}

// noDoor says that no listener has the port, and which ports there are.
func (r *running) noDoor(d door, ports []string) error {
	if len(r.snapshot.Sites) == 0 {
		return errors.New("the configuration has no listeners")
	}
	if len(ports) == 0 {
		for _, s := range r.snapshot.Sites {
			ports = append(ports, portOf(s))
		}
		return fmt.Errorf("there is no %s listener; those there are have the ports %s", d.word(), strings.Join(slices.Compact(ports), ", "))
	}
	if d.port != "" {
		return fmt.Errorf("no %s listener has port %s; they have %s", d.word(), d.port, strings.Join(ports, ", "))
	}
	if d.layer4() {
		return fmt.Errorf("no port is named; name one of those that %s listeners have: %s", d.word(), strings.Join(ports, ", "))
	}
	return fmt.Errorf("no port is named, and no %s listener has %s; name one of theirs: %s", d.word(),
		map[string]string{"http": "80", "https": "443", "": "80 or 443"}[d.scheme], strings.Join(ports, ", "))
}

// word is the scheme for messages.
func (d door) word() string {
	if d.scheme == "" {
		return "http or https"
	}
	return d.scheme
}

func portOf(s *l7.Sites) string { return strconv.Itoa(int(s.First().Port)) }
