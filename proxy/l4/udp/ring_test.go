package udp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heldUp has clients send while the loop does nothing, so that it finds all
// datagrams at once, and returns what they got.
func (l *lab) heldUp(clients []*client, data func(i int) string) {
	l.t.Helper()
	release := l.hold()
	for i, c := range clients {
		c.send(data(i))
	}
	close(release)
	for i, c := range clients {
		if got := c.receive(); got != data(i) {
			l.t.Fatalf("client %d: got %.20q, want %.20q", i, got, data(i))
		}
	}
}

// hold has the first loop do nothing until release is closed.
func (l *lab) hold() (release chan struct{}) {
	release = make(chan struct{})
	held := make(chan struct{})
	l.engine.loops[0].do(func() { close(held); <-release })
	<-held
	return release
}

// Calls are made together; when that fails they are made one by one, and
// nothing is lost.
func TestRingFails(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{loops: 1, sockets: 1, members: []netip.AddrPort{m.addr()}})
	lp := l.engine.loops[0]
	if lp.ring == nil {
		t.Skip("the kernel has no io_uring for us")
	}
	var clients []*client
	for range 50 {
		clients = append(clients, newClient(t, l.bound))
	}
	l.heldUp(clients, func(i int) string { return fmt.Sprint("one ", i) })
	lp.call(func() {
		if lp.ring == nil || *lp.ring.doneTail < 32 {
			t.Error("the ring is not used")
			return
		}
		unix.Close(lp.ring.fd)
		lp.ring.fd = -1
	})
	l.heldUp(clients, func(i int) string { return fmt.Sprint("two ", i) })
	lp.call(func() {
		if lp.ring != nil || lp.members.ring != nil {
			t.Error("the ring is still used")
		}
	})
	l.heldUp(clients, func(i int) string { return fmt.Sprint("three ", i) })
	if st := l.server.Stats(); st.Unsent != 0 || st.Refused != 0 {
		t.Errorf("stats: %+v", st)
	}
	if n := l.log.flow(0).SentPackets.Load(); n != 3 {
		t.Errorf("%d datagrams counted, want 3", n)
	}
}

// A call that could not be made is not made later, when its memory has become
// something else.
func TestRingThatFailedMakesNoCalls(t *testing.T) {
	r, err := newRing()
	if err != nil {
		t.Skip(err)
	}
	defer r.close()
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	c := newClient(t, to.LocalAddr().(*net.UDPAddr).AddrPort())
	data := []byte("x")
	try := func() (result int32) {
		control(t, c.UDPConn, func(fd int) error {
			r.add(opSend, fd, unsafe.Pointer(&data[0]), 1)
			result = r.run()[0]
			return nil
		})
		return result
	}
	if got := try(); got != 1 {
		t.Fatalf("result %d, want 1", got)
	}
	fd := r.fd
	r.fd = -1
	if got := try(); got != -int32(unix.ECANCELED) {
		t.Errorf("result %d without a ring", got)
	}
	r.fd = fd
	if got := try(); got != -int32(unix.ECANCELED) {
		t.Errorf("result %d after the failure", got)
	}
	buf := make([]byte, 10)
	for i, within := range []time.Duration{5 * time.Second, 50 * time.Millisecond} {
		_ = to.SetReadDeadline(time.Now().Add(within))
		if _, err := to.Read(buf); (err == nil) != (i == 0) {
			t.Errorf("datagram %d came: %v, want 1", i+1, err == nil)
		}
	}
}

// A member that is gone costs nobody else anything, however calls are made.
func TestClosedPortAmongOthers(t *testing.T) {
	for _, plain := range []bool{false, true} {
		m, gone := newMember(t, "127.0.0.1:0", nil), newMember(t, "127.0.0.1:0", nil)
		s := setup{plain: plain, loops: 1, sockets: 1, members: []netip.AddrPort{m.addr(), gone.addr()}}
		l := newLab(t, s)
		var well, other []*client
		for range 40 {
			c := newClient(t, l.bound)
			c.ask("x")
			if l.log.flow(l.log.number()-1).Backend == m.addr() {
				well = append(well, c)
			} else {
				other = append(other, c)
			}
		}
		gone.stop()
		for range 5 {
			for _, c := range other {
				c.send("lost")
			}
			l.heldUp(well, func(i int) string { return fmt.Sprint("fine ", i) })
		}
		l.eventually("all failures", func() bool { return l.life(gone.addr()).Failed.Load() == uint64(5*len(other)) })
		if n := l.life(m.addr()).Failed.Load(); n != 0 || len(other) == 0 {
			t.Errorf("%d failures of the member that is well, %d flows with the other", n, len(other))
		}
	}
}

// The error that one datagram brought costs the next one nothing.
func TestErrorOfADatagramBefore(t *testing.T) {
	for _, plain := range []bool{false, true} {
		m := named(t, "a")
		l := newLab(t, setup{plain: plain, loops: 1, sockets: 1, members: []netip.AddrPort{m.addr()}})
		c := newClient(t, l.bound)
		c.ask("x")
		m.stop()
		release := l.hold()
		for i := range 10 {
			c.send(string(pattern(10*(i+1), 0))) // none of which can be joined
		}
		close(release)
		f := l.log.flow(0)
		l.eventually("all to be sent", func() bool { return f.SentPackets.Load() == 11 })
		failed := &l.life(m.addr()).Failed
		l.eventually("a failure", func() bool { return failed.Load() > 0 })
		if n := failed.Load(); n > 10 || l.server.Stats().Unsent != 0 {
			t.Errorf("plain %v: %d failures, %+v", plain, n, l.server.Stats())
		}
	}
}
