package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// carriage is a pair that is carried, or was, and the peers of its ends.
type carriage struct {
	ends  [2]*Conn
	peers [2]*net.TCPConn
	left  chan Left

	mu     sync.Mutex
	passed [2]bytes.Buffer
}

// carry has two connections carried, until the time that until says, if it is
// not nil.
func carry(t testing.TB, ca *Carrier, until func() int64) *carriage {
	t.Helper()
	c := &carriage{left: make(chan Left, 1)}
	for i := range c.ends {
		s, p := plainPair(t)
		c.ends[i], c.peers[i] = s, p.tcp
		t.Cleanup(func() { s.Close() })
	}
	c.begin(ca, until)
	return c
}

func (c *carriage) begin(ca *Carrier, until func() int64) {
	if until == nil {
		until = func() int64 { return Never }
	}
	go func() { c.left <- ca.Carry(c.ends, c.note, until) }()
}

func (c *carriage) note(from int, b []byte, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed[from].Write(b)
}

// seen is what passed was shown.
func (c *carriage) seen(from int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed[from].String()
}

// expect sends text from a peer, and wants it at the other.
func (c *carriage) expect(t *testing.T, from int, text string) {
	t.Helper()
	if _, err := io.WriteString(c.peers[from], text); err != nil {
		t.Fatal(err)
	}
	c.peers[1-from].SetReadDeadline(time.Now().Add(soon))
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c.peers[1-from], b); err != nil || string(b) != text {
		t.Fatalf("got %q, %v", b, err)
	}
}

// back is what the pair is given back with.
func (c *carriage) back(t *testing.T) Left {
	t.Helper()
	select {
	case l := <-c.left:
		return l
	case <-time.After(soon):
		t.Fatal("the pair is not given back")
		return Left{}
	}
}

// count is how many loops there are.
func (ca *Carrier) count() (n int) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for _, l := range ca.loops {
		if l != nil {
			n++
		}
	}
	return n
}

func TestACarrierPassesConversationsOn(t *testing.T) {
	ca := NewCarrier(2)
	var all []*carriage
	for range 7 {
		all = append(all, carry(t, ca, nil))
	}
	for i := range 50 {
		for _, c := range all {
			c.expect(t, i%2, strings.Repeat("piece ", 1+i*i))
		}
	}
	if ca.count() != 2 {
		t.Errorf("%d loops", ca.count())
	}
	for _, c := range all {
		c.ends[0].Interrupt()
		if l := c.back(t); len(l.Rest) > 0 || l.ReadErr != nil || l.WriteErr != nil {
			t.Errorf("left: %+v", l)
		}
		if got := len(c.seen(0)); got == 0 || int64(got) != c.ends[0].Received() || int64(got) != c.ends[1].Written() {
			t.Errorf("%d bytes were shown, %d read, %d written", got, c.ends[0].Received(), c.ends[1].Written())
		}
	}
	if ca.count() != 0 {
		t.Errorf("%d loops without pairs", ca.count())
	}
}

// What was given back is used as before: reads and writes wait, deadlines and
// interruptions count, and it can be carried again.
func TestACarrierGivesBackWhatWorks(t *testing.T) {
	ca := NewCarrier(1)
	c := carry(t, ca, nil)
	for range 3 {
		c.expect(t, 0, "there")
		c.expect(t, 1, "and back")
		c.ends[1].Interrupt()
		c.back(t)
		if _, err := c.ends[1].Read(make([]byte, 1), in(soon)); err != ErrInterrupted {
			t.Errorf("an interrupted read says %v", err)
		}
		c.ends[1].Resume()
		if _, err := c.ends[1].Read(make([]byte, 1), in(5*time.Millisecond)); err != ErrTimeout {
			t.Errorf("a read without bytes says %v", err)
		}
		time.AfterFunc(5*time.Millisecond, func() { c.peers[1].Write([]byte("x")) })
		if n, err := c.ends[1].Read(make([]byte, 9), in(soon)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if err := c.ends[0].Write([]byte("!"), nil, nil); err != nil {
			t.Error(err)
		}
		io.ReadFull(c.peers[0], make([]byte, 1))
		c.begin(ca, nil)
	}
	c.ends[0].Interrupt()
	c.back(t)
}

func TestACarrierGivesBackAtAnEnd(t *testing.T) {
	c := carry(t, NewCarrier(1), nil)
	c.expect(t, 1, "first")
	io.WriteString(c.peers[0], "last")
	c.peers[0].CloseWrite()
	c.back(t)
	last := make([]byte, 4)
	if _, err := io.ReadFull(c.peers[1], last); err != nil || string(last) != "last" {
		t.Errorf("with the end came %q, %v", last, err)
	}
	if _, err := c.ends[0].Read(make([]byte, 1), in(soon)); err != io.EOF {
		t.Errorf("a read behind the end: %v", err)
	}
}

// An error is told once by the kernel: by a read of the loop, or by the next
// one of whom it is given back to.
func TestACarrierGivesBackAtAnError(t *testing.T) {
	for range 20 {
		c := carry(t, NewCarrier(1), nil)
		c.expect(t, 1, "first")
		c.peers[0].SetLinger(0)
		c.peers[0].Close()
		l := c.back(t)
		err := l.ReadErr
		if err == nil {
			_, err = c.ends[l.From].Read(make([]byte, 1), in(soon))
		}
		if l.From != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("left: %+v, then %v", l, err)
		}
	}
}

// Bytes that the other side has no room for are given back, none lost, none
// twice.
func TestACarrierGivesBackWhatDoesNotFit(t *testing.T) {
	c := carry(t, NewCarrier(1), nil)
	c.ends[1].control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16<<10) })
	c.peers[1].SetReadBuffer(32 << 10)
	big := testkit.Pattern(1 << 20)
	go io.WriteString(c.peers[0], big)
	l := c.back(t)
	if len(l.Rest) == 0 || l.From != 0 {
		t.Errorf("%d bytes are left, of %d", len(l.Rest), l.From)
	}
	shown := len(c.seen(0))
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(c.peers[1])
		got <- all
	}()
	if err := c.ends[1].Write(l.Rest, nil, nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for n := shown + len(l.Rest); n < len(big); {
		m, err := c.ends[0].Read(buf, in(soon))
		if err != nil {
			t.Fatal(err)
		}
		if err = c.ends[1].Write(buf[:m], nil, nil); err != nil {
			t.Fatal(err)
		}
		n += m
	}
	c.ends[1].CloseWrite()
	if all := <-got; string(all) != big {
		t.Errorf("%d other bytes, of which the carrier passed %d", len(all), shown)
	}
}

// onUnixSockets is a pair of unix sockets, and the peers of its ends.
func onUnixSockets(t *testing.T) (ends [2]*Conn, peers [2]*net.UnixConn) {
	t.Helper()
	for i := range ends {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = newConn()
		ends[i].fd = fds[0]
		f := os.NewFile(uintptr(fds[1]), "")
		p, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = p.(*net.UnixConn)
		t.Cleanup(func() { p.Close() })
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends, peers
}

// Whoever sends without end is in no conversation, and others are waiting.
func TestACarrierGivesBackMuchAtOnce(t *testing.T) {
	c := &carriage{left: make(chan Left, 1)}
	ends, peers := onUnixSockets(t)
	n := 0
	go func() {
		c.left <- NewCarrier(1).Carry(ends, func(_ int, b []byte, _ int64) {
			n += len(b)
			time.Sleep(2 * time.Millisecond) // there is more by then
		}, func() int64 { return Never })
	}()
	go io.Copy(io.Discard, peers[1])
	go io.WriteString(peers[0], testkit.Pattern(8<<20))
	// A sender without a processor is not one without end, and is judged anew.
	if l := c.back(t); len(l.Rest) > 0 || n < carryBuffer || n > 4<<20 {
		t.Errorf("%d bytes passed, left: %+v", n, l)
	}
}

func TestALoopEndsWithItsLastPair(t *testing.T) {
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	loops := func() bool {
		all := make([]byte, 1<<20)
		return strings.Contains(string(all[:runtime.Stack(all, true)]), "carryLoop")
	}
	ca := NewCarrier(1)
	c := carry(t, ca, nil)
	before := descriptors()
	for range 5 {
		c.expect(t, 0, "there")
		if !loops() {
			t.Fatal("no loop")
		}
		c.ends[0].Interrupt()
		c.back(t)
		testkit.Eventually(t, soon, "no loop", func() bool { return !loops() })
		c.ends[0].Resume()
		c.begin(ca, nil)
	}
	c.expect(t, 0, "there")
	if n := descriptors(); n > before+1 {
		t.Errorf("%d descriptors, before it was %d", n, before)
	}
	c.ends[0].Interrupt()
	c.back(t)
}

// What the other side has taken of a piece is shown, and the rest given back.
func TestACarrierGivesBackTheRestOfAPiece(t *testing.T) {
	c := &carriage{left: make(chan Left, 1)}
	ends, peers := onUnixSockets(t)
	c.ends = ends
	ends[1].control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10) })
	piece := testkit.Pattern(30 << 10)
	io.WriteString(peers[0], piece)
	c.begin(NewCarrier(1), nil)
	l := c.back(t)
	if shown := c.seen(0); shown == "" || len(l.Rest) == 0 || shown+string(l.Rest) != piece || int64(len(shown)) != ends[1].Written() {
		t.Errorf("%d bytes are shown, %d written, %d left", len(shown), ends[1].Written(), len(l.Rest))
	}
}

// An event that was taken before a pair left is not of the one in its place.
func TestEventsOfAPairThatLeftAreNotItsSuccessors(t *testing.T) {
	gone, next := &pair{ends: [2]*Conn{newConn(), newConn()}}, &pair{}
	for _, c := range gone.ends {
		c.fd = -1
	}
	l := &carryLoop{slots: []carrySlot{{p: gone}}, live: 1}
	b := new(carryBatch)
	if l.find(b, 1); b.pairs[0] != gone {
		t.Error("its own event is not its")
	}
	b.pairs[0] = nil
	l.vacate(gone)
	l.slots[0].p = next
	if l.find(b, 1); b.pairs[0] != nil {
		t.Error("its event is another's")
	}
}

// A read of a unix socket ends behind descriptors that were sent, although
// there is more.
func TestACarrierPassesOnWhatIsBehindDescriptors(t *testing.T) {
	c := &carriage{left: make(chan Left, 1)}
	ends, peers := onUnixSockets(t)
	c.ends = ends
	if _, _, err := peers[0].WriteMsgUnix([]byte("with "), syscall.UnixRights(0), nil); err != nil {
		t.Fatal(err)
	}
	io.WriteString(peers[0], "behind")
	c.begin(NewCarrier(1), nil)
	peers[1].SetReadDeadline(time.Now().Add(soon))
	got := make([]byte, len("with behind"))
	if n, err := io.ReadFull(peers[1], got); err != nil {
		t.Errorf("got %q, %v", got[:n], err)
	}
	c.ends[0].Interrupt()
	c.back(t)
}

// The poller's timer and read section were of the descriptor that it knew.
func TestWhatThePollerKnewIsForgotten(t *testing.T) {
	c := &carriage{left: make(chan Left, 1)}
	for i := range c.ends {
		s, p := plainPair(t)
		c.ends[i], c.peers[i] = s, p.tcp
		t.Cleanup(func() { s.Close() })
	}
	time.AfterFunc(time.Millisecond, func() { c.peers[0].Write([]byte("x")) })
	if n, err := c.ends[0].Read(make([]byte, 9), in(50*time.Millisecond)); n != 1 || err != nil { // sets a timer
		t.Fatalf("read %d, %v", n, err)
	}
	io.WriteString(c.peers[0], "y")
	if n, err := c.ends[0].ReadNext(&counting{buf: make([]byte, 9)}, Now(), in(soon)); n != 1 || err != nil { // opens a section
		t.Fatalf("read %d, %v", n, err)
	}
	over := in(10 * time.Millisecond)
	c.begin(NewCarrier(1), func() int64 { return over })
	c.back(t)
	late := time.AfterFunc(soon, func() { c.peers[0].Write([]byte("late")) })
	defer late.Stop()
	if n, err := c.ends[0].Read(make([]byte, 9), in(100*time.Millisecond)); err != ErrTimeout {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestControlMeetsPollAndUnpoll(t *testing.T) {
	c, _ := plainPair(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := c.unpoll(); err != nil {
				t.Error(err)
			}
			if _, err := c.poll(); err != nil {
				t.Error(err)
			}
		}
	}()
	n := 0
	for range 300000 {
		if c.control(func(uintptr) {}) != nil {
			n++
		}
	}
	close(stop)
	<-done
	c.Close()
	if n > 0 {
		t.Errorf("%d calls were lost", n)
	}
	if c.control(func(uintptr) {}) == nil {
		t.Error("a closed socket has a descriptor")
	}
}

func TestACarrierSaysThatAWriteFailed(t *testing.T) {
	c := carry(t, NewCarrier(1), nil)
	c.expect(t, 0, "first")
	c.ends[1].CloseWrite() // EPIPE from now on
	io.WriteString(c.peers[0], "lost")
	if l := c.back(t); l.From != 0 || string(l.Rest) != "lost" || !errors.Is(l.WriteErr, syscall.EPIPE) {
		t.Errorf("left: %+v", l)
	}
}

// Behind urgent data reads end early, and the loop would wait for what is there.
func TestACarrierGivesBackAtUrgentData(t *testing.T) {
	c := carry(t, NewCarrier(1), nil)
	c.expect(t, 0, "first")
	raw, err := c.peers[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil) })
	if err != nil {
		t.Fatal(err)
	}
	c.back(t)
}

func TestACarrierKeepsTime(t *testing.T) {
	began := Now()
	asked := 0
	c := carry(t, NewCarrier(1), func() int64 {
		if asked++; asked < 3 {
			return began + int64(asked)*int64(20*time.Millisecond)
		}
		return began + int64(60*time.Millisecond)
	})
	c.back(t)
	if d := Now() - began; asked < 3 || d < int64(60*time.Millisecond) {
		t.Errorf("asked %d times, given back after %v", asked, time.Duration(d))
	}
}

// Cut is a reset by whoever has had enough of a connection.
func TestACarriedConnectionCanBeCut(t *testing.T) {
	c := carry(t, NewCarrier(1), nil)
	c.expect(t, 0, "first")
	c.ends[0].Cut()
	c.back(t)
	if _, err := c.ends[0].Read(make([]byte, 1), in(soon)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a read says %v", err)
	}
}

// Whenever an interruption comes, it ends the carrying, and so does a cut.
func TestInterruptionsMeetTheBeginning(t *testing.T) {
	ca := NewCarrier(1)
	for i := range 200 {
		c := carry(t, ca, nil)
		switch i % 4 {
		case 0:
			c.ends[0].Interrupt()
		case 1:
			c.ends[1].Cut()
		case 2:
			runtime.Gosched()
			c.ends[1].Interrupt()
		case 3:
			runtime.Gosched()
			c.ends[0].Cut()
		}
		c.back(t)
		for j := range c.ends {
			c.ends[j].Close()
			c.peers[j].Close()
		}
	}
	if ca.count() != 0 {
		t.Errorf("%d loops are left", ca.count())
	}
}

// A bug in what is shown the bytes is its caller's, and others go on.
func TestAPanicIsTheCallers(t *testing.T) {
	ca := NewCarrier(1)
	other, c := carry(t, ca, nil), carry(t, ca, nil)
	other.expect(t, 0, "before")
	c.ends[0].Interrupt()
	c.back(t)
	c.ends[0].Resume()
	why := make(chan any, 1)
	go func() {
		defer func() { why <- recover() }()
		ca.Carry(c.ends, func(int, []byte, int64) { panic("a bug") }, func() int64 { return Never })
	}()
	io.WriteString(c.peers[0], "x")
	if text, _ := (<-why).(string); !strings.HasPrefix(text, "a bug\n") || !strings.Contains(text, "carrier_test.go") {
		t.Errorf("Carry panics with %q", text)
	}
	other.expect(t, 1, "after")
	other.ends[0].Interrupt()
	other.back(t)
}

func TestASilentPairHoldsOneGoroutine(t *testing.T) {
	const pairs = 100
	ca := NewCarrier(2)
	before := runtime.NumGoroutine()
	var all []*carriage
	for range pairs {
		all = append(all, carry(t, ca, nil))
	}
	for _, c := range all {
		c.expect(t, 0, "ping")
	}
	if n := runtime.NumGoroutine() - before; n > pairs+2 {
		t.Errorf("%d goroutines for %d pairs", n, pairs)
	}
	for _, c := range all {
		c.ends[0].Interrupt()
		c.back(t)
	}
}

// unseen has a pair carried that is not shown what passes.
func unseen(t testing.TB) *carriage {
	ca := NewCarrier(1)
	c := &carriage{left: make(chan Left, 1)}
	for i := range c.ends {
		s, p := plainPair(t)
		c.ends[i], c.peers[i] = s, p.tcp
		t.Cleanup(func() { s.Close() })
	}
	go func() { c.left <- ca.Carry(c.ends, func(int, []byte, int64) {}, func() int64 { return Never }) }()
	t.Cleanup(func() { c.ends[0].Interrupt(); <-c.left })
	return c
}

func (c *carriage) piece(buf []byte) {
	c.peers[0].Write(buf)
	io.ReadFull(c.peers[1], buf)
}

func BenchmarkACarriedPiece(b *testing.B) {
	c, buf := unseen(b), make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		c.piece(buf)
	}
}

func TestACarriedPieceAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	c, buf := unseen(t), make([]byte, 128)
	if n := testing.AllocsPerRun(500, func() { c.piece(buf) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
