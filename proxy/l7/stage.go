package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
)

// Action is what a stage wants done with a message.
type Action uint8

const (
	// Continue goes on to the next stage.
	Continue Action = iota
	// Hold, from OnHead or OnResponseHead, asks for the beginning of the body
	// in one piece before anything of the message is sent on; see
	// Verdict.Limit. From elsewhere it is Continue.
	Hold
	// Answer answers the request with the verdict's status instead of asking a
	// backend, or instead of the backend's response.
	Answer
	// Abort ends the exchange without an answer: the client's connection is
	// closed (HTTP/1.1) or its stream reset.
	Abort
)

const (
	// DefaultHold is the Limit of a Hold that sets none.
	DefaultHold = 48 << 10
	// MaxHold is the largest Limit; larger ones are cut to it.
	MaxHold = 2<<20 + 128<<10
)

// Verdict is what a stage says of a message. The zero value lets it pass.
type Verdict struct {
	Action Action

	// Limit is how many bytes of the body a Hold asks for, 1 to MaxHold; if
	// zero or less, DefaultHold. The stage then gets the body up to that size
	// in one call. Its end says how it went: true, the body is whole; false,
	// it is longer than Limit. A body of exactly Limit bytes is whole.
	//
	// Held bytes of all exchanges are bounded together (Snapshot.HeldBytes);
	// when there is no room, the exchange is answered 503.
	Limit int

	// Watch belongs to the verdict on held bytes that are not the whole body:
	// the stage wants to see the rest piece by piece, as it streams. Without
	// it, the rest is not shown to the stage.
	Watch bool

	// Status is that of an Answer, 200 to 599; if zero, 403.
	Status int
	// Response is the answer's content and fields. If nil, the listener's
	// error page for Status.
	Response *AnswerPage

	Reason string // for people, in the access log; of an Answer or Abort
	// Termination and ErrorInfo go into the access log with an Answer or
	// Abort. If zero: PR for a request, PH for a response head or a held
	// response, PD for what streams; and ERRORINFO_NO_ERROR, as Azure has no
	// code for what a firewall does.
	Termination telemetry.Termination
	ErrorInfo   string
}

// AnswerPage is what a stage answers with: a block page, a challenge, a
// redirect. It may be shared by any number of exchanges.
type AnswerPage struct {
	ContentType string // empty: no such field
	// Fields are name and value of further fields, such as Retry-After,
	// Location, Set-Cookie. Those that frame the message or belong to one
	// connection are left out, and what is not a field by the grammar of RFC
	// 9110 5. Cache-Control is no-store unless it is among them.
	Fields [][2]string
	Body   []byte
}

// Stage sees one exchange pass by: a web application firewall, a rewrite, a
// rate limit. It is made for each exchange by a StageMaker and used by one
// goroutine at a time.
//
// A stage may change the request in OnHead and the response in
// OnResponseHead. It must not keep any slice it is given, and must not write
// to the exchange. What it wants to keep of the request beyond OnHead, it
// copies there; for what it keeps of bodies, it asks Client.Memory.
//
// A request that asks for another protocol (WebSocket) passes OnHead like any
// other. When the backend switches (101), no stage sees that response, nor
// anything of what follows.
type Stage interface {
	// OnHead sees the request head, once the rule and the canonical path are
	// known and before a member of the pool is picked. It is the request as
	// the client sent it, but for r.Path, before hop-by-hop fields are dropped
	// and forwarding fields added: Bytes(r.Target) is the target as received,
	// Bytes(r.Path) the path that is forwarded unless the backend settings
	// override it.
	OnHead(r *httpmsg.Request) Verdict
	// OnBody sees the body in order, as it will be sent. A stage that holds
	// gets its beginning in one piece, before a member is picked, and what
	// follows only if it watches; a stage that does not hold gets all of it
	// piece by piece. end says that the body ends with this piece, which may
	// be empty. Where there is no body, OnBody is called only if a stage
	// holds.
	//
	// Answer is possible until the response begins, and makes an end of it
	// after that.
	OnBody(piece []byte, end bool) Verdict
	// OnResponseHead sees the final response head before it is sent, except a
	// 101. A stage that holds here delays the head: it should not ask for
	// content that comes as it happens (text/event-stream, application/grpc).
	OnResponseHead(r *httpmsg.Response) Verdict
	// OnResponseBody sees the response body: as OnBody does, its beginning in
	// one piece for a stage that holds. Answer is possible only for held
	// bytes; once the head is out it is Abort.
	OnResponseBody(piece []byte, end bool) Verdict
	// Done ends the stage's part in the exchange. It is not called after a
	// panic.
	Done()
}

// Recorder is a Stage that has something to say in the access log.
type Recorder interface {
	// Record is called once, just before Done. It fills in what is its own of
	// the record, the WAF fields, and keeps nothing of it.
	Record(r *telemetry.Record)
}

// TrailerStage is a Stage that judges a request by its head and body, and wants
// to know when fields come behind them, which no stage sees.
type TrailerStage interface {
	// OnTrailers is called once when request trailers are there, before the
	// end of the body is shown. It reports whether they may be sent on.
	OnTrailers() (send bool)
}

// ResponseTrailerStage is a Stage that wants to know when fields come behind the
// body of a response, which no stage sees.
type ResponseTrailerStage interface {
	// OnResponseTrailers is called once when response trailers are there, before
	// the end of the body is shown. It reports whether they may be sent on.
	OnResponseTrailers() (send bool)
}

// StageMaker makes the stages of exchanges; it belongs to a rule and lives
// as long as its snapshot.
type StageMaker interface {
	// Begin returns the stage for one exchange, nil for none.
	Begin(c Client) Stage
}
