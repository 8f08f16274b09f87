package tlscert

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"sync"
	"time"
	"weak"

	"gatehouse/config"
)

// keptTicketKeys is how many keys a ticket is tried with: the newest, which
// also seals new tickets, and those of the rotations before.
const keptTicketKeys = 3

// Tickets are the keys of session tickets, for each listener, TLS policy and
// demand on clients its own: a ticket is worth nothing to a listener that would have asked more
// of the client (CVE-2025-23419). It lives as long as the process, so that a
// reload or a renewed certificate does not cost every client a handshake.
type Tickets struct {
	every time.Duration
	ready chan struct{}

	mu sync.Mutex // guards what follows
	// rings are held by the configurations that use them; when the last one
	// is gone, so is the ring.
	rings map[string]weak.Pointer[ticketRing]
	sweep int // size of rings at which the dead are swept
}

// ticketRing is the keys of one listener and policy. crypto/tls seals and
// opens tickets with the keys of a tls.Config, and this one does nothing else.
type ticketRing struct {
	sealer tls.Config

	mu   sync.Mutex
	keys [][32]byte // newest first
}

// NewTickets returns keys that change every so often while Run runs; if every
// is zero, daily. A ticket can be used for at least twice that time.
func NewTickets(every time.Duration) *Tickets {
	if every <= 0 {
		every = 24 * time.Hour
	}
	t := &Tickets{
		every: every, ready: make(chan struct{}),
		rings: map[string]weak.Pointer[ticketRing]{}, sweep: 64,
	}
	close(t.ready)
	return t
}

// Ready is closed: a listener's keys are made when it asks for them.
func (t *Tickets) Ready() <-chan struct{} { return t.ready }

// String names the task.
func (t *Tickets) String() string { return "session ticket keys" }

// Run rotates the keys until ctx is done.
func (t *Tickets) Run(ctx context.Context) error {
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			t.rotate()
		}
	}
}

func (t *Tickets) rotate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bury()
	for _, w := range t.rings {
		if r := w.Value(); r != nil {
			r.rotate()
		}
	}
}

// ring returns the keys of a listener under a policy, and what it asks of
// clients (ClientAuth.Digest). Another policy, other CAs or another revocation
// list of the same listener have other keys: what was agreed under the old
// ones ends.
func (t *Tickets) ring(listener string, policy config.TLSPolicy, clients string) *ticketRing {
	id := ringID(listener, policy, clients)
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rings[id].Value(); r != nil {
		return r
	}
	if len(t.rings) >= t.sweep {
		t.bury()
		t.sweep = max(64, 2*len(t.rings))
	}
	r := new(ticketRing)
	r.rotate()
	t.rings[id] = weak.Make(r)
	return r
}

// ringID tells apart what may not share tickets.
func ringID(listener string, policy config.TLSPolicy, clients string) string {
	return fmt.Sprintf("%q %x %x %x %s", listener, policy.MinVersion, policy.MaxVersion, policy.CipherSuites, clients)
}

// bury forgets the rings that nobody uses.
func (t *Tickets) bury() {
	for id, w := range t.rings {
		if w.Value() == nil {
			delete(t.rings, id)
		}
	}
}

func (r *ticketRing) rotate() {
	var key [32]byte
	rand.Read(key[:]) // never fails: it ends the process instead
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := append([][32]byte{key}, r.keys...)
	r.keys = keys[:min(len(keys), keptTicketKeys)]
	r.sealer.SetSessionTicketKeys(r.keys)
}

func (r *ticketRing) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	return r.sealer.EncryptTicket(cs, ss)
}

func (r *ticketRing) unwrap(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	return r.sealer.DecryptTicket(ticket, cs)
}
