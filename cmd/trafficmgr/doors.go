package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/doh"
	"gatehouse/dnslb/server"
	"gatehouse/internal/command"
)

// doorKey is an address and what is spoken there.
type doorKey struct {
	address  netip.AddrPort
	protocol config.DNSProtocol
}

func (k doorKey) String() string { return fmt.Sprintf("%s/%s", k.address, protocolName(k.protocol)) }

func protocolName(p config.DNSProtocol) string {
	switch p {
	case config.DNSOverUDP:
		return "udp"
	case config.DNSOverTCP:
		return "tcp"
	case config.DNSOverTLS:
		return "dot"
	}
	return "doh"
}

// door is a listener. It lives as long as configurations have it, and what
// they say of its certificates is asked at each handshake.
type door struct {
	doorKey
	tls    atomic.Pointer[tls.Config]
	dns    *server.Server // udp, tcp, dot
	doh    *doh.Server
	cancel context.CancelFunc // nil: not started; guarded by app.mu
	ended  bool               // likewise
}

// listen binds the addresses that are new and takes over the others.
func (b *build) listen(ctx context.Context) {
	for i, l := range b.conf.Listen {
		for _, p := range l.Protocols {
			b.open(ctx, i, doorKey{address: l.Address, protocol: p})
		}
	}
}

// open takes a door over, or binds it.
func (b *build) open(ctx context.Context, i int, key doorKey) {
	d := b.prev.listening[key]
	isNew := d == nil
	if isNew {
		d = &door{doorKey: key}
	}
	var conf *tls.Config
	switch key.protocol {
	case config.DNSOverTLS:
		conf = b.tlsConfig(i, "dot")
	case config.DNSOverHTTPS:
		conf = b.tlsConfig(i, "h2", "http/1.1")
	}
	b.next.listening[key] = d
	if !isNew {
		b.next.renew = append(b.next.renew, func() {
			d.tls.Store(conf)
			d.renew(b.conf, b.conf.Listen[i].Path)
		})
		return
	}
	d.tls.Store(conf)
	if err := b.bind(ctx, d, b.conf.Listen[i].Path); err != nil {
		b.fail(listenName(i)+".address", b.listenError(d, err))
		return
	}
	b.undo = append(b.undo, d.close)
}

// listenError says what to do about an address that cannot be listened on. A
// listener that this configuration no longer has still holds its address while
// the new one is bound.
func (b *build) listenError(d *door, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		for key := range b.prev.listening {
			if key.address.Port() == d.address.Port() && key.udp() == d.udp() && b.gone(key) {
				return fmt.Errorf("%w; this process listens there as %s, which a reload cannot turn into %s: remove the one, reload, and add the other, or restart", err, key, d)
			}
		}
	}
	return command.ListenError(err)
}

// udp tells whether the address is one for UDP: another space of ports.
func (k doorKey) udp() bool { return k.protocol == config.DNSOverUDP }

// gone tells whether the next configuration has no such door.
func (b *build) gone(key doorKey) bool {
	return !slices.ContainsFunc(b.conf.Listen, func(l config.DNSListener) bool {
		return l.Address == key.address && slices.Contains(l.Protocols, key.protocol)
	})
}

// renew gives a door that goes on what a configuration says of it; path is
// that of doh.
func (d *door) renew(conf *config.TrafficManager, path string) {
	if d.doh != nil {
		d.doh.SetPath(path)
		d.doh.SetLimits(conf.Limits)
		d.doh.SetDrain(drainOf(conf))
		return
	}
	d.dns.SetLimits(conf.Limits)
	d.dns.SetDrain(drainOf(conf))
}

// drainOf is the time to drain for those to whom 0 means another time.
func drainOf(conf *config.TrafficManager) time.Duration { return max(conf.Drain, 1) }

// bind opens the sockets of a door; path is that of doh.
func (b *build) bind(ctx context.Context, d *door, path string) (err error) {
	a := b.app
	if d.protocol == config.DNSOverHTTPS {
		d.doh, err = doh.Listen(ctx, d.address, doh.Config{NewResponder: a.authority.NewStreamResponder, TLS: d.tlsConfig("h2", "http/1.1"), Path: path,
			Limits: b.conf.Limits, Connections: a.bounds, Drain: drainOf(b.conf), Log: a.log, Listen: a.listenStream})
		return err
	}
	limits := b.conf.Limits
	limits.UDPSize = 4096 // the view's limit counts, which may change
	c := server.Config{NewResponder: a.authority.NewStreamResponder, Limits: limits, Connections: a.bounds, Drain: drainOf(b.conf), Log: a.log,
		ListenPacket: a.listenPacket, Listen: a.listenStream}
	switch d.protocol {
	case config.DNSOverUDP:
		c.Transports, c.NewResponder = []server.Transport{server.UDP}, a.newResponder
	case config.DNSOverTCP:
		c.Transports = []server.Transport{server.TCP}
	case config.DNSOverTLS:
		c.Transports, c.TLS = []server.Transport{server.TLS}, d.tlsConfig("dot")
	}
	d.dns, err = server.Listen(ctx, d.address, c)
	return err
}

// tlsConfig asks for the certificates of the moment at each handshake.
func (d *door) tlsConfig(protos ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return d.tls.Load(), nil }}
}

func (a *app) listenStream(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
	return a.upgrader.Listen(ctx, lc, network, address)
}

func (a *app) listenPacket(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
	return a.upgrader.ListenPacket(ctx, lc, network, address)
}

// start runs a door that is new. The caller holds the lock.
func (a *app) start(d *door) {
	if d.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	run := func(ctx context.Context) error { return d.dns.Run(ctx) }
	if d.doh != nil {
		run = d.doh.Run
	}
	a.leaving.Add(1)
	go func() {
		defer a.leaving.Done()
		if err := run(ctx); err != nil {
			a.log.Error("listener ended", "address", d.String(), "error", err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.gone.ended(d)
	}()
	a.log.Info("listening", "address", d.String())
}

// stop ends a door that runs, after what it has in hand.
func (d *door) stop() {
	if d.cancel != nil {
		d.cancel()
	}
}

// close closes a door that was never started.
func (d *door) close() {
	if d.dns != nil {
		d.dns.Close()
	}
	if d.doh != nil {
		d.doh.Close()
	}
}
