//go:build linux

// Package origin is the backend behind the proxies that are measured: a
// minimal HTTP/1.1 server that answers a handful of paths with replies
// rendered beforehand.
//
// It is no example of a server: it trusts its callers, which are proxies on
// loopback that our own load generator drives. All it has to be is cheap.
package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/bench/sock"
	"gatehouse/bench/traffic"

	"golang.org/x/sys/unix"
)

// listenerToken marks the listening socket among the events of a set.
const listenerToken = -1

// Sizes are the lengths of the reply bodies by path.
func Sizes() map[string]int {
	return map[string]int{
		"/":     128, // health probes ask for it
		"/128":  128,
		"/10k":  10 << 10,
		"/100k": 100 << 10,
		"/1m":   1 << 20,
		"/post": 128,

		cataloguePath: traffic.CatalogueSize,

		// For firewalls, which look at paths as well.
		"/shop/search":  128,
		"/shop/contact": 128,
		"/api/ratings":  128,
		"/api/orders":   128,
		pagePath:        traffic.PageSize,
	}
}

// pagePath is answered with a page of HTML, cataloguePath with JSON; all others
// with letters.
const (
	pagePath      = "/shop/item"
	cataloguePath = "/catalogue"
	echoPath      = "/echo" // makes the connection a WebSocket that sends back the very bytes that come
)

// Server serves the replies of Sizes until it is closed.
type Server struct {
	fd      int
	addr    netip.AddrPort
	replies map[string][]byte
	closing atomic.Bool
	loops   sync.WaitGroup
}

// Start listens on addr and serves from the given number of threads.
func Start(addr netip.AddrPort, threads int) (*Server, error) {
	fd, err := sock.Listen(addr, 4096)
	if err != nil {
		return nil, err
	}
	bound, err := sock.LocalAddr(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s := &Server{fd: fd, addr: bound, replies: renderReplies()}
	for range threads {
		if err := s.startLoop(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Close stops the threads and waits for their end.
func (s *Server) Close() error {
	s.closing.Store(true)
	s.loops.Wait()
	return unix.Close(s.fd)
}

func renderReplies() map[string][]byte {
	replies := make(map[string][]byte)
	for path, size := range Sizes() {
		replies[path] = render("200 OK", size)
	}
	replies[pagePath] = message("200 OK", "text/html; charset=utf-8", traffic.Page())
	replies[cataloguePath] = message("200 OK", "application/json", traffic.Catalogue())
	replies[echoPath] = []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + sampleAccept + "\r\n\r\n")
	return replies
}

// sampleAccept answers the key of the example in RFC 6455 1.3, which the load
// generator sends.
const sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// render makes a reply of so many letters.
func render(status string, size int) []byte {
	body := make([]byte, size)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	return message(status, "text/plain", body)
}

func message(status, contentType string, body []byte) []byte {
	head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", status, contentType, len(body))
	return append([]byte(head), body...)
}

func (s *Server) startLoop() error {
	poll, err := sock.NewPoll(256)
	if err != nil {
		return err
	}
	if err := poll.AddListener(s.fd, listenerToken); err != nil {
		return errors.Join(err, poll.Close())
	}
	l := &loop{server: s, poll: poll, conns: make(map[int32]*conn)}
	s.loops.Go(l.run)
	return nil
}

// loop is one thread's connections.
type loop struct {
	server *Server
	poll   *sock.Poll
	conns  map[int32]*conn
}

func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.close()
	for !l.server.closing.Load() {
		events, err := l.poll.Wait(time.Second)
		if err != nil {
			return
		}
		for i := range events {
			l.handle(events[i].Fd)
		}
	}
}

func (l *loop) handle(token int32) {
	if token == listenerToken {
		l.accept()
		return
	}
	c := l.conns[token]
	if c == nil {
		return
	}
	if err := c.serve(l.server.replies); err != nil {
		delete(l.conns, token)
		unix.Close(c.fd)
	}
}

// accept takes what waits. Level-triggered: what a failure leaves in the
// queue is reported again.
func (l *loop) accept() {
	for {
		fd, err := sock.Accept(l.server.fd)
		if err != nil {
			return
		}
		if err := l.poll.Add(fd, int32(fd)); err != nil {
			unix.Close(fd)
			continue
		}
		l.conns[int32(fd)] = &conn{fd: fd, in: make([]byte, maxHead)}
	}
}

func (l *loop) close() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	l.poll.Close()
}
