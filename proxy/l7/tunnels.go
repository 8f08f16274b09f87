package l7

import "sync"

// tunnels are those that are open, by their frontend: what a frontend that
// stops has to tell that it does.
type tunnels struct {
	mu   sync.Mutex
	open map[*tunnel]int // ID of the frontend
}

func (t *tunnels) add(tn *tunnel, frontend int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[*tunnel]int{}
	}
	t.open[tn] = frontend
}

func (t *tunnels) remove(tn *tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, tn)
}

// leave ends the WebSockets of a frontend, and returns how many there were.
func (t *tunnels) leave(frontend int) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tn, of := range t.open {
		if of == frontend && tn.framed {
			tn.leave()
			n++
		}
	}
	return n
}
