package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// DNS is where dns-01 sets its records, by dynamic updates (RFC 2136). It is
// comparable.
type DNS struct {
	Server      string // host:port of the zone's primary server
	Zone        string // empty: the server is asked
	KeyName     string // of the TSIG key (RFC 8945); empty: updates are not signed
	Algorithm   string // hmac-sha256 and so on
	Secret      string // base64
	Propagation time.Duration
}

// updater meets dns-01 challenges. It implements acmez.Solver and
// acmez.Waiter.
type updater struct{ DNS }

// recordTTL is in seconds: as short as the record lives.
const recordTTL = 60

// Present implements acmez.Solver.
func (u *updater) Present(ctx context.Context, ch acme.Challenge) error {
	return u.update(ctx, ch, (*dns.Msg).Insert)
}

// CleanUp implements acmez.Solver: other records of the name stay.
func (u *updater) CleanUp(ctx context.Context, ch acme.Challenge) error {
	return u.update(context.WithoutCancel(ctx), ch, (*dns.Msg).Remove)
}

// Wait implements acmez.Waiter.
func (u *updater) Wait(ctx context.Context, _ acme.Challenge) error {
	sleep(ctx, u.Propagation)
	return ctx.Err()
}

func (u *updater) update(ctx context.Context, ch acme.Challenge, do func(*dns.Msg, []dns.RR)) error {
	name := dns.CanonicalName(ch.DNS01TXTRecordName())
	zone, err := u.zone(ctx, name)
	if err != nil {
		return fmt.Errorf("zone of %s: %w", name, err)
	}
	m := new(dns.Msg).SetUpdate(zone)
	do(m, []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: []string{ch.DNS01KeyAuthorization()}}})
	if _, err := u.ask(ctx, m); err != nil {
		return fmt.Errorf("update of %s in %s: %w", name, zone, err)
	}
	return nil
}

// zone is the one that a name is in: the server names it in its answer about
// the name, whether there is such a name or not (RFC 2308 3).
func (u *updater) zone(ctx context.Context, name string) (string, error) {
	if u.Zone != "" {
		return dns.CanonicalName(u.Zone), nil
	}
	in, err := u.ask(ctx, new(dns.Msg).SetQuestion(name, dns.TypeSOA))
	if err != nil {
		return "", err
	}
	for _, rr := range append(in.Answer, in.Ns...) {
		if zone := dns.CanonicalName(rr.Header().Name); rr.Header().Rrtype == dns.TypeSOA && dns.IsSubDomain(zone, name) {
			return zone, nil
		}
	}
	return "", errors.New(u.Server + " does not say; add zone")
}

// askTime bounds one exchange with the server.
const askTime = 10 * time.Second

// ask sends a message over TCP, signed if there is a key.
func (u *updater) ask(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c := &dns.Client{Net: "tcp", Timeout: askTime}
	if u.KeyName != "" {
		key := dns.CanonicalName(u.KeyName)
		c.TsigSecret = map[string]string{key: u.Secret}
		m.SetTsig(key, dns.CanonicalName(u.Algorithm), 300, time.Now().Unix())
	}
	in, _, err := c.ExchangeContext(ctx, m, u.Server)
	switch {
	case err != nil:
		return nil, err
	case in.Rcode == dns.RcodeSuccess, in.Rcode == dns.RcodeNameError && m.Opcode == dns.OpcodeQuery:
		return in, nil
	}
	return nil, fmt.Errorf("%s answered %s", u.Server, strings.ToUpper(dns.RcodeToString[in.Rcode]))
}
