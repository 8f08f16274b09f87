package multiplex

import "sync"

// Workers are goroutines that wait for something to do. Each has a stack that
// has grown already, which a new one would have to do for each request. The
// zero value works.
type Workers[T interface{ Run() }] struct {
	mu      sync.Mutex
	idle    []chan T
	resting bool // nobody is to wait
}

// maxIdle is how many wait at most.
const maxIdle = 256

// Do has a worker run a task. It does not wait.
func (w *Workers[T]) Do(task T) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		ch := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		ch <- task
		return
	}
	w.mu.Unlock()
	go w.work(task)
}

func (w *Workers[T]) work(task T) {
	ch := make(chan T, 1)
	for {
		task.Run()
		var none T
		task = none
		w.mu.Lock()
		if w.resting || len(w.idle) >= maxIdle {
			w.mu.Unlock()
			return
		}
		w.idle = append(w.idle, ch)
		w.mu.Unlock()
		var more bool
		if task, more = <-ch; !more {
			return
		}
	}
}

// Rest has those that wait end, and as long as it is on those that would.
func (w *Workers[T]) Rest(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting = on
	if !on {
		return
	}
	for _, ch := range w.idle {
		close(ch)
	}
	w.idle = nil
}
