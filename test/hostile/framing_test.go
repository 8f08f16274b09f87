package hostile

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

func TestFramingIsRefusedWhereItIsInDoubt(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.refuseAll(t, slices.Concat(lengthsAndCodings(), codings(), fieldLines(), lineEnds(), chunks(), chunkEnds(), trailers()))
}

func TestRequestLinesAndHosts(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.refuseAll(t, slices.Concat(expectations(), versions(), methods(), targets(), absoluteForms(), hosts(), sizes()))
}

func TestUnusualButCleanRequestsPass(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.passAll(t, slices.Concat(cleanFraming(), cleanTrailers(), bodiesAnywhere(), cleanStarts(), cleanHosts(), cleanSizes()))
}

// lengthsAndCodings are rows 1 to 3.
func lengthsAndCodings() []refusal {
	const chunked = "Transfer-Encoding: chunked"
	list := []refusal{
		{name: "A01 length, then coding", want: 400, send: post("0\r\n\r\n", "Content-Length: 5", chunked)},
		{name: "A01 coding, then length", want: 400, send: post("0\r\n\r\n", chunked, "Content-Length: 5")},
		{name: "A01 coding in capitals", want: 400, send: post("0\r\n\r\n", "content-length: 5", "TRANSFER-ENCODING: CHUNKED")},
		{name: "A01 length zero", want: 400, send: post("0\r\n\r\n", "Content-Length: 0", chunked)},
		{name: "A01 coding identity", want: 400, send: post("hello", "Content-Length: 5", "Transfer-Encoding: identity")},
		{name: "A01 coding hidden behind Connection", want: 400,
			send: post("0\r\n\r\n", "Connection: Transfer-Encoding", "Content-Length: 5", chunked)},
		{name: "A02 two lengths", want: 400, send: post("hello", "Content-Length: 5", "Content-Length: 6")},
		{name: "A02 two equal lengths", want: 400, send: post("hello", "Content-Length: 5", "Content-Length: 5")},
		{name: "A02 two lengths in different case", want: 400, send: post("hello", "Content-Length: 5", "CONTENT-LENGTH: 0")},
		{name: "A02 list of lengths", want: 400, send: post("hello", "Content-Length: 5, 6")},
		{name: "A02 list of equal lengths", want: 400, send: post("hello", "Content-Length: 5,5")},
	}
	for _, bad := range []string{"+5", "-5", "0x5", "5_0", "5 5", "", "9223372036854775808", "99999999999999999999", "18446744073709551621",
		"00000000000000000000005", "5.0", "5e0", "5;", "\"5\"", "\x0b5", "5\x0c", "\xa05", "\xd9\xa5", "5\x00", "five", ",5", "5,"} {
		list = append(list, refusal{name: "A03 length " + quote(bad), want: 400, send: post("hello", "Content-Length: "+bad)})
	}
	return list
}

// quote makes the name of a case readable.
func quote(s string) string {
	s = strings.NewReplacer("\r", "CR", "\n", "LF", "\t", "HT", "\x00", "NUL", "\x0b", "VT", "\x0c", "FF", "/", "|").Replace(s)
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return "'" + s + "'"
}

// codings are rows 4 to 6.
func codings() []refusal {
	list := []refusal{
		{name: "A05 two codings", want: 400, send: post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")},
		{name: "A05 chunked, then identity", want: 400, send: post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: identity")},
		{name: "A05 identity, then chunked", want: 400, send: post("0\r\n\r\n", "Transfer-Encoding: identity", "Transfer-Encoding: chunked")},
		{name: "A05 list of two", want: 400, send: post("0\r\n\r\n", "Transfer-Encoding: chunked, chunked")},
		{name: "A06 coding in HTTP/1.0", want: 400,
			send: request("POST /hostile HTTP/1.0", "Host: a.test", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{name: "A06 coding in HTTP/1.0 that wants to stay", want: 400,
			send: request("POST /hostile HTTP/1.0", "Host: a.test", "Connection: keep-alive", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
	}
	for _, bad := range []string{"xchunked", ",chunked", "chunked,", "chunked,identity", "identity,chunked", "identity", "chunked;x", "chunked;q=1",
		"\"chunked\"", "'chunked'", "\x0bchunked", "chunked\x0c", "\xa0chunked", "chunked\xa0", "chunked\x00", "chun ked", "chunk", "", ";", "cow"} {
		list = append(list, refusal{name: "A04 coding " + quote(bad), want: 400, send: post("0\r\n\r\n", "Transfer-Encoding: "+bad)})
	}
	for _, known := range []string{"gzip", "gzip, chunked", "x-gzip", "deflate", "compress, chunked"} {
		list = append(list, refusal{name: "A04 coding that is known " + quote(known), want: 501, send: post("0\r\n\r\n", "Transfer-Encoding: "+known)})
	}
	return list
}

// fieldLines are rows 7, 9 and 10.
func fieldLines() (list []refusal) {
	for _, bad := range []string{"Content-Length : 5", "Content-Length\t: 5", "Content-Length\x00: 5", "Content-Length\xa0: 5", "Transfer\rEncoding: chunked",
		"Transfer-Encoding\x80: chunked", "Transfer-Encoding\x0b: chunked", ": chunked", "Transfer-Encoding chunked", "nocolon", "Foo bar: x",
		"\"Host\": b.test", "(X): y", "X@y: z", "X{y}: z", "X,y: z", "X=y: z", "X[0]: z", "X\\y: z", "X/y: z", "Foo\x7f: x", "\x00: x", "Ho\xc5\xbfst: b.test"} {
		list = append(list, refusal{name: "A07 name " + quote(bad), want: 400, send: post("", bad)})
	}
	list = append(list,
		refusal{name: "A09 folded value", want: 400, send: post("", "X-A: b", " c")},
		refusal{name: "A09 folded with a tab", want: 400, send: post("", "X-A: b", "\tc")},
		refusal{name: "A09 folded coding", want: 400, send: post("0\r\n\r\n", "Transfer-Encoding:", " chunked")},
		refusal{name: "A09 folded field", want: 400, send: post("", "X-A: b", " Content-Length: 5")},
		refusal{name: "A09 empty folded line", want: 400, send: post("", "X-A: b", " ")},
		refusal{name: "A09 white space before the first field", want: 400,
			send: request("GET /hostile HTTP/1.1", " Host: a.test")},
		refusal{name: "A09 tab before the first field", want: 400,
			send: request("GET /hostile HTTP/1.1", "\tX: y", "Host: a.test")},
	)
	for c := range 0x20 {
		if c != '\t' {
			list = append(list, refusal{name: "A10 control in a value " + quote(string(rune('@'+c))), want: 400, send: get("X-A: b" + string(rune(c)) + "c")})
		}
	}
	return append(list,
		refusal{name: "A10 DEL in a value", want: 400, send: get("X-A: \x7f")},
		refusal{name: "A10 NUL at the end of Host", want: 400, send: request("GET /hostile HTTP/1.1", "Host: a.test\x00")},
		refusal{name: "A10 NUL in the second field", want: 400, send: get("X-A: b", "X-B: \x00")})
}

// lineEnds is row 8.
func lineEnds() []refusal {
	const line, host = "GET /hostile HTTP/1.1", "Host: a.test"
	return []refusal{
		{name: "A08 LF everywhere", want: 400, send: line + "\n" + host + "\n\n"},
		{name: "A08 LF behind the request line", want: 400, send: line + "\n" + host + "\r\n\r\n"},
		{name: "A08 LF behind a field", want: 400, send: line + "\r\n" + host + "\nX: y\r\n\r\n"},
		{name: "A08 LF as the empty line", want: 400, send: line + "\r\n" + host + "\r\n\n"},
		{name: "A08 LF before the empty line", want: 400, send: line + "\r\n" + host + "\n\r\n"},
		{name: "A08 CR CR LF", want: 400, send: line + "\r\n" + host + "\r\r\n\r\n"},
		{name: "A08 CR as line end", want: 400, send: line + "\r" + host + "\r\n\r\n"},
		{name: "A08 CR in a value", want: 400, send: line + "\r\n" + host + "\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n"},
		{name: "A08 CR at the start of a line", want: 400, send: line + "\r\n" + host + "\r\n\rX: y\r\n\r\n"},
		{name: "A08 CR before the colon", want: 400, send: line + "\r\n" + host + "\r\nX\r: y\r\n\r\n"},
		{name: "A08 LF CR", want: 400, send: line + "\n\r" + host + "\n\r\n\r"},
		{name: "A08 CR in the request line", want: 400, send: "GET\r/hostile HTTP/1.1\r\n" + host + "\r\n\r\n"},
		{name: "A08 LF before the request line", want: 400, send: "\n" + get()},
		{name: "A08 CR before the request line", want: 400, send: "\r" + get()},
		{name: "A08 two empty lines before the request line", want: 400, send: "\r\n\r\n" + get()},
	}
}

// chunks are rows 11 and 12.
func chunks() (list []refusal) {
	chunked := func(name, body string) {
		list = append(list, refusal{name: name, want: 400, body: true, send: post(body, "Transfer-Encoding: chunked")})
	}
	const rest = "\r\nhello\r\n0\r\n\r\n"
	for _, bad := range []string{"", "0x5", "+5", "-5", "5_", "5_0", " 5", "5 ", "\t5", "5\t", "00000000000000005", "FFFFFFFFFFFFFFFF", "8000000000000000",
		"10000000000000005", "g", "5g", "5.", "\x00", "5\x00", "5,", "\"5\"", "%35"} {
		chunked("A11 size "+quote(bad), bad+rest)
	}
	for _, bad := range []string{"5;a\nb", "5;a\rb", "5;\x00", "5;a\x00", "5;a=\"x", "5;a=\"x\x01\"", "5;a=\"\r\n\"", "5 ;a", "5\t;a", "5\r;a", "5;=x", "5;a=b c", "5;a=",
		"5;", "5;;", "5;a=\"x\"y", "5;a,b", "5;\xa0", "5;a=\x7f", "5;a\r", "5;" + strings.Repeat("a", 300), "5;a=\"" + strings.Repeat("b", 300) + "\""} {
		chunked("A12 extension "+quote(bad), bad+rest)
	}
	chunked("A12 LF behind the size", "5\nhello\r\n0\r\n\r\n")
	chunked("A12 LF behind an extension", "5;a\nhello\r\n0\r\n\r\n")
	chunked("A12 mostly extensions", strings.Repeat("1;"+strings.Repeat("e", 200)+"\r\nx\r\n", 100)+"0\r\n\r\n")
	return list
}

// chunkEnds is row 13.
func chunkEnds() (list []refusal) {
	for _, bad := range []string{"5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5\r\nhelloXX\r\n0\r\n\r\n", "5\r\nhello\r\nXX",
		"5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello\n\r0\r\n\r\n", "5\r\nhello world\r\n0\r\n\r\n",
		"3\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\n\n", "5\r\nhello\r\n0\r\r\n\r\n", "0\r\n\rX", "0\r\n\r\r\n", "0\n\n", "\r\n0\r\n\r\n",
		"5\r\nhello\r\n-0\r\n\r\n", "5\r\nhello\r\n00x\r\n\r\n"} {
		list = append(list, refusal{name: "A13 " + quote(bad), want: 400, body: true, send: post(bad, "Transfer-Encoding: chunked")})
	}
	return list
}

// trailers are the ones of row 14 that are refused.
func trailers() (list []refusal) {
	for _, bad := range []string{":path: /admin", ":status: 200", "X : y", " X: y", "X: y\r\n z", "nocolon", "X\x00: y", "X: \x00", "X: y\nZ: z", "X: y\rZ: z",
		strings.Repeat("X: y\r\n", 17) + "Y: z", "X: " + strings.Repeat("y", 5000)} {
		list = append(list, refusal{name: "A14 trailer " + quote(bad), want: 400, body: true,
			send: post("5\r\nhello\r\n0\r\n"+bad+"\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X")})
	}
	return list
}

// expectations are the ones of row 17 that are refused.
func expectations() (list []refusal) {
	for _, bad := range []string{"y 100-continue", "100-continue, 100-continue", "200-ok", "100-continue;q=1", "", "\"100-continue\"", "100 continue", "x"} {
		list = append(list, refusal{name: "A17 expectation " + quote(bad), want: 417, send: post("hello", "Content-Length: 5", "Expect: "+bad)})
	}
	return append(list,
		refusal{name: "A17 two expectations", want: 417, send: post("hello", "Content-Length: 5", "Expect: 100-continue", "Expect: 100-continue")},
		refusal{name: "A17 expectation and another", want: 417, send: post("hello", "Content-Length: 5", "Expect: 100-continue", "expect: y")},
		refusal{name: "A17 unknown expectation without a body", want: 417, send: get("Expect: y")})
}

// versions is row 19.
func versions() []refusal {
	list := []refusal{
		{name: "A19 HTTP/0.9", want: 400, send: "GET /hostile\r\n\r\n"},
		{name: "A19 HTTP/0.9 with a field", want: 400, send: "GET /hostile\r\nHost: a.test\r\n\r\n"},
		{name: "A19 preface of HTTP/2", want: 505, send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	}
	for version, want := range map[string]int{"HTTP/1.2": 505, "HTTP/2.0": 505, "HTTP/3.0": 505, "HTTP/0.9": 505, "HTTP/0.0": 505, "HTTP/9.9": 505, "http/1.1": 400,
		"Http/1.1": 400, "HTTP/01.1": 400, "HTTP/1.01": 400, "HTTP/1.1 ": 400, "HTTP/1.1\t": 400, "HTTP/11": 400, "HTTP/1,1": 400, "HTTP/1.": 400,
		"HTTP/1": 400, "HTTP/2": 400, "HTTP/4294967297.1": 400, "HTTP/1.4294967297": 400, "HTTP/+1.1": 400, "HTTP1.1": 400, "HTTP /1.1": 400, "HTTPS/1.1": 400, "ICY/1.1": 400} {
		list = append(list, refusal{name: "A19 version " + quote(version), want: want, send: request("GET /hostile "+version, "Host: a.test")})
	}
	return list
}

// methods is row 20.
func methods() []refusal {
	list := []refusal{
		{name: "A20 CONNECT", want: 405, send: request("CONNECT a.test:443 HTTP/1.1", "Host: a.test:443")},
		{name: "A20 CONNECT with a path", want: 405, send: request("CONNECT /hostile HTTP/1.1", "Host: a.test")},
		{name: "A20 TRACE", want: 405, send: request("TRACE /hostile HTTP/1.1", "Host: a.test")},
	}
	for _, bad := range []string{"get", "Get", "pOST", "trace", "G@T", "G(T", "G\x00T", "G\tT", "\"GET\"", "GET:", "G\xc3\x89T", "", "(", strings.Repeat("A", 33), strings.Repeat("A", 4000)} {
		list = append(list, refusal{name: "A20 method " + quote(bad), want: 400, send: request(bad+" /hostile HTTP/1.1", "Host: a.test")})
	}
	return list
}

// targets is row 21.
func targets() (list []refusal) {
	for _, bad := range []string{"GET  /hostile HTTP/1.1", "GET /hostile  HTTP/1.1", "GET\t/hostile HTTP/1.1", "GET /hostile\tHTTP/1.1", " GET /hostile HTTP/1.1", "GET /hos tile HTTP/1.1",
		"GET /hos\ttile HTTP/1.1", "GET /hos\x01tile HTTP/1.1", "GET /hos\x00tile HTTP/1.1", "GET /hos\x7ftile HTTP/1.1", "GET /hos\x80tile HTTP/1.1", "GET /hos\xc3\xa9tile HTTP/1.1",
		"GET /hostile#fragment HTTP/1.1", "GET #/hostile HTTP/1.1", "GET /hostile?q=a b HTTP/1.1", "GET /hostile?q=\x1b HTTP/1.1", "GET /hostile HTTP/1.1 x", "GET hostile HTTP/1.1",
		"GET * HTTP/1.1", "GET ** HTTP/1.1", "OPTIONS *a HTTP/1.1", "GET a.test:80 HTTP/1.1", "GET ?q HTTP/1.1", "GET", "GET ", "GET  HTTP/1.1", "GET /hostile HTTP/1.1\x0b", "/hostile"} {
		list = append(list, refusal{name: "A21 line " + quote(bad), want: 400, send: request(bad, "Host: a.test")})
	}
	return list
}

// absoluteForms are the targets of row 22 that are refused.
func absoluteForms() (list []refusal) {
	for _, bad := range []string{"http://user@a.test/", "http://a.test:99999/", "http://a.test:x/", "http:///hostile", "http://", "http:/hostile", "http:hostile", "ftp://a.test/",
		"gopher://a.test/", "http://a.test\\b.test/", "http://[::1/", "http://a..b/", "http://?q", "javascript://a.test/", "http://a.test,b.test/"} {
		list = append(list, refusal{name: "A22 target " + quote(bad), want: 400, send: request("GET "+bad+" HTTP/1.1", "Host: a.test")})
	}
	return append(list,
		refusal{name: "A22 no Host beside the target", want: 400, send: "GET http://a.test/hostile HTTP/1.1\r\n\r\n"},
		refusal{name: "A22 two Hosts beside the target", want: 400, send: request("GET http://a.test/hostile HTTP/1.1", "Host: a.test", "Host: a.test")},
		refusal{name: "A22 bad Host beside the target", want: 400, send: request("GET http://a.test/hostile HTTP/1.1", "Host: a.test@b")})
}

// hosts are the ones of row 23 that are refused.
func hosts() []refusal {
	list := []refusal{
		{name: "A23 none", want: 400, send: "GET /hostile HTTP/1.1\r\n\r\n"},
		{name: "A23 two", want: 400, send: request("GET /hostile HTTP/1.1", "Host: a.test", "Host: b.test")},
		{name: "A23 two that are equal", want: 400, send: request("GET /hostile HTTP/1.1", "Host: a.test", "Host: a.test")},
		{name: "A23 two in different case", want: 400, send: request("GET /hostile HTTP/1.1", "HOST: a.test", "host: a.test")},
		{name: "A23 two in HTTP/1.0", want: 400, send: request("GET /hostile HTTP/1.0", "Host: a.test", "Host: b.test")},
	}
	for _, bad := range []string{"", "a.test, b.test", "a.test,", "user@a.test", "user:pass@a.test", "a.test/x", "http://a.test", "a b", "a.test b.test", "a:1:2", "a.test:port", "a.test:0", "a.test:65536",
		"a.test:-1", "a.test:8 0", "a.test:080000", "[::1]x", "[::1", "::1", "[127.0.0.1]", "[]", "[::1%25lo]", "[g::1]", "a..test", ".a.test", "a.test?x", "a.test#x", "a%2etest", "a.test\\b",
		"a.test\xc3\xa9", "a.test;b", "a<b>", "a\"b", "a'b", "$(a)", "*", "a.test:80:", ":80", ":", "a\x00", strings.Repeat("a", 300)} {
		list = append(list, refusal{name: "A23 host " + quote(bad), want: 400, send: request("GET /hostile HTTP/1.1", "Host: "+bad)})
	}
	return list
}

// sizes is row 24.
func sizes() []refusal {
	return []refusal{
		{name: "A24 head over 32 KiB", want: 431, send: get("X-A: " + strings.Repeat("a", 32<<10))},
		{name: "A24 head over 32 KiB in a thousand fields", want: 431, send: get(slices.Repeat([]string{"X-A: " + strings.Repeat("a", 40)}, 1000)...)},
		{name: "A24 head of 1 MiB", want: 431, send: get("X-A: " + strings.Repeat("a", 1<<20))},
		{name: "A24 request line without an end", want: 431, send: "GET /" + strings.Repeat("a", 60<<10)},
		{name: "A24 field name without an end", want: 431, send: "GET / HTTP/1.1\r\n" + strings.Repeat("a", 60<<10)},
		{name: "A24 101 fields", want: 431, send: get(slices.Repeat([]string{"A: b"}, 100)...)},
		{name: "A24 target over 8 KiB", want: 414, send: request("GET /"+strings.Repeat("a", 8<<10)+" HTTP/1.1", "Host: a.test")},
		{name: "A24 query over 8 KiB", want: 414, send: request("GET /?"+strings.Repeat("a", 8<<10)+" HTTP/1.1", "Host: a.test")},
	}
}

// cleanFraming are bodies that must pass, restated where they were stated in an unusual way.
func cleanFraming() []pass {
	return []pass{
		{name: "A03 length with zeros before it", send: post("hello", "Content-Length: 005"), body: "hello", has: []string{"Content-Length: 5"}},
		{name: "A03 length among white space", send: post("hello", "Content-Length:\t 5 \t"), body: "hello", check: exactly("Content-Length: 5\r\n")},
		{name: "A03 length zero", send: post("", "Content-Length: 0"), has: []string{"Content-Length: 0"}},
		{name: "A03 length zero in many digits", send: post("", "Content-Length: 000"), has: []string{"Content-Length: 0"}},
		{name: "A04 coding in capitals", send: post("5\r\nhello\r\n0\r\n\r\n", "TRANSFER-ENCODING: CHUNKED"), body: "hello", check: exactly("Transfer-Encoding: chunked\r\n")},
		{name: "A04 coding among white space", send: post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding:\t chunked\t "), body: "hello", check: exactly("Transfer-Encoding: chunked\r\n")},
		{name: "A10 bytes beyond ASCII and tabs in a value", send: get("X-A: \x80\xff\tb"), has: []string{"X-A: \x80\xff\tb"}},
		{name: "A11 size in hexadecimal of any case", send: post("0000A\r\nhellohello\r\n00b\r\nhelloworld!\r\n0000\r\n\r\n", "Transfer-Encoding: chunked"), body: "hellohellohelloworld!"},
		{name: "A12 extensions are dropped", send: post("5;a=b;c=\"d\\\"e;\";f\r\nhello\r\n0;last\r\n\r\n", "Transfer-Encoding: chunked"), body: "hello", check: noExtensions},
		{name: "A13 many chunks", send: post(strings.Repeat("1\r\nx\r\n", 50)+"0\r\n\r\n", "Transfer-Encoding: chunked"), body: strings.Repeat("x", 50), check: noExtensions},
	}
}

// exactly checks that the head has a line byte for byte, and its name nowhere else.
func exactly(line string) func(*testing.T, *testkit.Request) {
	return func(t *testing.T, r *testkit.Request) {
		name, _, _ := strings.Cut(line, ":")
		if !strings.Contains(string(r.Head), "\r\n"+line) || len(r.Values(name)) != 1 {
			t.Errorf("no line %q alone in %q", line, r.Head)
		}
	}
}

func noExtensions(t *testing.T, r *testkit.Request) {
	if len(r.ChunkExtensions) > 0 {
		t.Errorf("chunk extensions %q were forwarded", r.ChunkExtensions)
	}
}

// cleanTrailers are the ones of row 14 that pass, or are dropped without a word.
func cleanTrailers() []pass {
	const forbidden = "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nHost: b.test\r\nAuthorization: Basic x\r\nCookie: a=b\r\nContent-Type: text/html\r\n" +
		"X-Forwarded-For: 10.1.1.1\r\nConnection: X-Ok\r\nIf-Match: x\r\n"
	const names = "X-Ok, Content-Length, Transfer-Encoding, Host, Authorization, Cookie, Content-Type, X-Forwarded-For, Connection, If-Match"
	return []pass{
		{name: "A14 trailers of framing, routing and trust", send: post("5\r\nhello\r\n0\r\n"+forbidden+"X-Ok: yes\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: "+names),
			body: "hello", has: []string{"Host: a.test", "X-Forwarded-For: 127.0.0.1"}, lacks: []string{"Content-Length", "Authorization", "Cookie", "Content-Type", "If-Match", "X-Ok-Head"},
			check: onlyTrailer("X-Ok", "yes")},
		{name: "A14 trailer that was not announced", send: post("5\r\nhello\r\n0\r\nX-Late: yes\r\n\r\n", "Transfer-Encoding: chunked"), body: "hello", lacks: []string{"X-Late"}},
		{name: "A14 sixteen trailers", send: post("5\r\nhello\r\n0\r\n"+strings.Repeat("X-Late: yes\r\n", 16)+"\r\n", "Transfer-Encoding: chunked"), body: "hello", lacks: []string{"X-Late"}},
	}
}

// onlyTrailer checks that the request has this trailer and no other, and not among its fields.
func onlyTrailer(name, value string) func(*testing.T, *testkit.Request) {
	return func(t *testing.T, r *testkit.Request) {
		if len(r.Trailers) != 1 || r.Trailers[0] != (testkit.Field{Name: name, Value: value}) || len(r.Values(name)) > 0 {
			t.Errorf("trailers are %q and fields %q", r.Trailers, r.Fields)
		}
	}
}

// bodiesAnywhere is row 15: a body is framed whatever the method.
func bodiesAnywhere() (list []pass) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PROPFIND"} {
		line := method + " /hostile HTTP/1.1"
		list = append(list,
			pass{name: "A15 " + method + " with a length", send: request(line, "Host: a.test", "Content-Length: 47") + smuggled, body: smuggled, has: []string{"Content-Length: 47"}},
			pass{name: "A15 " + method + " in chunks", send: request(line, "Host: a.test", "Transfer-Encoding: chunked") + "2f\r\n" + smuggled + "\r\n0\r\n\r\n", body: smuggled})
	}
	return append(list, pass{name: "A15 POST without a length", send: post("")})
}

// cleanStarts are request lines and expectations that pass.
func cleanStarts() []pass {
	const line = "GET /hostile HTTP/1.1"
	long := "/" + strings.Repeat("a", 8<<10-1)
	return []pass{
		{name: "A08 one empty line before the request line", send: "\r\n" + get()},
		{name: "A17 expectation without a body", send: get("Expect: 100-continue"), lacks: []string{"Expect"}},
		{name: "A17 expectation in capitals", send: post("hello", "Content-Length: 5", "Expect: 100-CONTINUE"), body: "hello", check: atMostOneExpect},
		{name: "A17 expectation of HTTP/1.0", send: request("POST /hostile HTTP/1.0", "Host: a.test", "Content-Length: 5", "Expect: 100-continue") + "hello", body: "hello", lacks: []string{"Expect"}},
		{name: "A19 HTTP/1.0", send: request("GET /hostile HTTP/1.0", "Host: a.test")},
		{name: "A19 HTTP/1.0 without Host", send: request("GET /hostile HTTP/1.0", "X: y"), check: hasHost},
		{name: "A20 method of 32 bytes", send: request(strings.Repeat("M", 32)+" /hostile HTTP/1.1", "Host: a.test")},
		{name: "A20 method with every sign", send: request("M-SEARCH!#$%&'*+.^_`|~ /hostile HTTP/1.1", "Host: a.test")},
		{name: "A21 query with everything that may be there", send: request("GET /hostile?a=[]{}<>\"|\\^`;,'()*!$&+/:?@%00%zz HTTP/1.1", "Host: a.test"), target: "/hostile?a=[]{}<>\"|\\^`;,'()*!$&+/:?@%00%zz"},
		{name: "A21 asterisk of OPTIONS", send: request("OPTIONS * HTTP/1.1", "Host: a.test"), target: "*"},
		{name: "A22 authority wins over Host", send: request("GET http://a.test/hostile HTTP/1.1", "Host: evil.test"), has: []string{"Host: a.test", "X-Forwarded-Host: a.test"}},
		{name: "A22 authority with a port wins", send: request("GET http://b.test:8080/hostile HTTP/1.1", "Host: evil.test"), has: []string{"Host: b.test:8080"}},
		{name: "A22 authority and a query", send: request("GET http://b.test?q HTTP/1.1", "Host: b.test"), target: "/?q"},
		{name: "A22 authority in HTTP/1.0", send: request("GET HTTP://b.test/hostile HTTP/1.0", "X: y"), has: []string{"Host: b.test"}},
		{name: "A24 target of 8 KiB", send: request("GET "+long+" HTTP/1.1", "Host: a.test"), target: long},
		{name: "A24 a hundred fields", send: request(append([]string{line, "Host: a.test"}, slices.Repeat([]string{"A: b"}, 99)...)...)},
	}
}

func hasHost(t *testing.T, r *testkit.Request) {
	if len(r.Values("Host")) != 1 || r.Get("Host") == "" {
		t.Errorf("Host is %q", r.Values("Host"))
	}
}

func atMostOneExpect(t *testing.T, r *testkit.Request) {
	if e := r.Values("Expect"); len(e) > 1 || len(e) == 1 && e[0] != "100-continue" {
		t.Errorf("Expect is %q", e)
	}
}

// cleanHosts are the ones of row 23 that pass.
func cleanHosts() (list []pass) {
	for _, host := range []string{"a.test", "A.Test", "a.test.", "a.test:8080", "a.test:", "10.1.2.3", "10.1.2.3:80", "[::1]", "[::1]:8080", "[2001:DB8::1]", "a_b.test", "xn--bcher-kva.test", "localhost", strings.Repeat("a", 60) + ".test"} {
		decided := strings.ToLower(strings.TrimRight(host, ".:")) // what was decided on is what the backend gets
		list = append(list, pass{name: "A23 host " + quote(host), send: request("GET /hostile HTTP/1.1", "Host: "+host), has: []string{"Host: " + decided, "X-Original-Host: " + host}})
	}
	return append(list, pass{name: "A23 host among white space", send: request("GET /hostile HTTP/1.1", "Host:\t a.test \t"), check: exactly("Host: a.test\r\n")})
}

// cleanSizes fill a limit and no more.
func cleanSizes() []pass {
	head := get("X-A: ")
	return []pass{{name: "A24 head of 32 KiB", send: get("X-A: " + strings.Repeat("a", 32<<10-len(head)))}}
}
