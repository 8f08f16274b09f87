//go:build linux

package load

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func datagrams(to netip.AddrPort, d Datagrams) Datagrams {
	d.To, d.Size, d.Duration, d.PIDs = to, max(d.Size, 64), 100*time.Millisecond, []int{os.Getpid()}
	return d
}

func TestDatagramsComeBack(t *testing.T) {
	echo, err := NewEcho(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	for _, d := range []Datagrams{{Clients: 1}, {Clients: 100, Window: 8, Size: 1200, Warmup: 50 * time.Millisecond}} {
		r, err := datagrams(echo.Addr, d).Run()
		if err != nil {
			t.Fatal(err)
		}
		if r.Received == 0 || r.Wrong != 0 || r.Lost != 0 || r.Seconds < 0.1 || r.CPU <= 0 || r.LoadCPU <= 0 {
			t.Errorf("%d clients: %+v", d.Clients, r)
		}
	}
}

// answerer calls answer for each datagram, and sends what it returns, if it
// returns something.
func answerer(t *testing.T, answer func(i int, datagram []byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for i := 0; ; i++ {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if reply := answer(i, buf[:n]); reply != nil {
				conn.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	addr, _ := conn.LocalAddr().(*net.UDPAddr)
	return addr.AddrPort()
}

func TestWrongDatagramsAreCounted(t *testing.T) {
	tests := []struct {
		name   string
		answer func(i int, d []byte) []byte
	}{
		{"of another client", func(_ int, d []byte) []byte { d[8]++; return d }},
		{"never sent", func(_ int, d []byte) []byte { d[7] = 0xff; return d }},
		{"cut off", func(_ int, d []byte) []byte { return d[:len(d)-1] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := datagrams(answerer(t, tt.answer), Datagrams{Clients: 4}).Run()
			if err != nil || r.Wrong == 0 || r.Wrong < r.Received {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
}

func TestLostDatagramsAreCounted(t *testing.T) {
	deaf := answerer(t, func(i int, d []byte) []byte {
		if i >= 20 {
			return nil
		}
		return d
	})
	r, err := datagrams(deaf, Datagrams{Clients: 4, Window: 2}).Run()
	if err != nil || r.Lost != 8 || r.Sent-r.Received > 8 {
		t.Errorf("%v, %+v", err, r)
	}
	// The same over a longer time: who loses begins anew.
	d := datagrams(answerer(t, func(int, []byte) []byte { return nil }), Datagrams{Clients: 4})
	d.Duration = 2*lost + lost/2
	if r, err = d.Run(); err != nil || r.Sent == 0 || r.Sent%4 != 0 || r.Lost != 4+r.Sent {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestDatagramsThatCannotBe(t *testing.T) {
	good := datagrams(netip.MustParseAddrPort("127.0.0.1:9"), Datagrams{Clients: 1})
	for name, spoil := range map[string]func(*Datagrams){
		"IPv6": func(d *Datagrams) { d.To = netip.MustParseAddrPort("[::1]:9") }, "small": func(d *Datagrams) { d.Size = 15 },
		"large": func(d *Datagrams) { d.Size = 1473 }, "none": func(d *Datagrams) { d.Clients = 0 },
		"window": func(d *Datagrams) { d.Window = batch + 1 }, "no time": func(d *Datagrams) { d.Duration = 0 },
	} {
		d := good
		spoil(&d)
		if _, err := d.Run(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func newSink(t *testing.T) *Sink {
	t.Helper()
	s, err := NewSink(loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestStreamsArrive(t *testing.T) {
	s := newSink(t)
	if err := CheckSink(s.Addr(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 8} {
		load := Streams{To: s.Addr(), Streams: n, Duration: 200 * time.Millisecond, PIDs: []int{os.Getpid()}}
		r, err := load.Run()
		for range 10 { // for as long as the machine has something else to do
			if errors.Is(err, errNothing) {
				r, err = load.Run()
			}
		}
		if err != nil || r.Bytes < ackEvery || r.Seconds < 0.2 || r.CPU <= 0 || r.LoadCPU <= 0 {
			t.Errorf("%d streams: %v, %+v", n, err, r)
		}
		// A gigabyte a second cannot take a thousand seconds of processors.
		if r.CPU > 1e6 {
			t.Errorf("%d streams: %v ms of CPU for a gigabyte", n, r.CPU)
		}
	}
	if _, err := (Streams{To: s.Addr(), Duration: time.Second}).Run(); err == nil {
		t.Error("no stream is accepted")
	}
}

// between passes a stream on to a sink and spoils it.
func between(t *testing.T, to netip.AddrPort, spoil func([]byte) []byte) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", loopback.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				member, err := net.Dial("tcp4", to.String())
				if err != nil {
					return
				}
				defer member.Close()
				go func() {
					io.Copy(client, member)
					client.Close()
				}()
				buf := make([]byte, 32<<10)
				for {
					n, err := client.Read(buf)
					if n > 0 {
						if _, err := member.Write(spoil(buf[:n])); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.AddrPort()
}

func TestSpoiltStreamsAreNoticed(t *testing.T) {
	s := newSink(t)
	if err := CheckSink(between(t, s.Addr(), func(b []byte) []byte { return b }), 5*time.Second); err != nil {
		t.Errorf("unspoilt: %v", err)
	}
	tests := []struct {
		name  string
		spoil func([]byte) []byte
	}{
		{"a bit", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"a byte less", func(b []byte) []byte { return b[:len(b)-1] }},
	}
	for _, tt := range tests {
		to := between(t, s.Addr(), tt.spoil)
		if err := CheckSink(to, 5*time.Second); err == nil {
			t.Errorf("%s: not noticed", tt.name)
		}
		_, err := Streams{To: to, Streams: 2, Duration: 5 * time.Second}.Run()
		if err == nil || !strings.Contains(err.Error(), "a stream broke") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestASinkThatLiesIsNoticed(t *testing.T) {
	for name, acks := range map[string][]byte{
		"too much":     {0, 0, 0, 1, 0, 0, 0, 0},
		"no more":      append(bytes.Clone([]byte{0, 0, 0, 0, 0, 0x10, 0, 0}), 0, 0, 0, 0, 0, 0x10, 0, 0),
		"out of sense": bytes.Repeat([]byte{0xff}, 8),
	} {
		near, far := net.Pipe()
		go func() {
			far.Write(acks)
			far.Close()
		}()
		if err := new(streams).count(near); err == nil || !strings.Contains(err.Error(), "the sink has") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
