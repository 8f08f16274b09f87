package http1

import (
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
)

func TestHeadsAreFoundHoweverTheyComeIn(t *testing.T) {
	text := []byte(browserHead + "GET /next HTTP/1.1\r\n\r\n")
	next := 0
	for have := 0; have <= len(text); have++ {
		end, n, err := HeadEnd(text[:have], next)
		if err != nil {
			t.Fatal(err)
		}
		if n < have-1 && end == 0 {
			t.Fatalf("with %d bytes goes on from %d", have, n)
		}
		if end > 0 {
			if end != len(browserHead) || have != end {
				t.Errorf("end at %d of %d", end, have)
			}
			return
		}
		next = n
	}
	t.Error("no end found")
}

func TestBrokenHeadsAreRefusedAtOnce(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\n", "GET / HTTP/1.1\rX", "GET /\r\r", "\r\nGET", "\n", "\rG", " GET", "\x16\x03\x01", "\x00", "A\r\nB\n"} {
		if _, _, err := HeadEnd([]byte(text), 0); err == nil {
			t.Errorf("%q is awaited", text)
		}
		next := 0
		var err error
		for i := 1; i <= len(text) && err == nil; i++ {
			_, next, err = HeadEnd([]byte(text[:i]), next)
		}
		if err == nil {
			t.Errorf("%q is awaited byte by byte", text)
		}
	}
	for _, text := range []string{"", "\r", "G", "GET / HTTP/1.1\r"} {
		if end, _, err := HeadEnd([]byte(text), 0); end != 0 || err != nil {
			t.Errorf("%q: %d, %v", text, end, err)
		}
	}
}

func TestParsersWantOneHead(t *testing.T) {
	one := head("GET / HTTP/1.1", "Host: a")
	for _, text := range []string{"", "\r\n", one[:len(one)-1], one[:len(one)-2], one + "x", one + one, strings.Replace(one, "\r\n", "\r\n\r\n", 1)} {
		if err := ParseRequest([]byte(text), new(httpmsg.Request), &testLimits); err == nil {
			t.Errorf("took %q", text)
		}
	}
	one = head("HTTP/1.1 200 OK", "A: b")
	for _, text := range []string{"", "\r\n\r\n", "HTTP/1.1 20\r\n\r\n", one[:len(one)-2], one + one} {
		if err := ParseResponse([]byte(text), new(httpmsg.Response), httpmsg.GET, &testLimits); err == nil {
			t.Errorf("took %q", text)
		}
	}
}

func TestZeroLimitsAreNone(t *testing.T) {
	text := []byte(head("GET /"+strings.Repeat("a", 9<<10)+" HTTP/1.1", "Host: a"+strings.Repeat("\r\nA: b", 200)))
	if err := ParseRequest(text, new(httpmsg.Request), new(Limits)); err != nil {
		t.Error(err)
	}
}

// TestFastScansAgreeWithTables puts each byte into each place of a text.
func TestFastScansAgreeWithTables(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				b := []byte(strings.Repeat("\xffa", size))[:size]
				b[at] = byte(c)
				want := size
				if class[c]&text == 0 {
					want = at
				}
				if got := textEnd(b, 0); got != want {
					t.Fatalf("%q: text ends at %d, want %d", b, got, want)
				}
				b = []byte(strings.Repeat("~!", size))[:size]
				b[at] = byte(c)
				want = size
				if c <= ' ' || c >= 0x7f || c == '#' {
					want = at
				}
				if got := targetEnd(b, 0); got != want {
					t.Fatalf("%q: target ends at %d, want %d", b, got, want)
				}
			}
		}
	}
}
