package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// chunks reads by pieces of the sizes in turn.
type chunks struct {
	data  []byte
	sizes []byte
	turn  int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(c.sizes) > 0 {
		n += int(c.sizes[c.turn%len(c.sizes)])
		c.turn++
	}
	n = copy(p, c.data[:min(n, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

// FuzzInbox compares the messages taken from a stream, however it is cut into
// reads, with those that are in it.
func FuzzInbox(f *testing.F) {
	f.Add(framed(query(1, 12), query(2, 300), nil, query(3, 3000)), []byte{0, 200, 3})
	f.Add([]byte{0xff, 0xff, 1}, []byte{})
	f.Add([]byte{0}, []byte{9})
	f.Add(append(framed(query(1, 4000)), 0), []byte{255})
	f.Fuzz(func(t *testing.T, stream, sizes []byte) {
		var want [][]byte
		for rest := stream; len(rest) >= 2; {
			n := int(binary.BigEndian.Uint16(rest))
			if len(rest) < 2+n {
				break
			}
			want = append(want, rest[2:2+n])
			rest = rest[2+n:]
		}
		var in inbox
		r := &chunks{data: stream, sizes: sizes}
		in.begin(nil)
		for {
			for m := in.next(); m != nil; m = in.next() {
				if len(want) == 0 || !bytes.Equal(m, want[0]) {
					t.Fatalf("message %x is not there", m)
				}
				want = want[1:]
			}
			if len(in.buf) > lengthSize+maxMessage || len(in.buf) < inboxSize {
				t.Fatalf("a buffer of %d bytes", len(in.buf))
			}
			if err := in.fill(r); err != nil {
				break
			}
		}
		if len(want) > 0 {
			t.Fatalf("%d messages were lost", len(want))
		}
	})
}

func TestInboxGivesBackALongBuffer(t *testing.T) {
	var in inbox
	in.begin(nil)
	r := bytes.NewReader(framed(query(1, 10_000)))
	for !in.whole() {
		if err := in.fill(r); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(in.next(), query(1, 10_000)) {
		t.Fatal("another message")
	}
	in.begin([]byte{1})
	if len(in.buf) != inboxSize || in.empty() {
		t.Errorf("a buffer of %d bytes, empty %v", len(in.buf), in.empty())
	}
}

func TestInboxReportsErrorsOnce(t *testing.T) {
	var in inbox
	in.begin(nil)
	if err := in.fill(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	// A reader that returns nothing for ever must not take a processor.
	if err := in.fill(silent{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }
