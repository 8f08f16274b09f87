package doh

import (
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gatehouse/dnslb/server"
	"gatehouse/dnslb/wire"
)

// gate counts requests in hand, until it is closed.
type gate struct {
	mu     sync.Mutex // guards closed, and additions to inside
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside.Add(1)
	}
	return !g.closed
}

// close lets nobody in any more and waits for those inside.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}

// handle answers a request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if !s.requests.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.requests.inside.Done()
	c := connOf(r)
	if c.requests.Add(1) >= int64(s.limits.Load().TCPQueries) {
		lastOne(w)
	}
	e := s.exchanges.Get().(*exchange)
	defer func() {
		e.end()
		s.exchanges.Put(e)
	}()
	query, refusal := e.read(r, *s.path.Load())
	if refusal != refusals {
		s.refuse(w, refusal)
		return
	}
	s.stats.queries.Add(1)
	// Before that the connection only waited for its client.
	if !c.begin() {
		panic(http.ErrAbortHandler)
	}
	defer c.end()
	e.peer = c.peer
	e.peer.Now = time.Now()
	s.answer(w, e, query)
}

// lastOne lets the connection end with this response.
func lastOne(w http.ResponseWriter) {
	w.Header().Set("Connection", "close") // in HTTP/2 it becomes a GOAWAY
}

// answer asks for the response to a query and writes it.
func (s *Server) answer(w http.ResponseWriter, e *exchange, query []byte) {
	switch {
	case len(query) < wire.HeaderLen:
		s.drop(w, server.DropShort)
		return
	case binary.BigEndian.Uint16(query[2:])&wire.FlagQR != 0:
		s.drop(w, server.DropResponse)
		return
	}
	answer, panicked := s.responders.Respond(e.out[:0], query, &e.peer)
	switch {
	case panicked:
		s.drop(w, server.DropPanic)
	case len(answer) == 0:
		s.drop(w, server.DropSilent)
	case len(answer) > maxMessage:
		s.drop(w, server.DropLongAnswer)
	case len(answer) > shortMessage && !e.holdLong():
		s.refuse(w, RefusedBusy)
	default:
		s.send(w, answer)
	}
}

// send writes a response. It is private because answers depend on who asks,
// so that a cache that several share must not keep them.
func (s *Server) send(w http.ResponseWriter, answer []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("Cache-Control", "private, max-age="+strconv.FormatUint(uint64(freshness(answer)), 10))
	if _, err := w.Write(answer); err != nil {
		s.stats.dropped[server.DropUnsent].Add(1)
		return
	}
	s.stats.responses.Add(1)
}

// refuse answers a request that brought no query.
func (s *Server) refuse(w http.ResponseWriter, why Refusal) {
	s.stats.refused[why].Add(1)
	if why == RefusedMethod {
		w.Header().Set("Allow", "GET, POST")
	}
	fail(w, refused[why].status, refused[why].text)
}

// drop answers a query that gets no response.
func (s *Server) drop(w http.ResponseWriter, why server.Drop) {
	s.stats.dropped[why].Add(1)
	fail(w, dropped[why].status, dropped[why].text)
}

// fail answers with a status other than 200 and a line of text.
func fail(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that is gone has no need of it
}
