package http2

import (
	"time"

	"gatehouse/proxy/http1"
)

// Handler answers the requests of connections.
type Handler interface {
	// Options returns what applies to the next request of a connection.
	Options() *http1.Options
	// ServeStream answers one request. When it returns the exchange is over;
	// nothing of it may be kept.
	ServeStream(x *Exchange)
	// RefuseStream answers what is not a request that can be served. With a
	// status of zero it is to be ended by Abort, without an answer.
	RefuseStream(x *Exchange, why *http1.Error)
}

// What a client may have of one connection. It is told of all but what is ours
// to count.
const (
	// MaxStreams is how many requests a client may have open at once
	// (SETTINGS_MAX_CONCURRENT_STREAMS).
	MaxStreams = 100
	// maxServing is how many requests may be served, those included that the
	// client has given up: their end takes a moment.
	maxServing = 2 * MaxStreams
	// streamWindow is how much of a body a client may send ahead
	// (SETTINGS_INITIAL_WINDOW_SIZE), connWindow of all of them. Both are what
	// a connection can make us hold of bodies that nobody reads.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// maxFrame is the largest frame, in both directions (the least that
	// SETTINGS_MAX_FRAME_SIZE can be).
	maxFrame = 16 << 10
	// maxOut is how much waits to be written before streams have to wait.
	maxOut = 128 << 10
	// maxControl is how many answers to a client's frames, such as PING, wait
	// to be written before the client is sent away for not reading them.
	maxControl = 1000
	// smallIncrement is a window update that costs.
	smallIncrement = 1 << 10
	// leastProgress is what a slow client has to take of a response within a
	// write stall: windows of a byte are no progress.
	leastProgress = 1 << 10
	// tickEvery is how often deadlines of streams are looked at.
	tickEvery = 250 * time.Millisecond
	// frameTime is how long one frame may take to arrive.
	frameTime = http1.BodySilence
)
