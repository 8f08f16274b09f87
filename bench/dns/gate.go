//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
	"gatehouse/dnslb/geo"

	"github.com/miekg/dns"
)

// gate checks the answers of a server before it is measured: who is fast but
// wrong takes no part.
type gate struct {
	c     *benchCase
	setup servers.Setup
}

// gateSample is how many of the queries the gate asks.
const gateSample = 40

// alike is how many answers by weight must not all be the same: with the
// weights 2 and 1 they are for one server in 10^17.
const alike = 100

// check asks a sample of the case's queries. The remark is something that a
// reader of the figures should know.
func (g *gate) check(ctx context.Context) (remark string, err error) {
	all := g.c.queries()
	step := max(1, len(all)/gateSample)
	for i := 0; i < len(all); i += step {
		if err := g.one(ctx, all[i]); err != nil {
			return "", err
		}
	}
	if i := slices.IndexFunc(all, missing); i >= 0 {
		if err := g.one(ctx, all[i]); err != nil {
			return "", err
		}
	}
	if g.c.method != servers.Weighted {
		return "", nil
	}
	return g.spread(ctx, all[0])
}

// missing tells whether a query is for a name that does not exist.
func missing(q load.Query) bool { return len(q.Name) > 4 && q.Name[:4] == "miss" }

// one checks the answer to a query, by each of the client subnets that
// matter.
func (g *gate) one(ctx context.Context, q load.Query) error {
	if g.c.ecs == "" {
		_, err := g.ask(ctx, q, netip.Prefix{}, g.addresses(q.Type))
		return err
	}
	networks := []string{german}
	if g.c.ecs == load.Varied {
		networks = append(networks, "3.1.2.0/24", "126.1.2.0/24", "80.67.169.0/24", "200.160.2.0/24", "198.51.100.0/24")
	}
	for _, text := range networks {
		network := netip.MustParsePrefix(text)
		want := []netip.Addr{countryAddress(g.setup.Endpoints, network.Addr())}
		if _, err := g.ask(ctx, q, network, want); err != nil {
			return fmt.Errorf("client subnet %s: %w", network, err)
		}
	}
	return nil
}

// countryAddress is where a client is led by its country.
func countryAddress(endpoints []servers.Endpoint, client netip.Addr) netip.Addr {
	country := geo.Builtin().Lookup(client).Country
	for _, e := range endpoints {
		if e.Country == country && country != "" {
			return e.V4
		}
	}
	return endpoints[len(endpoints)-1].V4
}

// addresses are those that an answer may have.
func (g *gate) addresses(kind string) []netip.Addr {
	endpoints := g.setup.Endpoints
	if g.c.method == servers.Priority {
		endpoints = endpoints[:1]
	}
	var all []netip.Addr
	for _, e := range endpoints {
		if kind == "AAAA" {
			all = append(all, e.V6)
		} else {
			all = append(all, e.V4)
		}
	}
	return all
}

// ask sends a query and checks the answer: one address, of those wanted.
func (g *gate) ask(ctx context.Context, q load.Query, subnet netip.Prefix, want []netip.Addr) (netip.Addr, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	if g.c.do || subnet.IsValid() {
		m.SetEdns0(1232, g.c.do)
	}
	if subnet.IsValid() {
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(subnet.Bits()), Address: subnet.Addr().AsSlice(),
		}}
	}
	client := dns.Client{Timeout: time.Second}
	if g.c.tcp {
		client.Net = "tcp"
	}
	r, _, err := client.ExchangeContext(ctx, m, g.setup.Addr.String())
	if err != nil {
		return netip.Addr{}, err
	}
	got, err := judge(r, missing(q), want)
	if err == nil {
		err = g.verify(ctx, r)
	}
	if err != nil {
		return got, fmt.Errorf("%s %s: %w", q.Name, q.Type, err)
	}
	return got, nil
}

// judge checks a response.
func judge(r *dns.Msg, missing bool, want []netip.Addr) (netip.Addr, error) {
	rcode := dns.RcodeSuccess
	if missing {
		rcode = dns.RcodeNameError
	}
	switch {
	case r.Rcode != rcode:
		return netip.Addr{}, fmt.Errorf("%s instead of %s", dns.RcodeToString[r.Rcode], dns.RcodeToString[rcode])
	case !r.Authoritative:
		return netip.Addr{}, errors.New("no authoritative answer")
	}
	addresses := answers(r)
	switch {
	case missing && len(addresses) == 0:
		return netip.Addr{}, nil
	case missing || len(addresses) != 1:
		return netip.Addr{}, fmt.Errorf("%d addresses", len(addresses))
	case !slices.Contains(want, addresses[0]):
		return netip.Addr{}, fmt.Errorf("%s, want one of %v", addresses[0], want)
	}
	return addresses[0], nil
}

// answers are the addresses of a response.
func answers(r *dns.Msg) (addresses []netip.Addr) {
	for _, rr := range r.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			a, _ := netip.AddrFromSlice(rr.A.To4())
			addresses = append(addresses, a)
		case *dns.AAAA:
			a, _ := netip.AddrFromSlice(rr.AAAA)
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// spread looks whether answers by weight differ at all: a server may keep one
// for a while, which is cheaper, and not what was asked for.
func (g *gate) spread(ctx context.Context, q load.Query) (string, error) {
	seen := make(map[netip.Addr]int)
	for range alike {
		a, err := g.ask(ctx, q, netip.Prefix{}, g.addresses(q.Type))
		if err != nil {
			return "", err
		}
		seen[a]++
	}
	if len(seen) == 1 {
		return fmt.Sprintf("%d answers in a row were the same: they come from its cache, not from a draw", alike), nil
	}
	return "", nil
}
