package l7

import "gatehouse/internal/httpmsg"

// Action is what a stage wants done with a message.
type Action uint8

const (
	// Continue goes on to the next stage.
	Continue Action = iota
	// Hold, from OnHead, asks for the body before anything is sent to a
	// backend: OnBody gets it in one piece, with end true, when it is whole or
	// the gateway cannot hold more. What comes behind that is not shown to any
	// stage.
	Hold
	// Answer answers the request with the verdict's status instead of asking a
	// backend, or instead of the backend's response.
	Answer
	// Abort ends the exchange without an answer.
	Abort
)

// Verdict is what a stage says of a message, with a reason for people.
type Verdict struct {
	Action Action
	Status int    // of an Answer
	Reason string // for the access log
}

// Stage sees one exchange pass by: a web application firewall, a rewrite, a
// rate limit. It is made for each exchange by a StageMaker and used by one
// goroutine at a time.
//
// A stage may change the request in OnHead and the response in
// OnResponseHead. It must not keep any slice it is given, and must not write
// to the exchange.
type Stage interface {
	// OnHead sees the request head, once the rule and the canonical path are
	// known and before a member of the pool is picked.
	OnHead(r *httpmsg.Request) Verdict
	// OnBody sees the body piece by piece, in order, as it will be sent. end
	// says that no more will be shown to it: the body ended, or the gateway
	// can hold no more of it while a stage asks to hold. Where there is no
	// body, it is called only if a stage holds.
	OnBody(piece []byte, end bool) Verdict
	// OnResponseHead sees the final response head before it is sent.
	OnResponseHead(r *httpmsg.Response) Verdict
	// OnResponseBody sees the response body. Only Continue and Abort are
	// possible once the head is out.
	OnResponseBody(piece []byte, end bool) Verdict
	// Done ends the stage's part in the exchange.
	Done()
}

// StageMaker makes the stages of exchanges; it belongs to a rule and lives
// as long as its snapshot.
type StageMaker interface {
	// Begin returns the stage for one exchange, nil for none.
	Begin(c Client) Stage
}

// stages runs the stages of an exchange in order.
type stages []Stage

func (s stages) onHead(r *httpmsg.Request) (v Verdict, holds bool) {
	for _, st := range s {
		v := st.OnHead(r)
		switch v.Action {
		case Hold:
			holds = true
		case Answer, Abort:
			return v, false
		}
	}
	return Verdict{}, holds
}

func (s stages) onBody(piece []byte, end bool) Verdict {
	for _, st := range s {
		if v := st.OnBody(piece, end); v.Action == Answer || v.Action == Abort {
			return v
		}
	}
	return Verdict{}
}

func (s stages) onResponseHead(r *httpmsg.Response) Verdict {
	for _, st := range s {
		if v := st.OnResponseHead(r); v.Action == Answer || v.Action == Abort {
			return v
		}
	}
	return Verdict{}
}

func (s stages) onResponseBody(piece []byte, end bool) Verdict {
	for _, st := range s {
		if v := st.OnResponseBody(piece, end); v.Action == Answer || v.Action == Abort {
			return Verdict{Action: Abort, Reason: v.Reason}
		}
	}
	return Verdict{}
}

func (s stages) done() {
	for _, st := range s {
		st.Done()
	}
}
