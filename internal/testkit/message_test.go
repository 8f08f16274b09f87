package testkit

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestParseRequestReadsOneMessage(t *testing.T) {
	raw := "POST /a?b=c HTTP/1.1\r\nhost: x\r\nX-One:  1 \r\nx-one: 2\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\n"
	r, err := ParseRequest([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != "POST" || r.Target != "/a?b=c" || string(r.Body) != "abc0123456789" || !r.Complete {
		t.Errorf("got %s %s %q complete=%v", r.Method, r.Target, r.Body, r.Complete)
	}
	if got := strings.Join(r.Names(), ","); got != "host,X-One,x-one,Transfer-Encoding" {
		t.Errorf("names %s: order or case is lost", got)
	}
	if got := r.Values("X-ONE"); len(got) != 2 || got[0] != "1" || got[1] != "2" {
		t.Errorf("X-One is %q", got)
	}
	if len(r.Chunks) != 2 || r.Chunks[1] != 10 || len(r.ChunkExtensions) != 1 || len(r.Trailers) != 1 {
		t.Errorf("chunks %v, extensions %q, trailers %v", r.Chunks, r.ChunkExtensions, r.Trailers)
	}
}

func TestParseRequestRefusesWhatTwoReadersCouldSeeDifferently(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\n"
	tests := []struct{ name, raw string }{
		{"length and coding", head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"two equal lengths", head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"},
		{"list of lengths", head + "Content-Length: 1, 1\r\n\r\na"},
		{"signed length", head + "Content-Length: +1\r\n\r\na"},
		{"coding on 1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"other coding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n"},
		{"bare LF in head", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"},
		{"bare CR", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"},
		{"folded line", head + "A: b\r\n c\r\n\r\n"},
		{"blank before colon", head + "A : b\r\n\r\n"},
		{"NUL in value", head + "A: b\x00\r\n\r\n"},
		{"no host", "GET / HTTP/1.1\r\n\r\n"},
		{"two hosts", head + "Host: y\r\n\r\n"},
		{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"bytes after", head + "\r\nG"},
		{"blank in target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"other version", "GET / HTTP/1.2\r\nHost: x\r\n\r\n"},
		{"chunk size with prefix", head + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"},
		{"chunk ends elsewhere", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
		{"chunk line ends in LF", head + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"},
		{"body too short", head + "Content-Length: 3\r\n\r\nab"},
		{"no last chunk", head + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"},
		{"head cut", "GET / HTTP/1.1\r\nHost: x\r\n"},
		{"nothing", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := ParseRequest([]byte(tt.raw)); err == nil {
				t.Errorf("accepted as %s %s with body %q", r.Method, r.Target, r.Body)
			}
		})
	}
}

// The second opinion is what protects tests from an error of this parser, so it must notice one.
func TestSecondOpinionNoticesADifference(t *testing.T) {
	r, err := ParseRequest([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body = []byte("abd")
	if r.secondOpinion() == nil {
		t.Error("a different body was not noticed")
	}
	r.Body, r.raw = []byte("abc"), []byte("abcX")
	if r.secondOpinion() == nil {
		t.Error("bytes after the message were not noticed")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\na\r\n0\r\nB: c\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseRequest(raw)
		if err != nil {
			return
		}
		h, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("net/http refuses what we accept: %v", err)
		}
		if h.RequestURI != r.Target || h.Method != r.Method || len(r.Body) > len(raw) {
			t.Fatalf("we read %s %s, net/http %s %s", r.Method, r.Target, h.Method, h.RequestURI)
		}
		for _, field := range r.Fields {
			if !strings.EqualFold(field.Name, "Host") && len(h.Header.Values(field.Name)) == 0 && len(h.TransferEncoding) == 0 && h.Trailer == nil {
				t.Fatalf("net/http does not see %q", field.Name)
			}
		}
	})
}
