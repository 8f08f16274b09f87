package l7

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http2"
)

// Errors of connects that say nothing about the member.
var (
	errSharedDial = errors.New("a connect that others waited for") // counted by who made it
	errSharedFull = errors.New("all HTTP/2 connections are full")
)

// UseHTTP2 has the transport's requests go over HTTP/2 where the member agrees
// to it in its TLS handshake, and in any case without TLS. It is called before
// the first request, and returns t.
func (t *Transport) UseHTTP2() *Transport {
	t.two = &shared{}
	if t.tls != nil {
		t.tlsTwo = t.tls.Clone()
		t.tlsTwo.NextProtos = []string{"h2", "http/1.1"}
		t.tls = t.tls.Clone()
		t.tls.NextProtos = slices.DeleteFunc(slices.Clone(t.tls.NextProtos), func(p string) bool { return p == "h2" })
	}
	return t
}

// bind gives the exchange a connection to the member: one that is kept unless
// fresh, and if recent only if it was used a short time ago, or a new one.
// Upgrades are of HTTP/1.1: hardly a backend takes them over HTTP/2 (RFC 8441).
func (f *flow) bind(t *Transport, b *proxy.Backend, fresh, recent bool) error {
	if t.two != nil && f.req.UpgradeTo.Len == 0 {
		return f.bindShared(t, b, fresh, recent)
	}
	if !fresh {
		if c := t.get(f.shard, recent); c != nil {
			f.use(c)
			return nil
		}
	}
	return f.connect(b, func(ctx context.Context) error {
		c, err := t.dial(ctx)
		if err == nil {
			f.use(c)
		}
		return err
	})
}

// use makes a connection of HTTP/1.1 the exchange's.
func (f *flow) use(c *http1.ClientConn) {
	f.rec.Reused = c.Uses > 0
	c.Stream.Stall = f.snap.Limits.WriteStall
	f.one.Bind(c, f.snap.Limits.ResponseHeadBytes)
	f.up = f.one
}

// bindShared is bind for a member that may speak HTTP/2.
func (f *flow) bindShared(t *Transport, b *proxy.Backend, fresh, recent bool) error {
	if f.two == nil {
		f.two = http2.NewUpstream()
	}
	for range maxClaims {
		c := t.two.open(f.two, f.snap.Limits.ResponseHeadBytes)
		switch {
		case c.opened:
			f.rec.Reused = f.two.Reused()
			f.up = f.two
			return nil
		case c.full:
			return errSharedFull
		case c.dial != nil && !c.mine:
			if err := f.awaitDial(c.dial); err != nil {
				return err
			}
			continue
		case c.dial == nil && !fresh:
			if own := t.get(f.shard, recent); own != nil {
				f.use(own)
				return nil
			}
		}
		one, err := f.connectEither(t, b, c.dial)
		if one || err != nil {
			return err
		}
	}
	return errSharedFull
}

// maxClaims is how often a request waits for a connection, or makes one, that
// others have filled by the time it is there.
const maxClaims = 8

// connectEither opens a connection in the protocol that the member wants; one
// says that it is HTTP/1.1, and the exchange has it.
func (f *flow) connectEither(t *Transport, b *proxy.Backend, d *sharedDial) (one bool, err error) {
	stall := f.snap.Limits.WriteStall
	var own *http1.ClientConn
	err = f.connect(b, func(ctx context.Context) error {
		own, err = t.dialEither(ctx, stall)
		return err
	})
	t.two.settle(d, err)
	if own != nil {
		f.use(own)
	}
	return own != nil, err
}

// dialEither opens a connection, which it returns if it is one of HTTP/1.1 and
// otherwise puts among the shared ones.
func (t *Transport) dialEither(ctx context.Context, stall time.Duration) (*http1.ClientConn, error) {
	s, err := t.connect(ctx)
	if err == nil {
		err = handshake(ctx, s, t.tlsTwo)
	}
	if err != nil {
		return nil, err
	}
	one := s.TLS() != nil && !choseHTTP2(s.TLS())
	t.two.chose(one)
	if one {
		return t.own(s)
	}
	s.Stall = stall
	c := http2.NewClientConn(s)
	if !t.two.adopt(c) {
		c.Close()
		return nil, errTransportClosed
	}
	return nil, nil
}

func choseHTTP2(c *tls.Conn) bool { return c.ConnectionState().NegotiatedProtocol == "h2" }

// awaitDial waits for another request's connect, if that takes long with an eye
// on the client.
func (f *flow) awaitDial(d *sharedDial) error {
	from := stream.Now()
	ctx, cancel := context.WithTimeout(context.Background(), f.target.Settings.ConnectTimeout)
	defer cancel()
	err := f.patiently(d.done, cancel, func() error {
		select {
		case <-d.done:
			return d.err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	f.rec.Tc = max(f.rec.Tc, 0) + stream.Now() - from
	if err == nil || err == errClientGone || errors.Is(err, context.Canceled) {
		return notOthers(err) // canceled: the other's client has left, ours has not
	}
	return fmt.Errorf("%w: %w", errSharedDial, err)
}

// notOthers is err, unless that is about another client.
func notOthers(err error) error {
	if err == errClientGone {
		return err
	}
	return nil
}

// connect opens a connection to a member by dial.
func (f *flow) connect(b *proxy.Backend, dial func(context.Context) error) error {
	from := stream.Now()
	ctx, cancel := context.WithTimeout(context.Background(), f.target.Settings.ConnectTimeout)
	defer cancel()
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = dial(ctx)
	}()
	err = f.patiently(done, cancel, func() error { <-done; return err })
	f.rec.Tc = stream.Now() - from
	if err == nil {
		b.ConnectOK()
	}
	return err
}

// patiently waits for done, and gives up by cancel when that takes long and the
// client leaves meanwhile; wait returns soon then.
func (f *flow) patiently(done <-chan struct{}, cancel func(), wait func() error) error {
	long := time.NewTimer(time.Duration(patience))
	defer long.Stop()
	select {
	case <-done:
		return wait()
	case <-long.C:
	}
	f.x.Watch(cancel)
	err := wait()
	if f.x.Unwatch() && err != nil {
		err = errClientGone
	}
	return err
}

// keep gives the connection to the backend back, for other requests if it may
// carry them.
func (f *flow) keep(t *Transport) {
	if f.shares() {
		f.two.Release()
		return
	}
	if !f.one.Reusable() {
		f.drop(t)
		return
	}
	c := f.one.Conn()
	f.one.Release()
	c.Uses++
	used := f.answered
	if f.streamed {
		used = stream.Now()
	}
	t.put(f.shard, c, used)
}

// drop gives up the exchange with the backend: over HTTP/1.1 that is the end of
// its connection.
func (f *flow) drop(t *Transport) {
	if f.shares() {
		f.two.Release()
		return
	}
	c := f.one.Conn()
	f.one.Release()
	t.discard(c)
}

// shares reports whether the exchange is on a connection that others use, too.
func (f *flow) shares() bool { return f.two != nil && f.two.Conn() != nil }

// spoilUpstream ends the exchange with the backend when nobody knows what state
// it is in.
func (f *flow) spoilUpstream() {
	if f.two != nil {
		f.two.Spoil()
	}
	if c := f.one.Conn(); c != nil {
		c.Stream.Abort()
	}
}
