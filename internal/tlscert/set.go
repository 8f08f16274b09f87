package tlscert

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
)

// Set is the certificates of one listener. It is safe for use by any number
// of goroutines, and what it answers follows the files.
type Set struct {
	listener string
	pairs    []*pair // in the order of the configuration; immutable
	index    atomic.Pointer[index]
}

// index is a Set's certificates by name: immutable, swapped whole.
type index struct {
	exact    map[string][]*tls.Certificate
	wildcard map[string][]*tls.Certificate // by what follows "*."
	// defaults are the first certificate and those with the same names,
	// that is, its twins with another kind of key.
	defaults []*tls.Certificate
}

// EmptySet is that of a listener without certificate files.
func EmptySet(listener string) *Set { return &Set{listener: listener} }

// Listener returns the name of the listener that the set belongs to.
func (s *Set) Listener() string { return s.listener }

// Certificate chooses for a ClientHello, as tls.Config.GetCertificate wants
// it: by server name, exact before wildcard, and among several by what kinds
// of key the client supports. Without a server name, or with one that no
// certificate has, it is the first certificate.
func (s *Set) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	x := s.index.Load()
	if x == nil || len(x.defaults) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	if named := x.named(hello.ServerName); len(named) > 0 {
		return supported(hello, named), nil
	}
	if len(x.defaults) == 1 {
		return x.defaults[0], nil
	}
	// The name is nobody's: SupportsCertificate must not count it against
	// them all.
	nameless := *hello
	nameless.ServerName = ""
	return supported(&nameless, x.defaults), nil
}

// Covers says whether a certificate of the set is good for host, so that
// `check` can warn of a host name that browsers will refuse.
func (s *Set) Covers(host string) bool {
	x := s.index.Load()
	return x != nil && len(x.named(host)) > 0
}

func (x *index) named(serverName string) []*tls.Certificate {
	if serverName == "" {
		return nil
	}
	name := canonical(serverName)
	if c := x.exact[name]; len(c) > 0 {
		return c
	}
	// A wildcard stands for exactly one label (RFC 9525 6.3).
	if _, rest, ok := strings.Cut(name, "."); ok {
		return x.wildcard[rest]
	}
	return nil
}

// supported returns the first certificate that the client can use; if there
// is none, the first, with which the handshake will fail and say why.
func supported(hello *tls.ClientHelloInfo, certs []*tls.Certificate) *tls.Certificate {
	if len(certs) > 1 {
		for _, c := range certs {
			if hello.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return certs[0]
}

func newIndex(certs []*tls.Certificate) *index {
	x := &index{exact: map[string][]*tls.Certificate{}, wildcard: map[string][]*tls.Certificate{}}
	for _, c := range certs {
		for _, name := range names(c) {
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				x.wildcard[rest] = append(x.wildcard[rest], c)
			} else {
				x.exact[name] = append(x.exact[name], c)
			}
		}
		if slices.Equal(names(c), names(certs[0])) {
			x.defaults = append(x.defaults, c)
		}
	}
	return x
}

// names returns the DNS names of a certificate, sorted and each once.
func names(c *tls.Certificate) []string {
	var ns []string
	for _, n := range c.Leaf.DNSNames {
		ns = append(ns, canonical(n))
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

// canonical is the form in which names are compared. A name that is canonical
// already, which is nearly every one, costs no allocation.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
