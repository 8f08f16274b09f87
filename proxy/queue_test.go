package proxy

import (
	"errors"
	"testing"
	"testing/synctest"
)

// ready tells whether it is the ticket's turn.
func ready(t *Ticket) bool {
	select {
	case <-t.Turn():
		return true
	default:
		return false
	}
}

func TestOnlyTheFirstIsWoken(t *testing.T) {
	o := options("10.0.0.4")
	o.MaxConnections, o.QueueLength = 1, 3
	p := commit(t, o, nil)
	b := acquire(t, p)
	var all []*Ticket
	for range 3 {
		ticket, err := p.Queue()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ticket)
	}
	if _, err := p.Queue(); err != ErrQueueFull || !errors.Is(err, ErrBusy) {
		t.Errorf("a fourth: %v", err)
	}
	if !ready(all[0]) || ready(all[0]) || ready(all[1]) {
		t.Error("the first tries once")
	}
	b.End()
	if !ready(all[0]) || ready(all[1]) {
		t.Error("a free place wakes the first alone")
	}
	all[1].Leave(WaitLeft) // from the middle
	defer acquire(t, p).End()
	all[0].Leave(WaitServed)
	if !ready(all[2]) {
		t.Error("who is the first now may find a second place")
	}
	all[2].Leave(WaitTimedOut)
	if q := p.Status().Queue; q.Waiting != 0 || q.Served != 1 || q.Left != 1 || q.TimedOut != 1 || q.Full != 1 || p.Waiting() {
		t.Errorf("%+v", q)
	}
}

// A reload with a higher limit lets who waits go on, and keeps them waiting.
func TestAQueueOutlivesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4")
		o.MaxConnections, o.QueueLength = 1, 1
		p := commit(t, o, nil)
		defer acquire(t, p).End()
		ticket, err := p.Queue()
		if err != nil || !ready(ticket) {
			t.Fatal(err)
		}
		o.MaxConnections = 2
		next := commit(t, o, p)
		defer closePool(t, next)
		if !next.Waiting() || !ready(ticket) {
			t.Error("nobody was told of the higher limit")
		}
		defer acquire(t, p).End()
		ticket.Leave(WaitServed)
	})
}

// A request that finds no member must not wake itself.
func TestSteppingBackWakesNobody(t *testing.T) {
	o := options("10.0.0.4")
	o.MaxRequests, o.QueueLength = 2, 1
	p := commit(t, o, nil)
	defer closePool(t, p)
	ticket, _ := p.Queue()
	ready(ticket)
	if got := [...]bool{p.Enter(), p.Enter(), p.Enter()}; got != [...]bool{true, true, false} {
		t.Errorf("entered: %v, want two to", got)
	}
	p.StepBack()
	if ready(ticket) {
		t.Error("woken by who stepped back")
	}
	p.Leave()
	if !ready(ticket) {
		t.Error("not woken by who left")
	}
	ticket.Leave(WaitServed)
}
