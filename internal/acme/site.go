package acme

import (
	"crypto/tls"
	"strings"
	"time"

	"gatehouse/internal/tlscert"
)

// Site is the managed certificates of a listener.
type Site struct {
	listener string
	all      []*managed
	exact    map[string]*managed
	wildcard map[string]*managed // by what follows "*."
}

func newSite(listener string) *Site {
	return &Site{listener: listener, exact: map[string]*managed{}, wildcard: map[string]*managed{}}
}

func (s *Site) add(c *managed) {
	s.all = append(s.all, c)
	if rest, wild := strings.CutPrefix(c.name, "*."); wild {
		s.wildcard[rest] = c
	} else {
		s.exact[c.name] = c
	}
}

// Certificate chooses for a ClientHello as tls.Config.GetCertificate wants it.
// Names that are not managed get what others has; without it, the first
// certificate there is.
func (s *Site) Certificate(h *tls.ClientHelloInfo, others func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (*tls.Certificate, error) {
	c := s.named(h.ServerName)
	switch {
	case c == nil && others != nil:
		return others(h)
	case c == nil:
		return s.first()
	}
	if cert := c.cert.Load(); cert != nil {
		return cert, nil
	}
	return nil, c.missing()
}

func (s *Site) named(serverName string) *managed {
	name := strings.ToLower(strings.TrimSuffix(serverName, "."))
	if c := s.exact[name]; c != nil {
		return c
	}
	if _, rest, ok := strings.Cut(name, "."); ok {
		return s.wildcard[rest]
	}
	return nil
}

func (s *Site) first() (*tls.Certificate, error) {
	for _, c := range s.all {
		if cert := c.cert.Load(); cert != nil {
			return cert, nil
		}
	}
	return nil, s.all[0].missing() // config wants at least one name
}

// missing says why there is no certificate.
func (c *managed) missing() error {
	why := "it is being obtained"
	if f := c.failed.Load(); f != nil {
		why = f.err.Error()
	}
	return &tlscert.MissingError{Name: c.name, Why: why}
}

// Status is what is known of a managed certificate of a listener.
type Status struct {
	Listener  string
	Name      string
	Authority string    // its directory
	NotAfter  time.Time // zero: there is none
	Error     string    // of the last attempt, if it failed
	Tried     time.Time // when it failed
}

// Status is the state of every managed certificate, in the order of the
// configuration.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Status
	for _, s := range m.sites {
		for _, c := range s.all {
			st := Status{Listener: s.listener, Name: c.name, Authority: c.Directory}
			if cert := c.cert.Load(); cert != nil {
				st.NotAfter = cert.Leaf.NotAfter
			}
			if f := c.failed.Load(); f != nil {
				st.Error, st.Tried = f.err.Error(), f.at
			}
			all = append(all, st)
		}
	}
	return all
}
