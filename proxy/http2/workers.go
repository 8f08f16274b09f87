package http2

import (
	"runtime"

	"gatehouse/proxy/multiplex"
)

// task is an exchange to serve, or a connection to write out.
type task struct {
	x *Exchange
	c *Conn
}

var pool multiplex.Workers[task]

// Run does it.
func (t task) Run() {
	if t.x != nil {
		t.x.run()
		return
	}
	runtime.Gosched() // others have something to say, too
	t.c.writeOut()
}
