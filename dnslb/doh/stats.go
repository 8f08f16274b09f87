package doh

import (
	"net/http"
	"sync/atomic"

	"gatehouse/dnslb/server"
)

// Refusal is why a request brought no query.
type Refusal uint8

// The refusals, with their statuses.
const (
	RefusedPath       Refusal = iota // another path: 404
	RefusedMethod                    // neither GET nor POST: 405
	RefusedType                      // a media type or content coding not known: 415
	RefusedParameter                 // not one dns in base64url without padding: 400
	RefusedLong                      // more than 65535 bytes: 413
	RefusedSlow                      // the body took too long: 408
	RefusedIncomplete                // the body broke off: 400
	RefusedBusy                      // too many long messages are in hand: 503

	refusals // how many there are
)

// refused has the status and the text of each Refusal, and its name.
var refused = [refusals]struct {
	name   string
	status int
	text   string
}{
	RefusedPath:       {"path", http.StatusNotFound, "nothing is here"},
	RefusedMethod:     {"method", http.StatusMethodNotAllowed, "use GET or POST"},
	RefusedType:       {"type", http.StatusUnsupportedMediaType, "send application/dns-message as it is"},
	RefusedParameter:  {"parameter", http.StatusBadRequest, "send one dns parameter in base64url without padding"},
	RefusedLong:       {"long", http.StatusRequestEntityTooLarge, "a message has at most 65535 bytes"},
	RefusedSlow:       {"slow", http.StatusRequestTimeout, "the message took too long"},
	RefusedIncomplete: {"incomplete", http.StatusBadRequest, "the message broke off"},
	RefusedBusy:       {"busy", http.StatusServiceUnavailable, "too many long messages at once"},
}

// Refusals are all of them, in order.
func Refusals() []Refusal {
	all := make([]Refusal, refusals)
	for i := range all {
		all[i] = Refusal(i)
	}
	return all
}

// String is the refusal in a word, in lower case.
func (r Refusal) String() string {
	if r >= refusals {
		return "invalid"
	}
	return refused[r].name
}

// dropped has the status and the text for a query without a response.
// RFC 8484 4.2.1 leaves them to HTTP: one that the Responder does not want to
// answer may do better elsewhere or later, as with 503.
var dropped = map[server.Drop]struct {
	status int
	text   string
}{
	server.DropShort:      {http.StatusBadRequest, "a message has a header of 12 bytes"},
	server.DropResponse:   {http.StatusBadRequest, "the message is a response"},
	server.DropSilent:     {http.StatusServiceUnavailable, "no answer to this"},
	server.DropPanic:      {http.StatusInternalServerError, "no answer to this"},
	server.DropLongAnswer: {http.StatusInternalServerError, "the answer is too long"},
}

// Stats counts what happened since Listen. Numbers only grow, but for
// HTTPS.Connections; each is exact, but they are not of one instant.
type Stats struct {
	// HTTPS counts messages and connections. Of its fields TimedOut stays
	// zero: that of connections is package net/http's own affair.
	HTTPS server.TransportStats

	// Refused counts requests that brought no query, by Refusal. They are
	// not among HTTPS.Queries, but for those that are RefusedBusy because
	// the answer is long.
	Refused [refusals]uint64
}

// counters are the Stats of a Server.
type counters struct {
	queries, responses, socketErrors, accepted, turnedAway, evicted atomic.Uint64

	connections atomic.Int64
	dropped     [len(server.TransportStats{}.Dropped)]atomic.Uint64
	refused     [refusals]atomic.Uint64
}

func (c *counters) stats() Stats {
	var s Stats
	s.HTTPS.Queries = c.queries.Load()
	s.HTTPS.Responses = c.responses.Load()
	s.HTTPS.SocketErrors = c.socketErrors.Load()
	s.HTTPS.Connections = uint64(c.connections.Load())
	s.HTTPS.Accepted = c.accepted.Load()
	s.HTTPS.Refused = c.turnedAway.Load()
	s.HTTPS.Evicted = c.evicted.Load()
	for i := range c.dropped {
		s.HTTPS.Dropped[i] = c.dropped[i].Load()
	}
	for i := range c.refused {
		s.Refused[i] = c.refused[i].Load()
	}
	return s
}
