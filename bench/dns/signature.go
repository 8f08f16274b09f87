//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/bench/dns/servers"

	"github.com/miekg/dns"
)

// verify checks that an answer of a signed case has a signature that its
// zone's key confirms, and that one of another case has none.
func (g *gate) verify(ctx context.Context, r *dns.Msg) error {
	var signature *dns.RRSIG
	var records []dns.RR
	for _, rr := range r.Answer {
		if s, ok := rr.(*dns.RRSIG); ok {
			signature = s
		} else {
			records = append(records, rr)
		}
	}
	switch {
	case g.c.signed && signature == nil:
		return errors.New("no signature")
	case !g.c.signed && signature != nil:
		return errors.New("signed without being told so")
	case !g.c.signed:
		return nil
	}
	keys, err := g.zoneKeys(ctx)
	if err != nil {
		return err
	}
	return confirm(signature, keys, records)
}

// confirm checks a signature with the one of the keys that made it.
func confirm(signature *dns.RRSIG, keys []*dns.DNSKEY, records []dns.RR) error {
	if !signature.ValidityPeriod(time.Now()) {
		return errors.New("the signature is not valid now")
	}
	for _, key := range keys {
		if key.KeyTag() != signature.KeyTag {
			continue
		}
		if key.Algorithm != dns.ECDSAP256SHA256 {
			return fmt.Errorf("signed by algorithm %s: not comparable", dns.AlgorithmToString[key.Algorithm])
		}
		return signature.Verify(key, records)
	}
	return fmt.Errorf("no key %d among %d", signature.KeyTag, len(keys))
}

func (g *gate) zoneKeys(ctx context.Context) (keys []*dns.DNSKEY, err error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(servers.Zone), dns.TypeDNSKEY)
	client := dns.Client{Timeout: time.Second}
	r, _, err := client.ExchangeContext(ctx, m, g.setup.Addr.String())
	if err != nil {
		return nil, err
	}
	for _, rr := range r.Answer {
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
