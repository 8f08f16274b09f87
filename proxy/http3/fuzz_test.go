package http3

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
)

// pieces is a stream that comes in pieces, with a timeout before each.
type pieces struct {
	rest  []byte
	size  int
	tired bool
}

func (p *pieces) SetReadDeadline(time.Time) error { return nil }

func (p *pieces) Read(dst []byte) (int, error) {
	if p.tired = !p.tired; p.tired {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(dst[:min(len(dst), p.size)], p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// body reads the body of a request whose stream has these bytes, in pieces of a
// size.
func body(data []byte, size int) (content, trailer []byte, largest int, err error) {
	x := &Exchange{c: &Conn{}, length: -1}
	x.in.reset(&pieces{rest: data, size: size})
	for {
		var p []byte
		if p, err = x.piece(1<<20, stream.Never); err == stream.ErrTimeout {
			continue
		}
		if err != nil {
			return content, x.trailer, len(x.in.buf), err
		}
		content = append(content, p...)
	}
}

// plainBody does the same with all bytes at hand, and nothing but loops.
func plainBody(data []byte) (content []byte, err error) {
	trailed := false
	for len(data) > 0 {
		kind, n, e := quicvarint.Parse(data)
		if e != nil {
			return content, connError{codeFrame}
		}
		length, m, e := quicvarint.Parse(data[n:])
		if e != nil {
			return content, connError{codeFrame}
		}
		data = data[n+m:]
		cut := uint64(len(data)) < length
		payload := data[:min(uint64(len(data)), length)]
		data = data[len(payload):]
		switch {
		case kind == frameData && !trailed:
			content = append(content, payload...)
		case kind == frameHeaders && !trailed && length > maxTrailers:
			return content, streamError{codeMessage}
		case kind == frameHeaders && !trailed && !cut:
			trailed = true
			if err := plainTrailers(payload); err != nil {
				return content, err
			}
		case known(kind) && (kind != frameHeaders || trailed):
			return content, connError{codeFrameUnexpected}
		}
		if cut {
			return content, connError{codeFrame}
		}
	}
	return content, io.EOF
}

func plainTrailers(block []byte) error {
	x := &Exchange{}
	x.section.BeginTrailers()
	if err := x.decode(block); err != nil {
		return err
	}
	if _, ok := x.section.TrailerLines(); !ok {
		return streamError{codeMessage}
	}
	return nil
}

// What comes in pieces, with interruptions, is what it would be at once.
func FuzzBody(f *testing.F) {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	e.WriteField(qpack.HeaderField{Name: "x-sum", Value: "7"})
	trailers := append(appendFrameHead(nil, frameHeaders, b.Len()), b.Bytes()...)
	hello := append(appendFrameHead(nil, frameData, 5), "hello"...)
	grease := append(appendFrameHead(nil, 0x21, 3), "abc"...)
	f.Add(bytes.Join([][]byte{hello, grease, hello, trailers}, nil), 1)
	f.Add(bytes.Join([][]byte{hello, trailers, hello}, nil), 3)
	f.Add(append(trailers, trailers...), 7)
	f.Add(hello[:4], 100)
	f.Add([]byte{0x80}, 1)
	f.Add(appendFrameHead(nil, frameSettings, 0), 2)
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'}, 2)
	f.Add(append(appendFrameHead(nil, frameHeaders, 2), 1, 0), 2)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = 1 + (size&0xffff)%4096
		got, _, largest, err := body(data, size)
		want, wantErr := plainBody(data)
		if err == (connError{codeExcessiveLoad}) {
			return // many empty or unknown frames: nothing to compare
		}
		if !bytes.Equal(got, want) || err != wantErr {
			t.Errorf("%x in pieces of %d:\n got %q, %v\nwant %q, %v", data, size, got, err, want, wantErr)
		}
		if largest > max(bodyBuffer, maxTrailers)+maxFrameHead {
			t.Errorf("a buffer of %d", largest)
		}
	})
}

// A head is a request, or is refused; nothing of it makes a second one.
func FuzzHead(f *testing.F) {
	add := func(fields ...string) {
		var b bytes.Buffer
		e := qpack.NewEncoder(&b)
		for i := 0; i < len(fields); i += 2 {
			e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		f.Add(b.Bytes(), true)
		f.Add(b.Bytes(), false)
	}
	add(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "cookie", "a=b", "cookie", "c=d")
	add(":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/", "content-length", "5")
	add(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/")
	add(":method", "GET", ":scheme", "https", ":path", "/", "host", "a", "x", "b\r\n\r\nGET / HTTP/1.1")
	add("a", "b", ":method", "GET")
	limits := &http1.Limits{HeadBytes: 8 << 10, Fields: 50, URLBytes: 2 << 10}
	f.Fuzz(func(t *testing.T, block []byte, ends bool) {
		x := &Exchange{}
		x.req.Reset(nil)
		x.section.Begin(limits)
		if err := x.decode(block); err != nil {
			if err != (connError{codeDecompression}) {
				t.Error(err)
			}
			return
		}
		if x.section.Check(ends); x.section.Refusal != nil {
			return
		}
		p, refusal := x.section.Parse(nil, &x.req, limits, ends)
		if refusal == nil && bytes.Count(p.Head, []byte("\r\n\r\n")) != 1 {
			t.Errorf("not one head: %q", p.Head)
		}
		if len(p.Head) > 8*limits.HeadBytes {
			t.Errorf("a head of %d bytes", len(p.Head))
		}
	})
}

// Settings are taken or refused, whatever they are.
func FuzzSettings(f *testing.F) {
	f.Add([]byte{6, 1, 8, 1})
	f.Add([]byte{6, 1, 6, 1})
	f.Add([]byte{2, 0})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		switch err := checkSettings(p); err {
		case nil, connError{codeSettings}, connError{codeFrame}:
		default:
			t.Error(err)
		}
	})
}
