package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"gatehouse/internal/tlscert"
)

// Listener counts the connections of one listener. Where listeners share an
// address, a connection belongs to one only after its server name or Host is
// known; before that, count it with the first listener of the address. It is
// safe for use by any number of goroutines.
type Listener struct {
	name   string
	shards []atomic.Pointer[listenerShard]
}

// listenerShard is one core's part of a Listener, allocated as a Route's.
type listenerShard struct {
	listenerCounters
	_ [cacheLine - unsafe.Sizeof(listenerCounters{})%cacheLine]byte
}

type listenerCounters struct {
	accepted   atomic.Uint64
	open       atomic.Int64 // of one shard it may be negative: closed elsewhere than opened
	inFlight   atomic.Int64
	tunnels    atomic.Int64
	rejected   [rejections]atomic.Uint64
	limits     [limits]atomic.Uint64
	handshakes [tlsVersions][2]atomic.Uint64 // full, resumed
	failures   [tlsFailures]atomic.Uint64
}

func newListener(name string, shards int) *Listener {
	return &Listener{name: name, shards: make([]atomic.Pointer[listenerShard], shards)}
}

func (l *Listener) shard(n uint32) *listenerShard {
	p := &l.shards[n&uint32(len(l.shards)-1)]
	if s := p.Load(); s != nil {
		return s
	}
	return allocShard(p)
}

// Opened counts an accepted connection; Closed must follow.
func (l *Listener) Opened(shard uint32) {
	s := l.shard(shard)
	s.accepted.Add(1)
	s.open.Add(1)
}

// Closed counts the end of a connection that was Opened.
func (l *Listener) Closed(shard uint32) { l.shard(shard).open.Add(-1) }

// Began counts the start of a request; Ended must follow.
func (l *Listener) Began(shard uint32) { l.shard(shard).inFlight.Add(1) }

// Ended counts the end of a request that Began.
func (l *Listener) Ended(shard uint32) { l.shard(shard).inFlight.Add(-1) }

// TunnelOpened counts the start of an upgraded connection (such as a
// WebSocket); TunnelClosed must follow.
func (l *Listener) TunnelOpened(shard uint32) { l.shard(shard).tunnels.Add(1) }

// TunnelClosed counts the end of a tunnel.
func (l *Listener) TunnelClosed(shard uint32) { l.shard(shard).tunnels.Add(-1) }

// Rejection is why a connection was closed before a request was read.
type Rejection uint8

const (
	RejectConnections   Rejection = iota // limits.connections
	RejectPerClient                      // limits.connectionsPerClient
	RejectProxyProtocol                  // PROXY header missing, broken or from a stranger
	RejectAccept                         // accept failed: no descriptors, no memory
	RejectShuttingDown                   // draining
	RejectMisdirected                    // no listener of the address takes this server name
	rejections          = iota
)

// String returns the label value.
func (r Rejection) String() string {
	return labelOf(int(r), []string{"connections", "connections_per_client", "proxy_protocol", "accept", "shutting_down", "misdirected"})
}

// Rejected counts a connection that was closed before a request was read.
func (l *Listener) Rejected(shard uint32, r Rejection) {
	if r < rejections {
		l.shard(shard).rejected[r].Add(1)
	}
}

// Limit is one of the bounds of config.Limits that a client or backend ran
// into.
type Limit uint8

const (
	LimitHeadBytes Limit = iota
	LimitFields
	LimitURLBytes
	LimitHeadTimeout
	LimitBodyMinRate
	LimitBodyBytes
	LimitIdleTimeout
	LimitTunnelIdleTimeout
	LimitWriteStall
	LimitConnections
	LimitConnectionsPerClient
	LimitResponseHeadBytes
	LimitHeldBytes // of all exchanges together
	LimitHeldBytesPerClient
	limits = iota
)

// String returns the label value: the name of the key in the configuration.
func (l Limit) String() string {
	return labelOf(int(l), []string{
		"headBytes", "fields", "urlBytes", "headTimeout", "bodyMinRate", "maxBodySize", "idleTimeout",
		"tunnelIdleTimeout", "writeStall", "connections", "connectionsPerClient", "responseHeadBytes", "heldBytes",
		"heldBytesPerClient",
	})
}

// LimitHit counts that a limit was reached.
func (l *Listener) LimitHit(shard uint32, limit Limit) {
	if limit < limits {
		l.shard(shard).limits[limit].Add(1)
	}
}

// tlsVersions are "other" and TLS 1.0 to 1.3.
const tlsVersions = 5

func tlsVersionIndex(v uint16) int {
	if v >= tls.VersionTLS10 && v <= tls.VersionTLS13 {
		return int(v-tls.VersionTLS10) + 1
	}
	return 0
}

func tlsVersionLabel(i int) string {
	return labelOf(i, []string{"other", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
}

// Handshake counts a completed TLS handshake.
func (l *Listener) Handshake(shard uint32, version uint16, resumed bool) {
	kind := 0
	if resumed {
		kind = 1
	}
	l.shard(shard).handshakes[tlsVersionIndex(version)][kind].Add(1)
}

// TLSFailure is why a TLS handshake failed.
type TLSFailure uint8

const (
	TLSFailedOther        TLSFailure = iota // anything else, often an alert of the client
	TLSFailedNotTLS                         // the first bytes were not TLS: plain HTTP, a scanner
	TLSFailedTimeout                        // not complete in time
	TLSFailedClosed                         // the client went away
	TLSFailedNoneInCommon                   // no version, suite, curve or signature in common

	// A strict listener did not accept the client's certificate.
	TLSFailedCertMissing
	TLSFailedCertInvalid
	TLSFailedCertExpired // or not yet valid
	TLSFailedCertUnknownCA
	TLSFailedCertUsage // not for client authentication
	TLSFailedCertIssuer
	TLSFailedCertRevoked
	TLSFailedCertCRL  // no revocation list of its CA is in force
	TLSFailedCertOCSP // no responder can be asked about it
	tlsFailures       = iota
)

// String returns the label value.
func (f TLSFailure) String() string {
	return labelOf(int(f), []string{"other", "not_tls", "timeout", "closed", "none_in_common",
		"client_certificate_missing", "client_certificate_invalid", "client_certificate_expired", "client_certificate_unknown_ca",
		"client_certificate_usage", "client_certificate_issuer", "client_certificate_revoked", "client_certificate_crl", "client_certificate_ocsp"})
}

// ClassifyTLSError finds out why the handshake that returned err failed.
func ClassifyTLSError(err error) TLSFailure {
	var notTLS tls.RecordHeaderError
	var alert tls.AlertError
	var client *tlscert.ClientError
	switch {
	case errors.As(err, &client):
		return classifyClient(client.Why)
	case errors.As(err, &notTLS):
		return TLSFailedNotTLS
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return TLSFailedTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isReset(err):
		return TLSFailedClosed
	case errors.As(err, &alert):
		return TLSFailedOther
	case err != nil && mentionsNoneInCommon(err.Error()):
		return TLSFailedNoneInCommon
	case err != nil && strings.Contains(err.Error(), "didn't provide a certificate"): // crypto/tls has no error value for it
		return TLSFailedCertMissing
	}
	return TLSFailedOther
}

func classifyClient(why tlscert.ClientFault) TLSFailure {
	switch why {
	case tlscert.ClientCertMissing:
		return TLSFailedCertMissing
	case tlscert.ClientCertExpired:
		return TLSFailedCertExpired
	case tlscert.ClientCertUnknownCA:
		return TLSFailedCertUnknownCA
	case tlscert.ClientCertUsage:
		return TLSFailedCertUsage
	case tlscert.ClientCertIssuer:
		return TLSFailedCertIssuer
	case tlscert.ClientCertRevoked:
		return TLSFailedCertRevoked
	case tlscert.ClientCertCRL:
		return TLSFailedCertCRL
	case tlscert.ClientCertOCSP:
		return TLSFailedCertOCSP
	}
	return TLSFailedCertInvalid
}

// mentionsNoneInCommon looks at crypto/tls's text, for which it has no error
// values. A change of that text only moves the failure to "other".
func mentionsNoneInCommon(text string) bool {
	for _, s := range []string{
		"no cipher suite supported", "only unsupported versions", "no key exchanges supported",
		"peer doesn't support", "unsupported application protocols",
	} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// HandshakeFailed counts a TLS handshake that failed.
func (l *Listener) HandshakeFailed(shard uint32, f TLSFailure) {
	if f >= tlsFailures {
		f = TLSFailedOther
	}
	l.shard(shard).failures[f].Add(1)
}
