package tlscert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Asker asks OCSP responders about certificates of clients and remembers what
// they say. It outlives configurations, and is safe for use by any number of
// goroutines.
type Asker struct {
	responder Responder
	log       *slog.Logger
	slots     chan struct{} // questions at once

	mu    sync.Mutex
	known map[question]*verdict
}

// question is about one certificate, asked in one place.
type question struct {
	cert [sha256.Size]byte
	url  string
}

// verdict is what is known of a certificate.
type verdict struct {
	done    chan struct{} // closed when the rest is set
	revoked bool
	err     error     // why nothing is known
	until   time.Time // when to ask again
}

const (
	clientAskTime  = 5 * time.Second
	maxVerdictTime = time.Hour
	failureTime    = 10 * time.Second // so that one who is down is not asked by everybody
	maxVerdicts    = 10_000
)

// NewAsker returns an Asker that knows nothing yet. If log is nil,
// slog.Default is used.
func NewAsker(r Responder, log *slog.Logger) *Asker {
	if log == nil {
		log = slog.Default()
	}
	return &Asker{responder: r, log: log, slots: make(chan struct{}, 64), known: map[question]*verdict{}}
}

// ask returns what is known, or asks: at most one caller for each certificate,
// for whom the others wait.
func (k *Asker) ask(url string, cert, issuer *x509.Certificate, now time.Time) *verdict {
	q := question{sha256.Sum256(cert.Raw), url}
	k.mu.Lock()
	v := k.known[q]
	if v != nil && !v.over(now) {
		k.mu.Unlock()
		<-v.done
		return v
	}
	v = &verdict{done: make(chan struct{})}
	k.makeRoom(now)
	k.known[q] = v
	k.mu.Unlock()
	defer close(v.done)
	k.find(v, url, cert, issuer)
	return v
}

// over reports whether a verdict has to be found anew; one that is being found
// has not.
func (v *verdict) over(now time.Time) bool {
	select {
	case <-v.done:
		return now.After(v.until)
	default:
		return false
	}
}

// makeRoom forgets what is over, or anything, if there is too much.
func (k *Asker) makeRoom(now time.Time) {
	if len(k.known) < maxVerdicts {
		return
	}
	for q, v := range k.known {
		if v.over(now) {
			delete(k.known, q)
		}
	}
	for q := range k.known {
		if len(k.known) < maxVerdicts {
			return
		}
		delete(k.known, q)
	}
}

// find asks the responder.
func (k *Asker) find(v *verdict, url string, cert, issuer *x509.Certificate) {
	ctx, cancel := context.WithTimeout(context.Background(), clientAskTime)
	defer cancel()
	v.until = time.Now().Add(failureTime)
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		v.err = errors.New("too many questions at once")
		return
	}
	_, resp, err := askOCSP(ctx, k.responder, url, cert, issuer)
	if err == nil && resp.Status == ocsp.Unknown {
		err = errors.New("the responder does not know the certificate")
	}
	if err != nil {
		v.err = err
		k.log.Warn("OCSP responder cannot be asked about a client", "responder", url, "subject", Name(cert.RawSubject), "error", err)
		return
	}
	v.revoked = resp.Status == ocsp.Revoked
	if v.until = resp.NextUpdate; time.Until(v.until) > maxVerdictTime {
		v.until = time.Now().Add(maxVerdictTime)
	}
}

// end is when the verdict on a certificate ends; zero: there is none.
func (k *Asker) end(url string, cert *x509.Certificate) time.Time {
	if k == nil {
		return time.Time{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.known[question{sha256.Sum256(cert.Raw), url}]
	if v == nil {
		return time.Time{}
	}
	select {
	case <-v.done:
		return v.until
	default:
		return time.Time{}
	}
}
