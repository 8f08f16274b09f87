package http3

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// newSocket is a socket on a port of its own.
func newSocket(t *testing.T, udp *net.UDPConn, older *net.UnixConn) *Socket {
	t.Helper()
	s, err := NewSocket(udp, udp.Close, older)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return udp
}

// again is the same socket as another process has it.
func again(t *testing.T, udp *net.UDPConn) *net.UDPConn {
	t.Helper()
	f, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UDPConn)
}

// next reads packets until one came, or the time is over.
func next(t *testing.T, s *Socket) []byte {
	t.Helper()
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1500)}, make([]byte, 128)
	}
	end := time.AfterFunc(5*time.Second, func() { s.SetReadDeadline(time.Unix(1, 0)) })
	defer end.Stop()
	n, err := s.ReadBatch(ms, 0)
	if err != nil || n != 1 {
		t.Fatalf("%d packets, %v", n, err)
	}
	return ms[0].Buffers[0][:ms[0].N]
}

// short is a packet of a connection of a socket's.
func short(s *Socket, text string) []byte {
	id, _ := s.GenerateConnectionID()
	return append(append([]byte{0x40}, id.Bytes()...), text...)
}

func TestWhoseAPacketIs(t *testing.T) {
	a, b := newSocket(t, listen(t), nil), newSocket(t, listen(t), nil)
	long := func(first byte, version uint32, s *Socket) []byte {
		id, _ := s.GenerateConnectionID()
		p := []byte{first, byte(version >> 24), byte(version >> 16), byte(version >> 8), byte(version), 8}
		return append(append(p, id.Bytes()...), make([]byte, 1200)...)
	}
	tests := []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"ours", short(a, "x"), false},
		{"another's", short(b, "x"), true},
		{"an Initial with an id of whoever", long(0xc0, 1, b), false},
		{"0-RTT", long(0xd0, 1, b), false},
		{"a handshake of ours", long(0xe0, 1, a), false},
		{"a handshake of another", long(0xe0, 1, b), true},
		{"an Initial of version 2", long(0xd0, 0x6b3343cf, b), false},
		{"a handshake of version 2", long(0xf0, 0x6b3343cf, b), true},
		{"nothing", nil, false},
		{"next to nothing", []byte{0x40, 1, 2}, false},
	}
	for _, tt := range tests {
		if got := a.foreign(tt.packet); got != tt.want {
			t.Errorf("%s: foreign %v, want %v", tt.name, got, tt.want)
		}
	}
}

// The newer socket passes on what is not its own, the older one reads that once retired, and the port again when the newer
// one is gone.
func TestAPortChangesHands(t *testing.T) {
	older := newSocket(t, listen(t), nil)
	client, err := net.Dial("udp", older.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	handed, err := older.Handed().File()
	if err != nil {
		t.Fatal(err)
	}
	way, err := FileConn(handed)
	if err != nil {
		t.Fatal(err)
	}
	newer := newSocket(t, again(t, older.UDPConn), way)
	older.Retire()
	read := make(chan []byte, 1)
	go func() { read <- bytes.Clone(next(t, newer)) }()
	client.Write(short(older, "old"))
	client.Write(short(newer, "new"))
	if got := next(t, older); !bytes.HasSuffix(got, []byte("old")) {
		t.Errorf("the older one got %q", got)
	}
	if got := <-read; !bytes.HasSuffix(got, []byte("new")) {
		t.Errorf("the newer one got %q", got)
	}
	newer.Close()
	client.Write(short(older, "back"))
	if got := next(t, older); !bytes.HasSuffix(got, []byte("back")) {
		t.Errorf("the older one got %q at last", got)
	}
}

// What a process passes on is taken apart, or dropped.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{0, 6, 127, 0, 0, 1, 1, 0, 'x'})
	f.Add([]byte{200, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		m := ipv4.Message{Buffers: [][]byte{make([]byte, 1500)}, OOB: make([]byte, 128)}
		if unpack(p, &m) && (m.N == 0 || m.N > 1500 || m.NN > 128 || !m.Addr.(*net.UDPAddr).AddrPort().IsValid() && m.N+m.NN > len(p)) {
			t.Errorf("%d %d %v of %x", m.N, m.NN, m.Addr, p)
		}
	})
}
