package doh

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"gatehouse/dnslb/server"
)

const (
	mediaType = "application/dns-message"

	maxMessage = 65535

	// Messages up to this size have their room; of longer ones, which are
	// rare, there are only so many at once for a Server.
	shortMessage = 4096
	longMessages = 64
)

// exchange is what one request needs, and the next one uses again.
type exchange struct {
	query [shortMessage + 1]byte // one more tells that there is more
	out   []byte
	peer  server.Peer

	long  chan struct{} // room for long messages, shared by all
	holds bool          // a part of that
}

func newExchange(long chan struct{}) *exchange {
	return &exchange{long: long, out: make([]byte, 0, shortMessage)}
}

// holdLong takes the room for long messages, of both directions. It returns
// false if there is none left.
func (e *exchange) holdLong() bool {
	if e.holds {
		return true
	}
	select {
	case e.long <- struct{}{}:
		e.holds = true
	default:
	}
	return e.holds
}

// end gives back what only this request needed.
func (e *exchange) end() {
	if e.holds {
		e.holds = false
		<-e.long
	}
	e.peer = server.Peer{}
}

// read takes the message out of a request. It returns refusals if there is no
// reason to refuse that, and the message is good until the exchange ends.
func (e *exchange) read(r *http.Request, path string) ([]byte, Refusal) {
	switch {
	case r.URL.Path != path:
		return nil, RefusedPath
	case r.Method == http.MethodGet:
		return e.parameter(r.URL.RawQuery)
	case r.Method != http.MethodPost:
		return nil, RefusedMethod
	case !isMessage(r.Header):
		return nil, RefusedType
	case r.ContentLength > maxMessage:
		return nil, RefusedLong
	}
	return e.body(r.Body)
}

// isMessage tells whether a body is a DNS message and not coded.
func isMessage(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	coding := h.Get("Content-Encoding")
	return strings.EqualFold(strings.TrimSpace(kind), mediaType) && (coding == "" || strings.EqualFold(coding, "identity"))
}

// body reads the message of a POST.
func (e *exchange) body(r io.Reader) ([]byte, Refusal) {
	buf := e.query[:0]
	for {
		if len(buf) > maxMessage {
			return nil, RefusedLong
		}
		if len(buf) == cap(buf) {
			if !e.holdLong() {
				return nil, RefusedBusy
			}
			buf = append(make([]byte, 0, maxMessage+1), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil:
		case err == io.EOF && len(buf) <= maxMessage:
			return buf, refusals
		case err == io.EOF:
			return nil, RefusedLong
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, RefusedSlow
		default:
			return nil, RefusedIncomplete
		}
	}
}

// base64url is strict: a message has one spelling, by which it may be cached.
var base64url = base64.RawURLEncoding.Strict()

// parameter reads the message of a GET.
func (e *exchange) parameter(rawQuery string) ([]byte, Refusal) {
	text, ok := onlyParameter(rawQuery, "dns")
	if !ok || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return nil, RefusedParameter
	}
	size := base64url.DecodedLen(len(text))
	buf := e.query[:]
	switch {
	case size > maxMessage:
		return nil, RefusedLong
	case size > len(buf) && !e.holdLong():
		return nil, RefusedBusy
	case size > len(buf):
		buf = make([]byte, size)
	}
	n, err := base64url.Decode(buf, []byte(text))
	if err != nil {
		return nil, RefusedParameter
	}
	return buf[:n], refusals
}

// onlyParameter finds the value of a parameter that occurs once; others do not
// matter (RFC 8484 4.1: the template has but this one).
func onlyParameter(rawQuery, name string) (value string, ok bool) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		v, is := strings.CutPrefix(pair, name+"=")
		if !is {
			continue
		}
		if ok {
			return "", false
		}
		value, ok = v, true
	}
	if ok && strings.Contains(value, "%") {
		var err error
		value, err = url.QueryUnescape(value)
		ok = err == nil
	}
	return value, ok
}
