package querylog

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// readFrames reads a stream to its end.
func readFrames(t *testing.T, r io.Reader, bidirectional bool, got func(*dnstap.Dnstap)) {
	dec, err := framestream.NewDecoder(r, &framestream.DecoderOptions{ContentType: dnstap.FSContentType, Bidirectional: bidirectional})
	if err != nil {
		t.Errorf("decoder: %v", err)
		return
	}
	d := dnstap.NewDecoder(&frameReader{dec}, 1<<20)
	for {
		var m dnstap.Dnstap
		if err := d.Decode(&m); err != nil {
			if err != io.EOF {
				t.Errorf("decode: %v", err)
			}
			return
		}
		got(&m)
	}
}

// frameReader makes a decoder of frames what dnstap's decoder reads.
type frameReader struct{ dec *framestream.Decoder }

func (f *frameReader) ReadFrame(b []byte) (int, error) {
	frame, err := f.dec.Decode()
	return copy(b, frame), err
}

func fileFrames(t *testing.T, path string) (all []*dnstap.Dnstap) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	readFrames(t, f, false, func(m *dnstap.Dnstap) { all = append(all, m) })
	return all
}

func TestDnstapFileSaysWhatWasAskedAndAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	l := New(Options{Dnstap: path, Identity: "ns1", Version: "7"})
	lane, r := l.Lane(), sample()
	r.Local = netip.MustParseAddrPort("198.51.100.1:53")
	r.Response = bytes.Repeat([]byte("response"), 4000) // a length of three groups
	lane.Put(&r)
	r.Transport, r.Client, r.Response = "doh", netip.MustParseAddrPort("[2001:db8::7]:443"), nil
	lane.Put(&r)
	closeLog(t, l)

	got := fileFrames(t, path)
	if len(got) != 3 {
		t.Fatalf("%d frames, want 3", len(got))
	}
	q, a, second := got[0].GetMessage(), got[1].GetMessage(), got[2].GetMessage()
	if string(got[0].GetIdentity()) != "ns1" || string(got[0].GetVersion()) != "7" || got[0].GetType() != dnstap.Dnstap_MESSAGE {
		t.Errorf("head: %v", got[0])
	}
	if q.GetType() != dnstap.Message_AUTH_QUERY || string(q.GetQueryMessage()) != "the query" || q.ResponseMessage != nil ||
		q.GetSocketFamily() != dnstap.SocketFamily_INET || q.GetSocketProtocol() != dnstap.SocketProtocol_UDP ||
		!net.IP(q.GetQueryAddress()).Equal(net.IPv4(192, 0, 2, 7)) || q.GetQueryPort() != 5353 ||
		!net.IP(q.GetResponseAddress()).Equal(net.IPv4(198, 51, 100, 1)) || q.GetResponsePort() != 53 ||
		!time.Unix(int64(q.GetQueryTimeSec()), int64(q.GetQueryTimeNsec())).Equal(start) {
		t.Errorf("query: %v", q)
	}
	if a.GetType() != dnstap.Message_AUTH_RESPONSE || len(a.GetResponseMessage()) != 32000 || string(a.GetQueryMessage()) != "the query" ||
		!time.Unix(int64(a.GetResponseTimeSec()), int64(a.GetResponseTimeNsec())).Equal(start.Add(r.Took)) {
		t.Errorf("response: %v", a)
	}
	if second.GetType() != dnstap.Message_AUTH_QUERY || second.GetSocketFamily() != dnstap.SocketFamily_INET6 ||
		second.GetSocketProtocol() != dnstap.SocketProtocol_DOH || len(second.GetQueryAddress()) != 16 {
		t.Errorf("query over HTTPS: %v", second)
	}
	if s := l.Stats(); s.DnstapWritten != 3 || s.DnstapDropped != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// A file of before is kept under another name, and so is one that was not
// renamed when it is opened again.
func TestDnstapFilesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap")
	for range 2 {
		l := New(Options{Dnstap: path})
		lane, r := l.Lane(), sample()
		lane.Put(&r)
		closeLog(t, l)
	}
	l := New(Options{Dnstap: path})
	lane, r := l.Lane(), sample()
	lane.Put(&r)
	waitFor(t, func() bool { return l.Stats().DnstapWritten == 2 })
	l.ReopenDnstap()
	waitFor(t, func() bool { return l.Stats().DnstapReconnects == 1 })
	closeLog(t, l)
	files, _ := filepath.Glob(path + "*")
	total := 0
	for _, f := range files {
		total += len(fileFrames(t, f))
	}
	if len(files) != 4 || total != 6 {
		t.Errorf("%d files with %d frames, want 4 with 6", len(files), total)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 20_000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it did not happen within 20 s")
}

func TestDnstapSocketIsConnectedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	l := New(Options{Dnstap: "unix:" + path, Logger: quiet(), Interval: time.Millisecond})
	lane, r := l.Lane(), sample()
	lane.Put(&r) // nobody listens yet: it waits

	ln := listen(t, path)
	conn := accept(t, ln)
	frames := make(chan *dnstap.Dnstap, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		dec, err := framestream.NewDecoder(conn, &framestream.DecoderOptions{ContentType: dnstap.FSContentType, Bidirectional: true})
		if err != nil {
			t.Errorf("handshake: %v", err)
			return
		}
		dec.Decode()
		dec.Decode()
	}()
	<-ended
	conn.Close() // the reader goes away without a word
	waitFor(t, func() bool {
		lane.Put(&r)
		return l.Stats().DnstapDropped > 0
	})

	conn = accept(t, ln)
	done := make(chan struct{})
	go func() {
		defer close(done)
		readFrames(t, conn, true, func(m *dnstap.Dnstap) { frames <- m })
	}()
	lane.Put(&r)
	if m := <-frames; string(m.GetMessage().GetQueryMessage()) != "the query" {
		t.Errorf("got %v", m)
	}
	go func() {
		for range frames {
		}
	}()
	closeLog(t, l) // waits for the reader's FINISH
	<-done
	close(frames)
	if s := l.Stats(); s.DnstapReconnects != 1 || s.DnstapWritten < 4 {
		t.Errorf("stats: %+v", s)
	}
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	ln.(*net.UnixListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// While the reader is away, what waits is bounded and the rest is counted; the
// lines go on.
func TestDnstapLossIsBoundedAndCounted(t *testing.T) {
	out := &memory{}
	l := New(Options{Output: out, Dnstap: "unix:" + filepath.Join(t.TempDir(), "none"), Logger: quiet(), Interval: time.Millisecond})
	lane, r := l.Lane(), sample()
	r.Response = make([]byte, 60_000)
	for range 60 {
		lane.Put(&r)
		time.Sleep(100 * time.Microsecond)
	}
	waitFor(t, func() bool { return l.Stats().Written == 60 })
	tap := l.tap.Load()
	tap.mu.Lock()
	waiting := len(tap.waiting)
	tap.mu.Unlock()
	if waiting > tapBytes || waiting < tapBytes/2 {
		t.Errorf("%d bytes wait, want at most %d and more than half of it", waiting, tapBytes)
	}
	closeLog(t, l)
	if s := l.Stats(); s.DnstapDropped != 120 || s.DnstapWritten != 0 {
		t.Errorf("stats: %+v, want all 120 frames dropped", s)
	}
}

// A reader that accepts and then says nothing does not hold up Close.
func TestCloseGivesUpOnASilentReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	ln := listen(t, path)
	began := time.Now()
	l := New(Options{Dnstap: "unix:" + path, Logger: quiet()})
	accept(t, ln)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("Close waited for a handshake that never came, or did not say so")
	}
	<-l.tap.Load().done
	if took := time.Since(began); took >= tapTimeout { // which the handshake has
		t.Errorf("the sender lived on, for %v", took)
	}
}
