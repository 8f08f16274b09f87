package server

import "time"

// worker is what a connection needs while it is not idle.
type worker struct {
	guard *guard
	in    inbox
	out   outbox
	put   uint64 // messages in out
	conn  *conn  // the one in hand
	fails bool   // out could not be written

	streamWrite func([]byte) error // of Streamer: w.stream, made once
}

func newWorker(g *guard) *worker {
	w := &worker{guard: g}
	w.streamWrite = w.stream
	return w
}

// begin serves a connection that has read the first byte of a query.
func (w *worker) begin(c *conn) {
	w.conn, w.fails = c, false
	w.in.begin(c.first[:1])
}

// end makes the worker ready for another connection.
func (w *worker) end() {
	w.conn = nil
	w.out.clear()
	w.out.shrink()
}

// answerAll answers the queries read, and writes the answers together unless
// they are too long for that. It returns false if the connection is to end.
func (w *worker) answerAll() bool {
	w.conn.peer.Now = time.Now()
	goOn := true
	for goOn {
		query := w.in.next()
		if query == nil {
			break
		}
		goOn = w.answer(query)
	}
	return w.flush() && goOn
}

// answer answers one query. It returns false if it was the last one.
func (w *worker) answer(query []byte) bool {
	s := w.conn.streams
	s.stats.queries.Add(1)
	if !isQuery(query) {
		if len(query) < headerSize {
			s.stats.drop(DropShort)
		} else {
			s.stats.drop(DropResponse)
		}
		return false
	}
	handled, err := w.guard.stream(query, &w.conn.peer, w.streamWrite)
	if err == errPanicked {
		s.stats.drop(DropPanic)
	}
	if err != nil {
		return false
	}
	if !handled && !w.respond(query) {
		return false
	}
	if w.conn.answers++; w.conn.answers >= s.limits.Load().TCPQueries {
		w.conn.polite = true
		return false
	}
	return true
}

// respond asks for one answer. It returns false if that cannot be written.
func (w *worker) respond(query []byte) bool {
	stats := w.conn.streams.stats
	answer, panicked := w.guard.respond(w.out.room(), query, &w.conn.peer)
	switch {
	case panicked:
		stats.drop(DropPanic)
	case len(answer) == 0:
		stats.drop(DropSilent)
	case len(answer) > maxMessage:
		stats.drop(DropLongAnswer)
	default:
		return w.send(answer)
	}
	return true
}

// stream is the write of a Streamer.
func (w *worker) stream(message []byte) error {
	if len(message) > maxMessage {
		return errTooLong
	}
	if !w.send(message) {
		return errGone
	}
	return nil
}

// send adds a message to those to write, and writes them once they are many.
func (w *worker) send(message []byte) bool {
	w.out.add(message)
	w.put++
	return len(w.out.buf) < w.conn.streams.limits.Load().WaitingForWriting || w.flush()
}

// flush writes what there is. It returns false once that has failed.
func (w *worker) flush() bool {
	if !w.fails && !w.out.empty() {
		w.fails = w.conn.write(w.out.buf) != nil
	}
	stats := w.conn.streams.stats
	if w.fails {
		stats.dropped[DropUnsent].Add(w.put)
	} else {
		stats.responses.Add(w.put)
	}
	w.put = 0
	w.out.clear()
	return !w.fails
}
