package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Reason says in a few words, the same each time, why a network operation
// failed. It leaves out addresses and the ports of one connection.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	if r := reasonTLS(err); r != "" {
		return r
	}
	for _, known := range reasons() {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return reasonDNS(dns)
	}
	return clip(innermost(err).Error())
}

// Failure is the error of a check that met err: [Refused] if that was an
// answer of the other side, and Reason's words in any case.
func Failure(err error) error {
	text := Reason(err)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return Refused(text)
	}
	return errors.New(text)
}

// reasonDNS leaves out the ports of a connection to a resolver that failed,
// but says that it was such a connection.
func reasonDNS(err *net.DNSError) string {
	if i := strings.LastIndex(err.Err, ": "); i >= 0 {
		return clip("name lookup: " + err.Err[i+2:])
	}
	return clip(err.Err)
}

type reason struct {
	err  error
	text string
}

func reasons() []reason {
	return []reason{
		{syscall.ECONNREFUSED, "connect refused"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.EPIPE, "connection closed by the other side"},
		{io.ErrUnexpectedEOF, "connection closed by the other side"},
		{io.EOF, "connection closed by the other side"},
		{syscall.EHOSTUNREACH, "no route to host"},
		{syscall.ENETUNREACH, "network unreachable"},
		{syscall.ENOENT, "no such socket"},
		{syscall.EACCES, "permission denied"},
		{syscall.EPERM, "not permitted"},
		{syscall.EADDRNOTAVAIL, "no local port left"},
		{syscall.EMFILE, "too many open files"},
		{syscall.ETIMEDOUT, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "cancelled"},
		{net.ErrClosed, "connection closed"},
	}
}

func reasonTLS(err error) string {
	var (
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &host):
		return clip("certificate is not valid for " + host.Host)
	case errors.As(err, &authority):
		return "certificate signed by unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate has expired or is not yet valid"
	case errors.As(err, &invalid):
		return clip("certificate is invalid: " + invalid.Error())
	case errors.As(err, &record):
		return "not a TLS server"
	case errors.As(err, &alert):
		return clip(alert.Error())
	}
	return ""
}

// innermost unwraps err to where no address is prefixed any more.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// clip bounds a text that may come from outside: 200 bytes, printable.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}
