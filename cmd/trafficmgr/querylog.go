package main

import (
	"net/netip"
	"sync"
	"time"

	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/querylog"
	"gatehouse/dnslb/server"
)

// logger puts what becomes of queries into a lane of the query log.
type logger struct {
	log    *querylog.Logger
	lane   *querylog.Lane
	mu     *sync.Mutex // of a lane that is shared; nil: it is not
	record querylog.Record
	names  [10]string
}

func newLogger(log *querylog.Logger, lane *querylog.Lane, mu *sync.Mutex) *logger {
	return &logger{log: log, lane: lane, mu: mu}
}

// Want implements [authority.QueryLogger].
func (l *logger) Want() bool {
	if l.mu != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	return l.lane.Want()
}

// Put implements [authority.QueryLogger].
func (l *logger) Put(e *authority.Event) {
	r := &l.record
	*r = querylog.Record{Time: e.Peer.Now, Took: max(time.Since(e.Peer.Now), 0), Client: e.Peer.Addr, Local: netip.AddrPortFrom(e.Peer.Local, e.Peer.LocalPort),
		Transport: transportName(e.Peer.Transport), Name: e.Name, Type: e.Type, Class: e.Class, Rcode: uint16(e.Rcode), Size: len(e.Response),
		AA: e.Response[2]&4 != 0, TC: e.Response[2]&2 != 0, DO: e.DO, Scope: e.Scope}
	if e.ECS.Addr.IsValid() {
		r.Subnet = netip.PrefixFrom(e.ECS.Addr, int(e.ECS.Source))
	}
	if e.Profile != nil {
		r.Profile = e.Profile.Name
		for i, x := range e.Endpoints {
			l.names[i] = x.Name
		}
		r.Endpoints = l.names[:len(e.Endpoints)]
	}
	if l.log.Dnstap() {
		r.Query, r.Response = e.Query, e.Response
	}
	if l.mu != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	l.lane.Put(r)
}

func transportName(t server.Transport) string {
	switch t {
	case server.UDP:
		return "udp"
	case server.TCP:
		return "tcp"
	case server.TLS:
		return "dot"
	}
	return "doh"
}
