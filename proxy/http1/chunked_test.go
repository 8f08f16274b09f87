package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
)

// unchunk reads a whole chunked body that arrives in pieces of at most size
// bytes, and returns what is left behind it.
func unchunk(t testing.TB, c *ChunkReader, in []byte, size int) (data []byte, rest int, done bool, err error) {
	t.Helper()
	c.Reset()
	for len(in) > 0 {
		piece := in[:min(size, len(in))]
		for len(piece) > 0 {
			p, n, done, err := c.Next(piece)
			if err != nil {
				return data, len(in), done, err
			}
			if n == 0 && !done {
				t.Fatal("nothing taken")
			}
			if len(p) > 0 && &p[len(p)-1] != &piece[n-1] {
				t.Fatal("data is not what was taken last")
			}
			data = append(data, p...)
			piece, in = piece[n:], in[n:]
			if done {
				return data, len(in), true, nil
			}
		}
	}
	return data, 0, false, nil
}

func TestChunkedBodiesAreRead(t *testing.T) {
	tests := []struct {
		name, in, want string
		rest           int
	}{
		{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", 0},
		{"two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", 0},
		{"empty", "0\r\n\r\n", "", 0},
		{"several zeros", "000\r\n\r\n", "", 0},
		{"hexadecimal", "0A\r\n0123456789\r\n1a\r\n" + strings.Repeat("x", 26) + "\r\n0\r\n\r\n", "0123456789" + strings.Repeat("x", 26), 0},
		{"sixteen digits", "0000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
		{"extensions", "1;a\r\nx\r\n1; a = b ;c=\"d;\\\" e\";e\r\ny\r\n0;last\r\n\r\n", "xy", 0},
		{"next message", "1\r\nx\r\n0\r\n\r\nGET", "x", 3},
		{"trailers", "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n..", "x", 2},
		{"data that looks like framing", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", 0},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			t.Run(fmt.Sprint(tt.name, " by ", size), func(t *testing.T) {
				data, rest, done, err := unchunk(t, new(ChunkReader), []byte(tt.in), size)
				if err != nil || !done || string(data) != tt.want || rest != tt.rest {
					t.Errorf("got %q, %d left, done %v, %v", data, rest, done, err)
				}
			})
		}
	}
}

// hostileChunks are the chunked bodies of the hostile-input list, by row.
var hostileChunks = []struct{ name, in string }{
	{"11 empty size", "\r\n\r\n"},
	{"11 no size", ";a\r\nx\r\n0\r\n\r\n"},
	{"11 0x", "0x1\r\nx\r\n0\r\n\r\n"},
	{"11 plus", "+1\r\nx\r\n0\r\n\r\n"},
	{"11 minus", "-1\r\nx\r\n0\r\n\r\n"},
	{"11 underscore", "1_0\r\nx\r\n0\r\n\r\n"},
	{"11 space before", " 1\r\nx\r\n0\r\n\r\n"},
	{"11 space behind", "1 \r\nx\r\n0\r\n\r\n"},
	{"11 tab behind", "1\t;a\r\nx\r\n0\r\n\r\n"},
	{"11 seventeen digits", "00000000000000001\r\nx\r\n0\r\n\r\n"},
	{"11 more than int64", "8000000000000000\r\nx\r\n0\r\n\r\n"},
	{"11 no digit", "g\r\nx\r\n0\r\n\r\n"},
	{"12 bare LF behind size", "1\nx\r\n0\r\n\r\n"},
	{"12 bare LF behind extension", "1;a\nx\r\n0\r\n\r\n"},
	{"12 bare LF in extension", "1;a=\nb\r\nx\r\n0\r\n\r\n"},
	{"12 bare CR in extension", "1;a\rb\r\nx\r\n0\r\n\r\n"},
	{"12 CR in quotes", "1;a=\"\r\"\r\nx\r\n0\r\n\r\n"},
	{"12 LF in quotes", "1;a=\"\n\"\r\nx\r\n0\r\n\r\n"},
	{"12 NUL", "1;a\x00\r\nx\r\n0\r\n\r\n"},
	{"12 open quote", "1;a=\"b\r\nx\r\n0\r\n\r\n"},
	{"12 escaped CR", "1;a=\"\\\r\n\"\r\nx\r\n0\r\n\r\n"},
	{"12 behind quotes", "1;a=\"b\"c\r\nx\r\n0\r\n\r\n"},
	{"12 CR before semicolon", "1\r;a\r\nx\r\n0\r\n\r\n"},
	{"12 nothing behind semicolon", "1;\r\nx\r\n0\r\n\r\n"},
	{"12 nothing behind equals", "1;a=\r\nx\r\n0\r\n\r\n"},
	{"12 space at end", "1;a \r\nx\r\n0\r\n\r\n"},
	{"12 two names", "1;a b\r\nx\r\n0\r\n\r\n"},
	{"12 overlong", "1;" + strings.Repeat("a", 256) + "\r\nx\r\n0\r\n\r\n"},
	{"12 mostly framing", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n"},
	{"13 no CRLF", "1\r\nx0\r\n\r\n"},
	{"13 bare LF", "1\r\nx\n0\r\n\r\n"},
	{"13 bare CR", "1\r\nx\r0\r\n\r\n"},
	{"13 two bytes skipped", "1\r\nxXX0\r\n\r\n"},
	{"13 more data", "1\r\nxy\r\n0\r\n\r\n"},
	{"13 CRLF before last chunk", "1\r\nx\r\n\r\n0\r\n\r\n"},
	{"13 terminator and more", "0\r\nXX\r\n"},
	{"14 bare LF ends trailers", "0\r\n\n"},
	{"14 bare LF in trailers", "0\r\nA: b\nC: d\r\n\r\n"},
	{"14 bare CR in trailers", "0\r\nA: b\rC: d\r\n\r\n"},
	{"14 bare CR in an open line", "0\r\nA\rB"},
	{"14 fold", "0\r\nA: b\r\n c\r\n\r\n"},
	{"14 no colon", "0\r\nabc\r\n\r\n"},
	{"14 pseudo field", "0\r\n:path: /\r\n\r\n"},
	{"14 space before colon", "0\r\nA : b\r\n\r\n"},
	{"14 NUL", "0\r\nA: \x00\r\n\r\n"},
	{"14 too many", "0\r\n" + strings.Repeat("A: b\r\n", 17) + "\r\n"},
	{"14 too large", "0\r\nA: " + strings.Repeat("b", 4<<10) + "\r\n\r\n"},
}

func TestHostileChunksAreRefused(t *testing.T) {
	for _, tt := range hostileChunks {
		for _, size := range []int{1, 5, 1 << 20} {
			t.Run(fmt.Sprint(tt.name, " by ", size), func(t *testing.T) {
				c := new(ChunkReader)
				data, _, done, err := unchunk(t, c, []byte(tt.in), size)
				var e *Error
				if !errors.As(err, &e) || e.Status != 400 || done {
					t.Fatalf("got %q, done %v, error %v", data, done, err)
				}
				if _, n, done, again := c.Next([]byte("0\r\n\r\n")); n != 0 || done || again != err {
					t.Errorf("went on after the error: %d, %v, %v", n, done, again)
				}
			})
		}
	}
}

func TestMuchFramingIsFineForMuchData(t *testing.T) {
	in := strings.Repeat("1\r\nx\r\n", 10000) + strings.Repeat("40;"+strings.Repeat("a", 120)+"\r\n"+strings.Repeat("x", 64)+"\r\n", 1000)
	data, _, done, err := unchunk(t, new(ChunkReader), []byte(in+"0\r\n\r\n"), 999)
	if err != nil || !done || len(data) != 74000 {
		t.Errorf("got %d bytes, done %v, %v", len(data), done, err)
	}
}

func TestTrailersAreFiltered(t *testing.T) {
	const body = "0\r\nX-Sum: 1 \r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n" +
		"Authorization: x\r\nCookie: x\r\nContent-Type: x\r\nX-Other: 2\r\nx-forwarded-for: 1\r\nIf-Match: x\r\n" +
		"grpc-status:0\r\nPragma: no\r\n\r\n"
	const announced = "x-sum, Content-Length,Transfer-Encoding, Host,Authorization,Cookie,Content-Type,X-Forwarded-For,If-Match,grpc-status,pragma"
	c := new(ChunkReader)
	if _, _, done, err := unchunk(t, c, []byte(body), 11); err != nil || !done {
		t.Fatal(done, err)
	}
	var dst httpmsg.Fields
	c.Trailers(&dst, []byte(announced))
	if got, want := string(dst.AppendLines(nil)), "X-Sum: 1\r\ngrpc-status: 0\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	dst.Reset(nil)
	c.Trailers(&dst, nil)
	if dst.Len() != 0 {
		t.Errorf("unannounced trailers: %q", dst.AppendLines(nil))
	}
	c.Reset()
	c.Trailers(&dst, []byte(announced))
	if dst.Len() != 0 {
		t.Errorf("trailers of the body before: %q", dst.AppendLines(nil))
	}
}

func TestNoTrailerThatMattersMayTrail(t *testing.T) {
	never := strings.Fields(`Content-Length Transfer-Encoding Host TE Trailer Upgrade Connection Expect
		Authorization Cookie Set-Cookie Proxy-Authorization WWW-Authenticate Content-Type Content-Encoding Content-Range
		Cache-Control Range If-None-Match Location Vary Age Date Expires Retry-After Via Forwarded X-Forwarded-Host
		X-Real-IP X-Original-URL X-AppGW-Anything Client-Cert Client-Cert-Chain X-Client-Cert X-Client-Cert-Verification X-Accel-Redirect X-HTTP-Method-Override Max-Forwards
		True-Client-IP CF-Connecting-IP X-Cluster-Client-IP X-Scheme X-Url-Scheme Front-End-Https SSL-Client-Verify`)
	for _, name := range never {
		if mayTrail([]byte(strings.ToUpper(name))) {
			t.Errorf("%s may trail", name)
		}
	}
	for _, name := range []string{"Grpc-Status", "Server-Timing", "X-Checksum", "ETag", "Digest", "Rangefinder", "Iffy"} {
		if !mayTrail([]byte(name)) {
			t.Errorf("%s may not trail", name)
		}
	}
}

func TestChunkHeads(t *testing.T) {
	for _, n := range []int{1, 9, 15, 16, 255, 256, 4095, 65536, 1<<31 - 1, 1<<63 - 1} {
		if got, want := string(AppendChunkHead([]byte("."), n)), fmt.Sprintf(".%x\r\n", n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
