package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"gatehouse/config"
	"gatehouse/internal/command"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy/http3"
	"gatehouse/proxy/l7"
)

// quicFrontend is an address that is listened on for HTTP/3.
type quicFrontend struct {
	*l7.QUICFrontend
	isNew bool // not started yet
}

// altSvcAge is for how long clients may remember that there is HTTP/3, in
// seconds (Azure: 86400).
const altSvcAge = 86400

// addQUIC keeps the QUIC frontend of an address, or binds a new one.
func (b *build) addQUIC(c *config.Listener) {
	tcp := b.next.frontends[c.Address]
	if !c.HTTP3 || tcp == nil {
		return // also of a dry run, or of an address that is not there
	}
	if fe := b.prev.quic[c.Address]; fe != nil {
		b.next.quic[c.Address] = fe
		return
	}
	socket, err := b.app.listenUDP(c.Address, tcp.Addr())
	if err != nil {
		b.fail(b.listenerPath(c.Name)+".http3", "%w", err)
		return
	}
	id := b.app.takeID()
	fe := b.app.gateway.NewQUICFrontend(id, socket)
	b.undo = append(b.undo, func() {
		fe.Close()
		b.app.giveID(id)
	})
	b.next.quic[c.Address] = &quicFrontend{QUICFrontend: fe, isNew: true}
}

// listenUDP binds the UDP port beside a TCP port, or takes it over from an
// older process.
func (a *app) listenUDP(addr netip.AddrPort, tcp net.Addr) (*http3.Socket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if t, ok := tcp.(*net.TCPAddr); ok {
		addr = netip.AddrPortFrom(addr.Addr(), uint16(t.Port)) // that of the configuration may be 0
	}
	name := listenAddress(addr)
	udp, err := a.upgrader.ListenPacket(ctx, nil, "udp", name)
	if err != nil {
		return nil, command.ListenError(err)
	}
	older, err := a.olderSocket(name)
	if err != nil {
		udp.Close()
		return nil, err
	}
	var forget func()
	socket, err := http3.NewSocket(udp.UDPConn, func() error {
		forget()
		return udp.Close()
	}, older)
	if err != nil {
		udp.Close()
		return nil, err
	}
	// A newer process gets what leads to this one.
	forget, err = a.upgrader.Hold(passedOn, name, socket.Handed(), socket.Retire)
	if err != nil {
		forget = func() {}
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// passedOn is the network of the sockets by which packets of a process's
// connections come to it when a newer one reads their port.
const passedOn = "quic"

// olderSocket leads to the process before this one; nil if there is none.
func (a *app) olderSocket(name string) (*net.UnixConn, error) {
	f, err := a.upgrader.Take(passedOn, name)
	if err != nil || f == nil {
		return nil, err
	}
	return http3.FileConn(f)
}

// placeQUIC gives the QUIC frontends the sites of their addresses. Those that
// have no HTTP/3 any more keep them until the last connection is gone.
func (b *build) placeQUIC(snap *l7.Snapshot, sites map[netip.AddrPort]*l7.Sites) {
	for _, all := range []map[netip.AddrPort]*quicFrontend{b.prev.quic, b.next.quic} {
		for addr, fe := range all {
			s := sites[addr]
			if s == nil || !s.First().HTTPS {
				continue
			}
			for len(snap.Sites) <= fe.ID {
				snap.Sites = append(snap.Sites, nil)
			}
			snap.Sites[fe.ID] = s
		}
	}
}

// addHTTP3 gives a listener what HTTP/3 takes.
func (b *build) addHTTP3(l *l7.Listener, c *config.Listener, set *tlscert.Set) {
	if !c.HTTP3 {
		return
	}
	l.QUIC = tlscert.ServerConfig(set, c.TLS.Policy, l.ClientAuth, b.tickets(c), http3.Protocol)
	l.QUIC.GetCertificate = l.TLS.GetCertificate // managed ones, too
	l.EarlyData = c.HTTP3EarlyData
	if fe := b.next.quic[c.Address]; fe != nil {
		l.AltSvc = fmt.Sprintf(`h3=":%d"; ma=%d`, http3.AddrPort(fe.Addr()).Port(), altSvcAge)
	}
}

// commitQUIC starts the QUIC frontends that are new and drains those that the
// configuration no longer has.
func (a *app) commitQUIC(prev, next *running) {
	for _, fe := range next.quic {
		a.startQUIC(fe)
	}
	for addr, fe := range prev.quic {
		if next.quic[addr] != fe {
			a.stopQUICLater(fe, prev.conf.Drain)
		}
	}
}

func (a *app) startQUIC(fe *quicFrontend) {
	if !fe.isNew {
		return
	}
	fe.isNew = false
	a.leaving.Go(func() {
		fe.Serve()
		a.giveID(fe.ID)
	})
	a.log.Info("listening for HTTP/3", "address", fe.Addr().String())
}

func (a *app) stopQUICLater(fe *quicFrontend, drain time.Duration) {
	a.log.Info("HTTP/3 removed", "address", fe.Addr().String(), "drain", drain)
	a.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		fe.Stop(ctx)
	})
}

// connections is how many clients are connected to an address, by TCP and QUIC.
func (r *running) connections(addr netip.AddrPort) int {
	n := r.frontends[addr].Connections()
	if fe := r.quic[addr]; fe != nil {
		n += fe.Connections()
	}
	return n
}
