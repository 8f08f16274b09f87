package http1

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/httpmsg"
)

// takeHead cuts the first head off in; nil if there is none.
func takeHead(in []byte) []byte {
	end, _, err := HeadEnd(in, 0)
	if err != nil {
		return nil
	}
	return in[:end:end]
}

// values are the live fields by canonical name, as net/http keeps them, save
// those that it keeps elsewhere.
func values(f *httpmsg.Fields) http.Header {
	h := http.Header{}
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		if ok && id != httpmsg.Host && id != httpmsg.TransferEncoding && id != httpmsg.Trailer {
			h.Add(string(name), string(value))
		}
	}
	return h
}

func sameValues(t *testing.T, f *httpmsg.Fields, theirs http.Header) {
	t.Helper()
	ours, theirs := values(f), theirs.Clone()
	if _, ok := ours["Cache-Control"]; !ok {
		delete(theirs, "Cache-Control") // net/http adds it to Pragma: no-cache
	}
	delete(theirs, "Trailer")
	if !maps.EqualFunc(ours, theirs, slices.Equal) {
		t.Fatalf("fields: got %q, net/http has %q", ours, theirs)
	}
}

// body is a body for a message, framed, and what it holds.
func body(kind httpmsg.BodyKind, length int64) (framed, data []byte) {
	switch kind {
	case httpmsg.BodyLength:
		data = bytes.Repeat([]byte("x"), int(length))
		return data, data
	case httpmsg.BodyChunked:
		return []byte("3\r\nabc\r\n0\r\n\r\n"), []byte("abc")
	}
	return nil, nil
}

func FuzzRequest(f *testing.F) {
	for _, tt := range hostileRequests {
		f.Add([]byte(tt.head))
	}
	for _, text := range []string{
		browserHead, curlHead,
		head("POST /a HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Trailer: X") + "1\r\na\r\n0\r\n\r\n",
		head("POST /%41/../b?c HTTP/1.0", "Content-Length: 003", "Connection: keep-alive"),
		head("OPTIONS * HTTP/1.1", "Host: [::1]:80", "Max-Forwards: 0"),
		head("OPTIONS http://b HTTP/1.1", "Host: [::1]:80"),
		head("GET http://b:1?x HTTP/1.1", "Host: a", "Connection: host, cookie, x-a, close", "Cookie: a=b", "X-A: b"),
		head("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c, websocket", "HTTP2-Settings: x", "TE: trailers"),
		head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Trailer: X, Content-Length,,Y", "Trailer: Host"),
		head("GET //a//b HTTP/1.1", "Host:a", "A:\tb ", "A: ", "a:c", "Pragma: no-cache"),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h := takeHead(in)
		if h == nil {
			return
		}
		r := new(httpmsg.Request)
		if err := ParseRequest(h, r, &testLimits); err != nil {
			if e, ok := err.(*Error); !ok || e.Status < 400 || e.Status > 505 {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h))); err == nil {
			sameRequest(t, r, theirs)
		}
		forwardsOneRequest(t, r)
	})
}

func sameRequest(t *testing.T, r *httpmsg.Request, theirs *http.Request) {
	ours := describe(r)
	if ours.method != theirs.Method || string(r.Bytes(r.Target)) != theirs.RequestURI {
		t.Fatalf("request line: got %+v, net/http has %s %s", ours, theirs.Method, theirs.RequestURI)
	}
	if ours.authority != theirs.Host || int(ours.minor) != theirs.ProtoMinor || ours.close != theirs.Close {
		t.Fatalf("got %+v, net/http has %q minor %d close %v", ours, theirs.Host, theirs.ProtoMinor, theirs.Close)
	}
	if ours.form != httpmsg.AsteriskForm {
		path, err := url.PathUnescape(ours.path)
		if err != nil || theirs.URL.Path != path && theirs.URL.Path != "" || theirs.URL.RawQuery != strings.TrimPrefix(ours.query, "?") {
			t.Fatalf("target: got %q %q, net/http has %q %q", ours.path, ours.query, theirs.URL.Path, theirs.URL.RawQuery)
		}
	}
	chunked := len(theirs.TransferEncoding) > 0
	if chunked != (ours.body == httpmsg.BodyChunked) || !chunked && ours.length != theirs.ContentLength {
		t.Fatalf("framing: got %+v, net/http has %v %d", ours, theirs.TransferEncoding, theirs.ContentLength)
	}
	got := new(httpmsg.Fields)
	for i := range r.Len() { // a Content-Length may have been restated
		id, name, value, _ := r.At(i)
		if id == httpmsg.ContentLength {
			value = []byte(theirs.Header.Get("Content-Length"))
		}
		got.AddString(string(name), string(value))
	}
	sameValues(t, got, theirs.Header)
}

// forwardsOneRequest checks that what a gateway makes of r is one request to
// net/http, the same one, and nothing more.
func forwardsOneRequest(t *testing.T, r *httpmsg.Request) {
	if r.Body == httpmsg.BodyLength && r.ContentLength > 1000 {
		return
	}
	if r.Form != httpmsg.AsteriskForm {
		path, same, err := httpmsg.CanonicalPath(nil, r.Bytes(r.RawPath), httpmsg.PathOptions{KeepEncodedSlash: true, KeepDuplicateSlashes: true})
		if err != nil {
			return
		}
		if r.Path = r.RawPath; !same {
			r.Path = r.Keep(path)
		}
	}
	StripHopByHop(&r.Fields, false)
	httpmsg.DropUnsafeNames(&r.Fields)
	httpmsg.DropInternal(&r.Fields)
	out := r.AppendLines(AppendRequestLine(nil, r))
	if r.Body == httpmsg.BodyChunked {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	out = append(out, "\r\n"...)
	framed, data := body(r.Body, r.ContentLength)
	in := bufio.NewReader(bytes.NewReader(append(out, framed...)))
	theirs, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", out, err)
	}
	got, err := io.ReadAll(theirs.Body)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%q: net/http reads body %q, %v", out, got, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Fatalf("%q: net/http leaves %q", out, rest)
	}
	if theirs.Method != string(r.Bytes(r.MethodText)) || theirs.Host != string(r.Bytes(r.Authority)) || theirs.ProtoMinor != 1 {
		t.Fatalf("%q: net/http reads %+v", out, theirs)
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Upgrade", "Http2-Settings", "Expect", "Proxy", "Proxy-Connection"} {
		if theirs.Header[name] != nil {
			t.Fatalf("forwards %s: %q", name, out)
		}
	}
	sameValues(t, &r.Fields, theirs.Header)
}

func FuzzResponse(f *testing.F) {
	for _, tt := range hostileResponses {
		f.Add([]byte(tt.head), false)
		f.Add([]byte(tt.head), true)
	}
	for _, text := range []string{
		responseHead,
		head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: a"),
		head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: Transfer-Encoding", "Trailer: @, b"),
		head("HTTP/1.0 200 OK", "Content-Length: 007", "Connection: keep-alive"),
		head("HTTP/1.1 204 No Content", "Content-Length: 1"),
		head("HTTP/1.1 304 Not Modified", "Content-Length: 10"),
		head("HTTP/1.1 101", "Upgrade: x", "Connection: upgrade"),
		head("HTTP/1.1 404 ", "Connection: close, set-cookie, x", "X: y", "Set-Cookie: a"),
	} {
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, isHead bool) {
		h := takeHead(in)
		if h == nil {
			return
		}
		method := httpmsg.GET
		if isHead {
			method = httpmsg.HEAD
		}
		r := new(httpmsg.Response)
		if err := ParseResponse(h, r, method, &testLimits); err != nil {
			if e, ok := err.(*Error); !ok || e.Status != 502 {
				t.Fatalf("error %#v", err)
			}
			return
		}
		request := &http.Request{Method: method.String()}
		if theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(h)), request); err == nil {
			sameResponse(t, r, theirs)
		}
		forwardsOneResponse(t, r, request)
	})
}

func sameResponse(t *testing.T, r *httpmsg.Response, theirs *http.Response) {
	if r.Status != theirs.StatusCode || int(r.Minor) != theirs.ProtoMinor || theirs.Close && !r.Close && r.Body != httpmsg.BodyNone {
		t.Fatalf("got %d minor %d close %v, net/http has %+v", r.Status, r.Minor, r.Close, theirs)
	}
	switch r.Body {
	case httpmsg.BodyLength:
		if theirs.ContentLength != r.ContentLength {
			t.Fatalf("length %d, net/http has %d", r.ContentLength, theirs.ContentLength)
		}
	case httpmsg.BodyChunked:
		if len(theirs.TransferEncoding) == 0 {
			t.Fatal("chunked, but not to net/http")
		}
	case httpmsg.BodyToClose:
		if theirs.ContentLength != -1 || !theirs.Close || len(theirs.TransferEncoding) > 0 {
			t.Fatalf("until close, but net/http has %+v", theirs)
		}
	case httpmsg.BodyNone:
		if theirs.Body != http.NoBody {
			t.Fatalf("no body, but net/http has one: %+v", theirs)
		}
	}
}

// forwardsOneResponse checks that what a gateway makes of r is one response to
// net/http, and nothing more.
func forwardsOneResponse(t *testing.T, r *httpmsg.Response, request *http.Request) {
	if r.Body == httpmsg.BodyLength && r.ContentLength > 1000 {
		return
	}
	StripHopByHop(&r.Fields, false)
	out := r.AppendLines(AppendStatusLine(nil, r.Status, r.Bytes(r.Reason)))
	kind := r.Body
	if kind == httpmsg.BodyChunked || kind == httpmsg.BodyToClose {
		kind = httpmsg.BodyChunked
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	out = append(out, "\r\n"...)
	framed, data := body(kind, r.ContentLength)
	in := bufio.NewReader(bytes.NewReader(append(out, framed...)))
	theirs, err := http.ReadResponse(in, request)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", out, err)
	}
	got, err := io.ReadAll(theirs.Body)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%q: net/http reads body %q, %v", out, got, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Fatalf("%q: net/http leaves %q", out, rest)
	}
	if theirs.StatusCode != r.Status || theirs.Header["Connection"] != nil || theirs.Close {
		t.Fatalf("%q: net/http reads %+v", out, theirs)
	}
}

func FuzzChunkReader(f *testing.F) {
	for i, tt := range hostileChunks {
		f.Add([]byte(tt.in), uint64(i))
	}
	for _, in := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "1;a=\"b;\\\"\";c = d\r\nx\r\n00\r\nA: b\r\nB:c\r\n\r\nGET", "a\r\n0123456789\r\n3\r\nabc\r\n0;x\r\n\r\n", "0\r\nA\rB",
	} {
		f.Add([]byte(in), uint64(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		data, rest, done, err := unchunk(t, new(ChunkReader), in, len(in)+1)
		c := new(ChunkReader)
		random := rand.New(rand.NewPCG(seed, 0))
		var pieces []byte
		left := in
		var again error
		ended := false
		for len(left) > 0 && again == nil && !ended {
			var p []byte
			var n int
			p, n, ended, again = c.Next(left[:1+random.IntN(min(len(left), 1+int(seed%50)))])
			pieces = append(pieces, p...)
			left = left[n:]
		}
		if !bytes.Equal(data, pieces) || done != ended || (err != nil) != (again != nil) || err == nil && rest != len(left) {
			t.Fatalf("at once %q, %d left, %v, %v; in pieces %q, %d left, %v, %v", data, rest, done, err, pieces, len(left), ended, again)
		}
		if !done {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if err != nil || !bytes.Equal(theirs, data) {
			t.Fatalf("got %q, net/http has %q, %v", data, theirs, err)
		}
		trailersAreSafe(t, c)
	})
}

// trailersAreSafe checks what is forwarded of a trailer section if everything
// was announced.
func trailersAreSafe(t *testing.T, c *ChunkReader) {
	var announced []byte
	for i := 0; i < c.lineAt; {
		l, _ := fieldLine(c.trailer, i)
		announced = append(append(announced, c.trailer[i:l.nameEnd]...), ',')
		i = l.next
	}
	var dst httpmsg.Fields
	c.Trailers(&dst, announced)
	out := append(dst.AppendLines(nil), "\r\n"...)
	theirs, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(out))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("net/textproto refuses %q: %v", out, err)
	}
	n := 0
	for _, v := range theirs {
		n += len(v)
	}
	if n != dst.Len() || n > maxTrailerFields {
		t.Fatalf("%d trailers, net/textproto has %d", dst.Len(), n)
	}
}

// FuzzHeadEnd checks that the end of a head does not depend on how it comes
// in, and that it is where an empty line is.
func FuzzHeadEnd(f *testing.F) {
	for i, tt := range hostileRequests {
		f.Add([]byte(tt.head), uint64(i))
	}
	f.Add([]byte("A\r\n\r\nB\r\n\r\n"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		want, _, wantErr := HeadEnd(in, 0)
		random := rand.New(rand.NewPCG(seed, 0))
		end, next := 0, 0
		var err error
		for have := 0; have < len(in) && end == 0 && err == nil; {
			have += 1 + random.IntN(min(len(in)-have, 1+int(seed%50)))
			end, next, err = HeadEnd(in[:have], next)
		}
		// A bare CR in a line that is complete is left to the parser, which
		// looks at every byte anyway.
		broken := bytes.Count(in[:want], []byte("\r")) > bytes.Count(in[:want], []byte("\r\n"))
		if wantErr == nil && end != want && !(broken && err != nil) {
			t.Fatalf("at once %d, in pieces %d, %v", want, end, err)
		}
		if wantErr != nil && err == nil {
			t.Fatalf("at once %v, in pieces %d", wantErr, end)
		}
		if want > 0 {
			if i := bytes.Index(in, []byte("\r\n\r\n")); i+4 != want {
				t.Fatalf("end at %d, empty line at %d", want, i+4)
			}
		}
	})
}
