package corpus

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const heads = `Comment.
=== browser
User-Agent: Mozilla/5.0
Accept-Language: en-GB
`

func TestRequestsAreReadByteForByte(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a head alone", "=== n\nGET / HTTP/1.1\nHost: a.test\n", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"},
		{"what stands before the first block", "Comment.\n\n=== n\nGET / HTTP/1.1\n", "GET / HTTP/1.1\r\n\r\n"},
		{"a body of two lines", "=== n\nPUT / HTTP/1.1\n\n{\n}\n\n\n", "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{\n}"},
		{"no body where one is usual", "=== n\nPOST / HTTP/1.1\n", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
		{"arguments", "=== n\nGET /?a=%41 HTTP/1.1\nHost: x\n?b=O'Brien & co~*\n?c\n",
			"GET /?a=%41&b=O%27Brien+%26+co%7E*&c HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a piece", "=== n\nGET / HTTP/1.1\n@browser\nX: 1\n",
			"GET / HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: en-GB\r\nX: 1\r\n\r\n"},
		{"a field of its own instead of a piece's", "=== n\nGET / HTTP/1.1\n@browser\naccept-language: de\n",
			"GET / HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\naccept-language: de\r\n\r\n"},
		{"a form", "=== n [form]\nPOST / HTTP/1.1\n\na=1+1\nb=x\n\ty z\n", "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\na=1%2B1&b=x%0D%0Ay+z"},
		{"lines of a multipart body", "=== n [crlf]\nPOST / HTTP/1.1\n\n--b\n\nx\n--b--\n", "POST / HTTP/1.1\r\nContent-Length: 17\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"},
		{"bytes", "=== n [escaped]\nPOST / HTTP/1.1\n\n\\x00\\xfF\\\\\\n\\r\\t\n", "POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n\x00\xff\\\n\r\t"},
		{"chunks", "=== n [chunked]\nPOST / HTTP/1.1\n\nabc\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"},
		{"a length that is wrong on purpose", "=== n\nPOST / HTTP/1.1\ncontent-length: 9\n\nabc\n", "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Load(fstest.MapFS{"c.txt": {Data: []byte(tt.text)}, headsFile: {Data: []byte(heads)}, "README.md": {}})
			if err != nil || len(got) != 1 {
				t.Fatalf("got %d requests, %v, want 1", len(got), err)
			}
			if string(got[0].Raw) != tt.want {
				t.Errorf("got  %q\nwant %q", got[0].Raw, tt.want)
			}
			if got[0].Class != "c" || got[0].Name != "n" {
				t.Errorf("class %q and name %q, want c and n", got[0].Class, got[0].Name)
			}
		})
	}
}

func TestBodiesAreCompressed(t *testing.T) {
	list, err := parse("=== n [gzip]\nPOST / HTTP/1.1\nHost: a.test\nContent-Encoding: gzip\n\n{\"a\":1}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, body := readRequest(t, list[0].Raw)
	if r.ContentLength != int64(len(body)) || !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		t.Errorf("body %q of length %d, want gzip of %d bytes", body, r.ContentLength, len(body))
	}
}

func TestMistakesAreErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown mode", "=== n [from]\nGET / HTTP/1.1\n", "from"},
		{"open modes", "=== n [form\nGET / HTTP/1.1\n", "closed"},
		{"no name", "===  [form]\nGET / HTTP/1.1\n", "no name"},
		{"no request line", "=== n\n", "no request line"},
		{"the same name twice", "=== n\nGET / HTTP/1.1\n=== n\nGET / HTTP/1.1\n", "twice"},
		{"unknown piece", "=== n\nGET / HTTP/1.1\n@firefix\n", "firefix"},
		{"unknown escape", "=== n [escaped]\nPOST / HTTP/1.1\n\n\\q\n", `\q`},
		{"escape cut off", "=== n [escaped]\nPOST / HTTP/1.1\n\n\\x0\n", `\x`},
		{"escape that is not hexadecimal", "=== n [escaped]\nPOST / HTTP/1.1\n\n\\xzz\n", `\xzz`},
		{"backslash at the end", "=== n [escaped]\nPOST / HTTP/1.1\n\n\\\n", "end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"c.txt": {Data: []byte(tt.text)}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "c.txt: line ") {
				t.Errorf("error %v, want one with %q and the place", err, tt.want)
			}
		})
	}
}

// readRequest has net/http read a whole message, with nothing left over.
func readRequest(t *testing.T, raw []byte) (*http.Request, []byte) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(raw))
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Fatalf("%q follows the request", rest)
	}
	return r, body
}

// FuzzParse checks that any file gives an error or requests whose length is
// that of their body.
func FuzzParse(f *testing.F) {
	f.Add("=== n [form escaped]\nPOST / HTTP/1.1\n@browser\n?a=b\n\na=\\x41\n\tb\n")
	f.Add("=== n [crlf escaped chunked]\nPUT / HTTP/1.1\n\n\\\\\n\n")
	f.Add("c\n=== a [gzip]\nGET / HTTP/1.1\n\n\n=== b\n: x\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parse(text, pieces{"browser": {"User-Agent: x"}})
		if err != nil {
			return
		}
		for _, r := range list {
			head, body, found := bytes.Cut(r.Raw, []byte("\r\n\r\n"))
			if !found {
				t.Fatalf("%q has no end of head", r.Raw)
			}
			if strings.Contains(text, "\r") || bytes.Contains(bytes.ToLower(head), []byte("transfer-encoding")) ||
				strings.Contains(strings.ToLower(text), "content-length") {
				continue // the file may say what it likes
			}
			_, length, _ := strings.Cut(string(head), "\r\nContent-Length: ")
			if want := strconv.Itoa(len(body)); length != want && !(length == "" && want == "0") {
				t.Errorf("%q has length %q, want %s", r.Raw, length, want)
			}
		}
	})
}
