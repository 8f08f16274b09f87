package udp

import "time"

const (
	// tick is how exact the end of a flow's idle time is.
	tick = 100 * time.Millisecond
	// turns is how many ticks the wheel looks ahead; flows that live longer
	// are looked at again then.
	turns = 1024
	// maxExpired is how many flows end before datagrams are looked at again.
	maxExpired = 256
)

// wheel has the flows of a loop by when they are to be looked at: each flow is
// touched once in its idle time rather than with each datagram.
type wheel struct {
	slots [turns]*flow
	at    int64 // the tick that was done last
	n     int
}

// add enters a flow to be looked at at a time in nanoseconds.
func (w *wheel) add(f *flow, due int64) {
	t := min(max(due/int64(tick)+1, w.at+1), w.at+turns-1)
	f.turn = int32(t % turns)
	head := &w.slots[f.turn]
	f.later, f.earlier = *head, nil
	if *head != nil {
		(*head).earlier = f
	}
	*head = f
	w.n++
}

func (w *wheel) remove(f *flow) {
	if f.earlier != nil {
		f.earlier.later = f.later
	} else {
		w.slots[f.turn] = f.later
	}
	if f.later != nil {
		f.later.earlier = f.earlier
	}
	f.later, f.earlier = nil, nil
	w.n--
}

// advance looks at the flows whose time has come; look either removes a flow
// or adds it again, and tells whether it removed it. It returns false if some
// are left for the next time.
func (w *wheel) advance(now int64, look func(*flow) (ended bool)) bool {
	if w.n == 0 {
		w.at = now / int64(tick)
		return true
	}
	ended := 0
	for w.at < now/int64(tick) {
		slot := &w.slots[(w.at+1)%turns]
		for *slot != nil {
			if ended == maxExpired {
				return false
			}
			if look(*slot) {
				ended++
			}
		}
		w.at++
	}
	return true
}
