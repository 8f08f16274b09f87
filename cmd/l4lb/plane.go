package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"

	"gatehouse/config"
	"gatehouse/internal/command"
	"gatehouse/internal/proxyproto"
	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/relay"
	"gatehouse/proxy/l4/sni"
	"gatehouse/proxy/l4/steer"
	"gatehouse/proxy/l4/transparent"
	"gatehouse/proxy/l4/udp"
)

// plane is what carries the bytes: sockets at both sides.
type plane struct {
	tcp      *relay.Loops
	udp      *udp.Engine
	steering *steer.Steering
	// unsteered is why there is no steering; nil: there is.
	unsteered error
	options   relay.Options
}

// startPlane starts the event loops, one for each processor.
func (a *app) startPlane() error {
	a.plane.options = relay.Options{Flows: &a.state.Flows, Choose: choose, Header: proxyHeader, Descriptors: a.descriptors, Report: func(err error) { a.log.Warn("connections cannot be accepted", "error", err) }}
	var err error
	if a.plane.tcp, err = relay.NewLoops(runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	if a.plane.udp, err = udp.NewEngine(&a.state.Flows, udp.Options{Descriptors: a.descriptors}); err != nil {
		return err
	}
	// Only rules for every port need it, and these say so: see needs.
	a.plane.steering, a.plane.unsteered = steer.Open()
	return nil
}

// stopPlane ends the event loops, with the flows that are left.
func (a *app) stopPlane() {
	if a.plane.steering != nil {
		a.plane.steering.Close()
	}
	if a.plane.udp != nil {
		a.plane.udp.Close()
	}
	if a.plane.tcp != nil {
		a.plane.tcp.Close()
	}
}

// proxyHeader is the PROXY header of a flow.
func proxyHeader(b []byte, v config.ProxyProtocol, t *l4.Tuple) []byte {
	if v == config.ProxyProtocolV1 {
		return proxyproto.AppendV1(b, t.Client, t.Frontend)
	}
	return proxyproto.AppendV2(b, t.Client, t.Frontend, false)
}

// choose finds the route of a rule by the server name in a ClientHello. What
// is no TLS has no name, and goes where the rule's other flows go.
func choose(r *l4.Rule, first []byte) relay.Choice {
	name, state := sni.Parse(first)
	switch state {
	case sni.NeedMore:
		return relay.Choice{More: true}
	case sni.Malformed:
		return relay.Choice{Refuse: l4.RefusedSNI}
	case sni.Found:
		if i, ok := r.Names.Lookup(name); ok {
			return relay.Choice{Index: i}
		}
	}
	if r.Route() == nil {
		return relay.Choice{Refuse: l4.RefusedSNI}
	}
	return relay.Choice{Index: -1}
}

// door is a socket, or some that share an address, and what serves it. It
// lives as long as configurations have it.
type door struct {
	l4.DoorKey
	listeners []*relay.Listener // of a door that is bound and not served yet
	sockets   []net.PacketConn  // likewise
	steered   []syscall.Conn    // one socket, where the door is every port
	tcp       *relay.Server
	udp       *udp.Server
	forget    []func() // takes its sockets out of what an upgrade hands over
	// firstOfPort is that the process had not bound its port of UDP before.
	firstOfPort bool
}

// openDoors binds the doors that are new, and takes the others over. What was
// bound is closed again if there is an error.
func (a *app) openDoors(ctx context.Context, prev *running, b *l4.Balancer) (map[l4.DoorKey]*door, error) {
	doors := map[l4.DoorKey]*door{}
	var errs []error
	var opened []*door
	for _, d := range b.Doors {
		key := d.Key()
		if old := prev.doors[key]; old != nil {
			doors[key] = old
			continue
		}
		n := &door{DoorKey: key}
		if err := a.bind(ctx, n, d); err != nil {
			errs = append(errs, a.place(d, err))
			continue
		}
		opened = append(opened, n)
		doors[key] = n
	}
	if len(errs) > 0 {
		for _, d := range opened {
			d.close()
			if d.firstOfPort {
				delete(a.udpPorts, d.Addr.Port())
			}
		}
		return nil, errors.Join(errs...)
	}
	return doors, nil
}

// place says which rule an error is about, and where that stands.
func (a *app) place(d *l4.Door, err error) error {
	err = fmt.Errorf("%s: %w", doorText(d.Key()), command.ListenError(command.Permission(binary.Name, err)))
	if a.source.file == "" {
		return err
	}
	draft, failure := config.LoadLoadBalancerDraft(a.source.file)
	if failure != nil {
		return err
	}
	list, same := "rules", func(i int) bool { return draft.LoadBalancer.Rules[i].Name == d.Rule.Name }
	n := len(draft.LoadBalancer.Rules)
	if d.Rule.NAT {
		list, n = "inboundNatRules", len(draft.LoadBalancer.InboundNATRules)
		same = func(i int) bool { return draft.LoadBalancer.InboundNATRules[i].Name == d.Rule.Name }
	}
	for i := range n {
		if same(i) {
			return draft.Problem(fmt.Sprintf("%s[%d]", list, i), err.Error())
		}
	}
	return err
}

// bind opens the sockets of a door, or takes those that the process before
// this one had.
func (a *app) bind(ctx context.Context, n *door, d *l4.Door) error {
	if d.Protocol == l4.UDP {
		return a.bindUDP(ctx, n, d)
	}
	loops := a.plane.tcp.Len()
	for range loops {
		file, err := a.upgrader.Take("tcp", doorText(n.DoorKey))
		if err != nil {
			return err
		}
		if file == nil {
			break
		}
		l, err := relay.Inherit(file)
		file.Close()
		if err != nil {
			return err
		}
		n.listeners = append(n.listeners, l)
	}
	if n.listeners == nil {
		list, err := relay.Listen(d.Addr, loops, relay.ListenOptions{Backlog: d.Rule.Limits.Backlog})
		if err != nil {
			return err
		}
		n.listeners = list
	}
	for _, l := range n.listeners {
		file, err := l.File()
		if err == nil {
			err = n.hold(a, "tcp", file)
		}
		if err != nil {
			n.close()
			return err
		}
	}
	return nil
}

// hold lets an upgrade hand a socket over.
func (n *door) hold(a *app, network string, file *os.File) error {
	forget, err := a.upgrader.Hold(network, doorText(n.DoorKey), file, func() { n.stop() })
	if err != nil {
		file.Close()
		return err
	}
	if n.Addr.Port() == 0 && n.steered == nil {
		n.steered = []syscall.Conn{file}
	}
	n.forget = append(n.forget, func() {
		forget()
		file.Close()
	})
	return nil
}

// bindUDP opens the sockets of a door of UDP.
func (a *app) bindUDP(ctx context.Context, n *door, d *l4.Door) error {
	if d.Addr.Port() == 0 {
		return a.bindEveryPort(ctx, n, d)
	}
	network := "udp"
	if d.Addr.Addr().Is4() {
		network = "udp4"
	}
	lc := &net.ListenConfig{Control: udp.Share}
	if port := d.Addr.Port(); !a.udpPorts[port] {
		// Sockets of ours that drain may have the address still, others may not.
		lc.Control = udp.ShareAlone
	}
	for range a.plane.udp.Loops() {
		c, err := a.upgrader.ListenPacket(ctx, lc, network, d.Addr.String())
		if err != nil {
			n.close()
			return err
		}
		n.sockets = append(n.sockets, c)
		lc.Control = udp.Share
	}
	n.firstOfPort = !a.udpPorts[d.Addr.Port()]
	a.udpPorts[d.Addr.Port()] = true
	return nil
}

// bindEveryPort opens the sockets of a door of UDP that is every port, which
// are bound to one that is free, or takes those that there were.
func (a *app) bindEveryPort(ctx context.Context, n *door, d *l4.Door) error {
	for range a.plane.udp.Loops() {
		file, err := a.upgrader.Take("udp", doorText(n.DoorKey))
		if file == nil && err == nil {
			break
		}
		if err != nil {
			n.close()
			return err
		}
		c, err := net.FilePacketConn(file)
		file.Close()
		if err != nil {
			n.close()
			return fmt.Errorf("inherited socket: %w", err)
		}
		n.sockets = append(n.sockets, c)
	}
	if n.sockets == nil {
		list, err := udp.Listen(ctx, d.Addr, a.plane.udp.Loops())
		if err != nil {
			return err
		}
		n.sockets = list
	}
	for _, c := range n.sockets {
		file, err := c.(*net.UDPConn).File()
		if err == nil {
			err = n.hold(a, "udp", file)
		}
		if err != nil {
			n.close()
			return err
		}
	}
	return nil
}

// start serves a door that is new, or tells one what it serves now.
func (a *app) start(n *door, b *l4.Balancer) {
	d := b.Door(n.Addr, n.Protocol)
	var err error
	switch {
	case n.tcp != nil:
		n.tcp.Use(b, d)
		return
	case n.udp != nil:
		n.udp.Use(b, d)
		return
	case n.Protocol == l4.UDP:
		if n.udp, err = a.plane.udp.NewServer(n.sockets, b, d); err == nil {
			a.adopt(n)
			err = n.udp.Start()
		}
	default:
		n.tcp, err = a.plane.tcp.Serve(a.plane.options, b, d, n.listeners)
	}
	n.listeners, n.sockets = nil, nil
	if err != nil {
		a.log.Error("a rule is not served", "rule", d.Rule.Name, "address", doorText(n.DoorKey), "error", err)
		return
	}
	a.log.Info("listening", "rule", d.Rule.Name, "address", doorText(n.DoorKey))
}

// stop ends accepting; what there is goes on.
func (n *door) stop() {
	if n.tcp != nil {
		n.tcp.Stop()
	}
	if n.udp != nil {
		n.udp.Stop()
	}
}

// close closes the sockets of a door, whether it is served or not.
func (n *door) close() {
	for _, f := range n.forget {
		f()
	}
	n.forget = nil
	for _, l := range n.listeners {
		l.Close()
	}
	for _, c := range n.sockets {
		c.Close()
	}
	n.listeners, n.sockets = nil, nil
	n.stop()
}

// swapDoors starts the doors that are new and stops those that are gone;
// nothing is started any more once the process stops. The caller holds the
// lock.
func (a *app) swapDoors(prev, next *running) {
	for _, n := range next.doors {
		if a.stopped {
			n.close()
			continue
		}
		a.start(n, next.balancer)
	}
	a.steer(next)
	for key, n := range prev.doors {
		if next.doors[key] != nil {
			continue
		}
		a.log.Info("no longer listening", "address", doorText(key))
		n.close()
		a.leave(n, prev.conf.Drain)
	}
}

// steer leads every port of the addresses that have such a rule to the
// sockets of their doors.
func (a *app) steer(r *running) {
	var targets []steer.Target
	every := map[netip.Addr]bool{}
	for _, d := range r.balancer.Doors {
		if n := r.doors[d.Key()]; d.Addr.Port() == 0 && n != nil && n.steered != nil {
			targets = append(targets, steer.Target{Door: d, Socket: n.steered[0]})
			every[d.Addr.Addr()] = true
		}
	}
	for _, d := range r.balancer.Doors {
		if d.Addr.Port() != 0 && every[d.Addr.Addr()] {
			targets = append(targets, steer.Target{Door: d})
		}
	}
	if a.plane.steering == nil {
		return // and no target, as needs sees to it
	}
	if err := a.plane.steering.Set(targets); err != nil {
		a.log.Error("rules for every port are not served", "error", err)
	}
}

// needs tells what this machine lacks for a configuration; unsteered is why
// the process cannot steer, if that is known.
func needs(conf *config.LoadBalancer, unsteered error) error {
	every := func(r config.L4Rule) bool { return r.Protocol == config.L4All }
	if slices.ContainsFunc(conf.Rules, every) {
		if err := cmp.Or(unsteered, steer.Supported()); err != nil {
			return fmt.Errorf("a rule with protocol: all needs what is not here: %w", err)
		}
	}
	return nil
}

// advice is what is not as rules with transparent: true need it.
func advice(b *l4.Balancer) (warnings []string) {
	var members []netip.Addr
	for _, r := range b.Rules {
		if !r.Config.Transparent {
			continue
		}
		for _, rt := range b.RoutesOf(r) {
			for _, m := range rt.Status() {
				members = append(members, m.Addr)
			}
		}
	}
	if members == nil {
		return nil
	}
	slices.SortFunc(members, netip.Addr.Compare)
	for _, p := range transparent.Check(slices.Compact(members)) {
		warnings = append(warnings, "transparent: true: "+p.String())
	}
	return warnings
}

// build makes running objects of a configuration. It changes nothing that
// runs.
func (a *app) build(ctx context.Context, conf *config.LoadBalancer) (*running, error) {
	prev := a.running()
	if err := needs(conf, a.plane.unsteered); err != nil {
		return nil, err
	}
	b, err := l4.Compile(conf, a.hosts.Addresses, a.state, prev.balancer)
	if err != nil {
		return nil, err
	}
	next := newRunning(conf, b)
	next.warnings = advice(b)
	if err := a.openLog(prev, next); err != nil {
		return nil, err
	}
	if next.doors, err = a.openDoors(ctx, prev, b); err != nil {
		if next.logFile != nil && next.logFile != prev.logFile {
			next.logFile.Close()
		}
		return nil, err
	}
	return next, nil
}

// shutdown ends every door, and waits for the flows as long as the
// configuration says.
func (a *app) shutdown() {
	a.mu.Lock()
	r := a.current
	a.stopped = true
	for _, n := range r.doors {
		n.close()
		a.leave(n, r.conf.Drain)
	}
	for _, w := range r.watches {
		w.Stop()
	}
	a.mu.Unlock()
	a.leaving.Wait()
}
