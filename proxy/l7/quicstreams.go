package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http3"
)

// multiplexedQUIC answers the requests of HTTP/3 connections.
type multiplexedQUIC struct{ gw *Gateway }

// Options implements http3.Handler.
func (m multiplexedQUIC) Options() *http1.Options { return m.gw.options.Load() }

// ServeStream implements http3.Handler.
func (m multiplexedQUIC) ServeStream(x *http3.Exchange) {
	c, a := arrivedByQUIC(x)
	m.gw.flowIn(&x.Data).run(x, &c.what, a)
}

// RefuseStream implements http3.Handler.
func (m multiplexedQUIC) RefuseStream(x *http3.Exchange, why *http1.Error) {
	c, a := arrivedByQUIC(x)
	f := m.gw.flowIn(&x.Data)
	defer f.contain(x) // there is nobody above
	f.turnDown(x, &c.what, a, why)
}

// arrivedByQUIC is what the gateway needs to know of a stream and its
// connection.
func arrivedByQUIC(x *http3.Exchange) (*quicConn, Arrival) {
	a := Arrival{Start: x.HeadStart(), Proto: protoHTTP3, Early: x.Early()}
	a.First, a.IdleSince = x.First()
	return x.Conn().Data.(*quicConn), a
}

// tooEarly refuses a request that may be a replay and would change something
// (RFC 8470 5.2): the client sends it again once the handshake is over. Others
// go on, and the backend is told.
func (f *flow) tooEarly() bool {
	switch f.req.Method {
	case httpmsg.GET, httpmsg.HEAD, httpmsg.OPTIONS:
	default:
		f.refuse(425, "in early data, which may be a replay", "")
		return true
	}
	if _, said := f.req.Lookup("early-data"); !said {
		f.req.AddString("Early-Data", "1")
	}
	return false
}

// protoHTTP3 is what the log calls it.
const protoHTTP3 = "HTTP/3.0"

// addAltSvc tells a client of TCP that there is HTTP/3 (RFC 7838 3, RFC 9114
// 3.1.1), instead of what a backend says of its own ports.
func (f *flow) addAltSvc(r *httpmsg.Response) {
	if f.listener == nil || f.listener.AltSvc == "" || f.proto == protoHTTP3 {
		return
	}
	r.DeleteName([]byte("alt-svc"))
	r.AddString("Alt-Svc", f.listener.AltSvc)
}
