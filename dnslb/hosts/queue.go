package hosts

import "container/heap"

// queue holds the hosts that wait for their next lookup, the one that is due
// first at its head. It is a heap for package container/heap.
type queue []*host

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is for container/heap only; see add.
func (q *queue) Push(x any) { *q = append(*q, x.(*host)) }

// Pop is for container/heap only; see take.
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return h
}

// add puts a host where its due time belongs.
func (q *queue) add(h *host) { heap.Push(q, h) }

// take removes the host that is due first; there must be one.
func (q *queue) take() *host { return heap.Pop(q).(*host) }

// prune removes hosts that are not wanted any more.
func (q *queue) prune() {
	kept := (*q)[:0]
	for _, h := range *q {
		if !h.gone {
			kept = append(kept, h)
		}
	}
	clear((*q)[len(kept):])
	*q = kept
	heap.Init(q)
}
