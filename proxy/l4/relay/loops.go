package relay

import (
	"errors"
	"sync"
)

// Loops are the event loops of a process.
type Loops struct {
	loops []*loop
	wait  sync.WaitGroup
}

// NewLoops starts n loops, one for each core as a rule. They must be closed.
func NewLoops(n int) (*Loops, error) {
	if n < 1 {
		return nil, errors.New("relay: no loops")
	}
	ls := &Loops{}
	for range n {
		l, err := newLoop()
		if err != nil {
			ls.Close()
			return nil, err
		}
		ls.loops = append(ls.loops, l)
		ls.wait.Go(l.run)
	}
	return ls, nil
}

// Len is how many there are.
func (ls *Loops) Len() int { return len(ls.loops) }

// Close ends the loops. Flows that are left end with them.
func (ls *Loops) Close() {
	for _, l := range ls.loops {
		l.post(func() { l.closing = true })
	}
	ls.wait.Wait()
}

// each calls f in each loop and waits until all have; false: some have ended.
func (ls *Loops) each(f func(i int, l *loop)) bool {
	var wait sync.WaitGroup
	all := true
	for i, l := range ls.loops {
		wait.Add(1)
		if !l.post(func() { defer wait.Done(); f(i, l) }) {
			wait.Done()
			all = false
		}
	}
	wait.Wait()
	return all
}
