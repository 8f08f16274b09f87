// Package bot tells which clients are programs, in the classes of Azure's
// rule set Microsoft_BotManagerRuleSet 1.1: bad ones, good ones, and others.
//
// A program is known by what it says of itself, in the field User-Agent; who
// says nothing of the kind is no bot here. That a crawler is what it says is
// then verified: by the host name of its address, which must be one of its
// operator's and must have that address in turn, or by the operator's
// published networks. Who claims to be a crawler whose operator documents
// such names, and does not have one, is bad.
//
// Looking up names takes time, and no request waits for it: until the names
// are known, a Verdict is Pending and of the class Unknown. What was found
// out is kept for a while, and while it is looked up again.
//
// Azure's rules Bot100100 and Bot300600 go by addresses in Microsoft's feeds.
// There is no such feed here, so nothing is given these numbers. Bot100300,
// which goes by a feed as well, is what says that it is a tool for attacks.
package bot

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Options configure a Classifier. The zero value works.
type Options struct {
	Resolver Resolver      // If nil, the system's name servers are asked.
	Logger   *slog.Logger  // of what was found out about addresses, at Debug. If nil, nothing is logged.
	Size     int           // addresses that are remembered. If zero, 16384 (some 3 MiB when full).
	Workers  int           // addresses that are looked up at a time. If zero, 4.
	Timeout  time.Duration // for all look-ups about an address. If zero, 5s.
	Keep     time.Duration // after which an address is looked up again. If zero, 1h.
	Retry    time.Duration // the same after a failure of DNS. If zero, 1m.
	Offline  bool          // nothing is looked up but by Verify.
}

// Resolver asks name servers. Both methods must return soon after the context
// ends, and say with a *net.DNSError with IsNotFound set that there is no
// such name: any other error counts as a failure, which proves nothing.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Classifier classes clients. Its methods may be called by many goroutines.
type Classifier struct {
	patterns   *matcher
	signatures []signature // by number of pattern
	operators  []operator
	verifier   *verifier
}

// New makes a Classifier, which Close ends.
func New(o Options) *Classifier {
	o = o.withDefaults()
	c := &Classifier{signatures: signatures(), operators: operators()}
	patterns := make([]string, len(c.signatures))
	for i := range c.signatures {
		patterns[i] = c.signatures[i].pattern
	}
	c.patterns = newMatcher(patterns)
	c.verifier = newVerifier(o, c.operators)
	return c
}

func (o Options) withDefaults() Options {
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{PreferGo: true} // the one of libc does not stop when it is told to
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Size <= 0 {
		o.Size = 16384
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Offline {
		o.Workers = 0
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = time.Hour
	}
	if o.Retry <= 0 {
		o.Retry = time.Minute
	}
	return o
}

// Close stops looking up names and waits until nothing does. Classify goes on
// to work, with what is known.
func (c *Classifier) Close() { c.verifier.close() }

// maxAgent is how much of a user agent is looked at, in bytes.
const maxAgent = 1024

// Classify classes a client by its user agent, empty if it has none, and its
// address. It never blocks.
func (c *Classifier) Classify(agent string, client netip.Addr) Verdict {
	if agent = strings.Trim(agent[:min(len(agent), maxAgent)], " \t-"); agent == "" {
		return Verdict{ID: "Bot300100", Class: Unknown, Name: "unspecified", Reason: "it does not say what it is"}
	}
	i, ok := c.patterns.find(agent)
	if !ok {
		return Verdict{}
	}
	s := &c.signatures[i]
	switch s.class {
	case None:
		return Verdict{}
	case Bad, Unknown:
		return Verdict{ID: s.id, Class: s.class, Name: s.name, Reason: s.reason}
	}
	return c.verified(s, client.Unmap().WithZone(""))
}

// Verify is Classify that waits until names are looked up, for Options.Timeout
// at most, or until the context ends. It is for those who ask once.
func (c *Classifier) Verify(ctx context.Context, agent string, client netip.Addr) Verdict {
	if v := c.Classify(agent, client); !v.Pending {
		return v
	}
	c.verifier.lookUpNow(ctx, client.Unmap().WithZone(""))
	return c.Classify(agent, client)
}

// verified is the verdict on who says that it is a crawler.
func (c *Classifier) verified(s *signature, client netip.Addr) Verdict {
	good := Verdict{ID: s.id, Class: Good, Name: s.name}
	other := Verdict{ID: "Bot300700", Class: Unknown, Name: s.name}
	if s.operator < 0 || !client.IsValid() {
		other.Reason = "it cannot be verified to be what it says"
		return other
	}
	o := &c.operators[s.operator]
	if o.holds(client) {
		good.Reason = "its address is in a network of its operator"
		return good
	}
	if len(o.domains) == 0 {
		other.Reason = "its address is in no known network of its operator"
		return other
	}
	f := c.verifier.ask(client, time.Now())
	switch {
	case f.state == confirmed && f.operator == s.operator:
		good.Reason = "its address and its host name, one of its operator's, confirm each other"
		return good
	case f.state == confirmed || f.state == denied:
		if s.strict {
			return Verdict{ID: "Bot100200", Class: Bad, Name: s.name, Reason: "it is not what it says: its address has no host name of the operator's that confirms it"}
		}
		other.Reason = "its address has no host name of its operator's that confirms it"
	case f.state == failed:
		other.Reason = "its host name could not be looked up"
	default:
		other.Reason, other.Pending = "its host name is not known yet", true
	}
	return other
}
