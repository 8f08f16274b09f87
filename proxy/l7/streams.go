package l7

import (
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http2"
)

// multiplexed answers the requests of HTTP/2 connections.
type multiplexed struct{ gw *Gateway }

// Options implements http2.Handler.
func (m multiplexed) Options() *http1.Options { return m.gw.options.Load() }

// ServeStream implements http2.Handler.
func (m multiplexed) ServeStream(x *http2.Exchange) {
	c, a := arrivedOn(x)
	m.gw.flowIn(&x.Data).run(x, &c, a)
}

// RefuseStream implements http2.Handler.
func (m multiplexed) RefuseStream(x *http2.Exchange, why *http1.Error) {
	c, a := arrivedOn(x)
	f := m.gw.flowIn(&x.Data)
	defer f.contain(x) // there is nobody above
	f.turnDown(x, &c, a, why)
}

// flowIn returns the flow that is pooled with an exchange, where that keeps it.
func (g *Gateway) flowIn(data *any) *flow {
	if f, ok := (*data).(*flow); ok {
		f.gw = g
		return f
	}
	f := newFlow(g)
	*data = f
	return f
}

// arrivedOn is what the gateway needs to know of a stream and its connection.
func arrivedOn(x *http2.Exchange) (Connection, Arrival) {
	a := Arrival{Start: x.HeadStart(), Proto: protoHTTP2}
	a.First, a.IdleSince = x.First()
	return x.Conn().Data.(*conn).connection(), a
}

// connection is what the gateway needs to know of a client's connection.
func (c *conn) connection() Connection {
	return Connection{Frontend: c.fe.ID, Peer: c.Peer, Local: c.Local, Shard: c.Shard, Secure: c.secure, TLSGroup: c.tlsGroup,
		TLSFor: c.tlsFor, ClientCert: c.clientCert, TLSVersion: c.tlsVersion, Cipher: c.cipher, ServerName: c.serverName, Handshake: c.handshake, Offered: c.offered, Trips: c.Stream}
}

// serve runs the connection in the protocol that the client speaks.
func (c *conn) serve(cleartext bool, headTimeout int64) {
	if !c.speaksHTTP2(cleartext, stream.Now()+headTimeout) {
		c.Serve()
		return
	}
	h := http2.NewConn(c.Stream, multiplexed{c.fe.gw})
	h.Data = c
	c.h2.Store(h)
	if c.draining.Load() {
		h.Drain() // it was told before there was one
	}
	h.Serve()
}

// speaksHTTP2 reports whether the client has agreed to HTTP/2 in its handshake,
// or begins with it where that is allowed without one.
func (c *conn) speaksHTTP2(cleartext bool, deadline int64) bool {
	if c.secure {
		return c.Stream.TLS().ConnectionState().NegotiatedProtocol == "h2"
	}
	if !cleartext {
		return false
	}
	var first [len(http2.Preface)]byte
	for have := 0; ; {
		n, err := c.Stream.Peek(first[:], have, deadline)
		if err != nil || string(first[:n]) != http2.Preface[:n] {
			return false // whoever serves it will see the error again
		}
		if n == len(first) {
			return true
		}
		have = n
	}
}

// Drain makes what is under way the last of the connection.
func (c *conn) Drain() {
	c.draining.Store(true)
	if c.layer4 {
		return // there is no last request; it ends by itself, or is cut
	}
	if h := c.h2.Load(); h != nil {
		h.Drain()
		return
	}
	c.ServerConn.Drain()
}

// Leave ends the connection if it is idle, and otherwise does what Drain does.
func (c *conn) Leave() {
	if c.layer4 {
		return
	}
	if h := c.h2.Load(); h != nil {
		h.Leave()
		return
	}
	c.ServerConn.Leave()
}
