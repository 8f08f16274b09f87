package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// upstream is one request to a member and its response, whatever protocol
// carries them: what Exchange is on the client's side. http1.Upstream is one,
// http2.Upstream another.
//
// One goroutine uses it, with one exception: SendBody and SendEnd may run in
// another while the first reads. An error means that the exchange with the
// member is over, except stream.ErrTimeout of the methods that have a deadline:
// they may be called again. Deadlines are points on the clock of stream.Now.
type upstream interface {
	requestSender
	responseReader

	// Answered reports whether anything of a response has come.
	Answered() bool
	// Refused reports whether the member has said that it did not look at the
	// request, so that it may be sent again, whatever its method.
	Refused() bool
	// Sent and Received are bytes at the HTTP layer.
	Sent() int64
	Received() int64
}

// requestSender is the request's side.
type requestSender interface {
	// Start sends the head and the first piece of the body. With whole the
	// request ends with it, and Start waits for the response to begin, until
	// the deadline, the coming of which is no error.
	Start(r *httpmsg.Request, body []byte, whole bool, deadline int64) error
	// Awaited reports whether Start has sent a whole request, so that its error
	// is one of waiting.
	Awaited() bool
	// SendBody sends a piece of the body at once, and SendEnd its end.
	SendBody(p []byte) error
	SendEnd(trailers *httpmsg.Fields) error
	// Shut makes a SendBody in another goroutine return. The exchange with the
	// member is of no more use for sending.
	Shut()
}

// responseReader is the response's side.
type responseReader interface {
	// ReadHead reads the next head, informational or final, which Head returns
	// until the next one.
	ReadHead(deadline int64) error
	Head() *httpmsg.Response
	// Buffered returns what has come of the body behind the head. With end, no
	// more follows: no trailers either.
	Buffered() (p []byte, end bool, err error)
	// ReadBody returns the next piece, valid until the next call, and io.EOF
	// after the last.
	ReadBody(deadline int64) ([]byte, error)
	BodyDone() bool
	// Trailers adds the trailer fields that may be passed on.
	Trailers(dst *httpmsg.Fields)
	// Direct returns a stream that so many bytes of the body may be moved from
	// as they are; none if they must be looked at. Moved notes that n were.
	Direct() (*stream.Conn, int64)
	Moved(n int64)
	// Interrupt makes a read in another goroutine return.
	Interrupt()
}
