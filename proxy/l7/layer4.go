package l7

import (
	"context"
	"errors"
	"io"
	"sync"

	"gatehouse/config"
	"gatehouse/internal/proxyproto"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
	"gatehouse/proxy/balance"
	"gatehouse/proxy/http1"
)

// carried is the connection of a client of a listener of layer 4, from its
// handshake to its end.
type carried struct {
	fe       *Frontend
	c        *conn
	listener *Listener
	backend  *proxy.Backend
	member   *http1.ClientConn
	up, down copier
	rec      telemetry.Record
	from     int64 // when there was a member
}

// carry serves a connection that is not HTTP: a member is chosen for it, and
// its bytes are relayed until both sides are done, or silent for too long. m
// counts connections that no listener takes.
func (fe *Frontend) carry(c *conn, m *telemetry.Listener) {
	defer c.Stream.Close()
	snap := fe.gw.acquire(c.Shard)
	letGo := sync.OnceFunc(func() { snap.release(c.Shard) })
	defer letGo()
	k := &carried{fe: fe, c: c, listener: fe.layer4Listener(snap, c)}
	if k.listener == nil {
		m.Rejected(c.Shard, telemetry.RejectMisdirected)
		return
	}
	k.listener.Metrics.Began(c.Shard)
	defer k.listener.Metrics.Ended(c.Shard)
	k.begin()
	defer k.giveBack()
	ok := k.connect()
	letGo() // what is carried outlives configurations
	if ok {
		k.relay()
	}
	k.end()
}

// layer4Listener is the listener that a connection is for; nil if there is none
// any more, or a reload has changed its TLS since the handshake.
func (fe *Frontend) layer4Listener(snap *Snapshot, c *conn) *Listener {
	sites := snap.sites(fe.ID)
	if sites == nil {
		return nil
	}
	l := sites.Find([]byte(lowerHost(c.serverName)))
	if l == nil || !l.Layer4 || l.HTTPS != c.secure || c.secure && l.TLSGroup != c.tlsGroup {
		return nil
	}
	return l
}

func (k *carried) begin() {
	c, r := k.c, &k.rec
	r.Reset()
	appendTraceID(r.TraceID[:0])
	r.Start = stream.WallAt(c.Opened)
	r.ClientAddr, r.PeerAddr, r.Proto = c.Peer, c.Peer, "TCP"
	r.Listener, r.Rule = k.listener.Name, k.listener.Rule
	r.Th = max(c.handshake, 0)
	r.TLS, r.TLSVersion, r.Cipher, r.ServerName = c.secure, c.tlsVersion, c.cipher, c.serverName
	if cert := c.clientCert; cert != nil {
		r.ClientVerify, r.ClientFingerprint, r.ClientIssuer = cert.Verdict, cert.Fingerprint, cert.Issuer
	}
	if t := k.listener.Target; t != nil {
		r.Pool, r.Settings = t.Settings.Pool, t.Settings.Name
	}
}

// refuse notes why there is no member. Clients see the connection closed.
func (k *carried) refuse(status int, who telemetry.Termination, reason, info string) {
	k.rec.Status, k.rec.Termination, k.rec.Reason, k.rec.ErrorInfo = status, who, reason, info
}

// connect finds a member that takes the connection; false if none does.
func (k *carried) connect() bool {
	t := k.listener.Target
	if rule := k.listener.Access.deniedBy(k.c.Peer.Addr()); rule != nil {
		k.refuse(403, telemetry.Termination{'P', 'R'}, "access rule "+ruleLabel(rule), "")
		return false
	}
	if t == nil {
		k.refuse(404, telemetry.Termination{'P', 'R'}, "no rule is bound to the listener", "")
		return false
	}
	var failed *proxy.Backend
	retrying := false
	defer func() {
		if retrying {
			t.Pool.EndRetry()
		}
	}()
	for attempt := 0; ; attempt++ {
		b, err := t.Pool.AcquireFor(k.hashKey(), failed)
		if err != nil {
			if failed == nil {
				k.noMember(err)
			}
			return false
		}
		k.backend = b
		if k.try(b, t.Settings) {
			return true
		}
		k.giveBack()
		failed = b
		if !t.Settings.Retries.OnConnectFailure || attempt >= t.Settings.Retries.Attempts {
			return false
		}
		if !retrying && !t.Pool.BeginRetry(t.Settings.Retries.Budget) {
			k.rec.Reason += "; not retried: the budget of retries is spent"
			return false
		}
		retrying = true
		k.rec.Retries++
	}
}

func (k *carried) noMember(err error) {
	status := 502
	if errors.Is(err, proxy.ErrBusy) {
		status = 503
	}
	k.refuse(status, telemetry.Termination{'P', 'Q'}, err.Error(), telemetry.ErrorInfoUpstreamNoLive)
}

// hashKey is the client's address, all that is known.
func (k *carried) hashKey() uint64 {
	if addr := k.c.Peer.Addr(); addr.IsValid() && k.listener.Target.Pool.HashKey() != nil {
		b := addr.As16()
		return balance.Sum(b[:], 0)
	}
	return 0
}

// try connects to a member, and counts how that went.
func (k *carried) try(b *proxy.Backend, s *Settings) bool {
	k.rec.Backend = b.Name()
	ctx, cancel := context.WithTimeout(context.Background(), s.ConnectTimeout)
	defer cancel()
	from := stream.Now()
	member, err := k.dial(ctx, b.Attached().(*Transport), s.ProxyProtocol)
	now := stream.Now()
	k.rec.Tc = now - from
	if err != nil {
		if !isOurs(err) {
			b.ConnectFailed(err)
			b.Answered(now, int64(s.ConnectTimeout))
		}
		k.refuse(502, telemetry.Termination{'S', 'C'}, "connect: "+shortError(err), telemetry.ErrorInfoUpstreamNoLive)
		return false
	}
	b.ConnectOK()
	b.Answered(now, k.rec.Tc)
	k.member, k.from = member, now
	k.refuse(200, telemetry.Termination{'-', '-'}, "", "")
	return true
}

// dial connects and says who the client is, before TLS.
func (k *carried) dial(ctx context.Context, t *Transport, header config.ProxyProtocol) (*http1.ClientConn, error) {
	s, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.Stall = k.c.Stream.Stall
	if hello := k.header(header); len(hello) > 0 {
		if err := s.Write(hello, nil, nil); err != nil {
			s.Abort()
			return nil, err
		}
	}
	return t.secure(ctx, s)
}

func (k *carried) header(v config.ProxyProtocol) []byte {
	switch v {
	case config.ProxyProtocolV1:
		return proxyproto.AppendV1(nil, k.c.Peer, k.c.Local)
	case config.ProxyProtocolV2:
		return proxyproto.AppendV2(nil, k.c.Peer, k.c.Local, false)
	}
	return nil
}

// relay copies both ways until both sides have ended.
func (k *carried) relay() {
	idle := int64(k.listener.Target.Settings.IdleTimeout)
	tn := &tunnel{idle: idle, linger: idle}
	tn.active.Store(stream.Now())
	client, member := k.c.Stream, k.member.Stream
	k.up = copier{tn: tn, dst: member, src: client, to: 'S', from: 'C'}
	k.down = copier{tn: tn, dst: client, src: member, to: 'C', from: 'S'}
	upEnded, downEnded, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer k.fe.gw.survive(func() { k.up.cut(io.ErrUnexpectedEOF, 'C') })
		k.up.run(upEnded, downEnded)
	}()
	k.down.run(downEnded, upEnded)
	<-done
	k.rec.Termination = tunnelEnd(k.up.err, k.down.err)
	if why := tn.failure.Load(); why != nil {
		k.rec.Termination = telemetry.Termination{why.side, 'D'}
		k.rec.Reason = why.text()
	} else if why := tn.reason(); why != "" {
		k.rec.Reason = why
		k.listener.Metrics.LimitHit(k.c.Shard, telemetry.LimitTunnelIdleTimeout)
	}
	k.giveBack()
}

// giveBack gives the member back, once, whatever became of the connection.
func (k *carried) giveBack() {
	if b := k.backend; b != nil {
		k.backend = nil
		if k.member != nil {
			b.Attached().(*Transport).discard(k.member)
		}
		b.End()
	}
}

// end writes the record.
func (k *carried) end() {
	r, now := &k.rec, stream.Now()
	r.BytesIn, r.BytesOut = k.up.n, k.down.n
	r.BackendOut, r.BackendIn = k.up.n, k.down.n
	r.Ta = now - k.c.Opened
	if k.from > 0 {
		r.Td = now - k.from
		r.Tw = max(r.Ta-r.Td-max(r.Tc, 0)-r.Th, 0)
	}
	t := k.listener.Unrouted
	if k.listener.Target != nil {
		t = k.listener.Target.Metrics
	}
	t.Observe(k.c.Shard, r)
	if k.fe.gw.access != nil {
		k.fe.gw.access.Log(k.c.Shard, r)
	}
}
