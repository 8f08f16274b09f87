package l7

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// web runs a gateway that makes gRPC of gRPC-Web.
func web(t testing.TB, h testkit.H2Handler) *gateway {
	g, _ := two(t, h, func(s *setup) { s.settings = func(b *config.BackendSettings) { b.GRPCWeb = true } })
	return g
}

// callWeb makes a call of gRPC-Web and reads what comes.
func callWeb(t *testing.T, g *gateway, kind string, body io.Reader) (*http.Response, string) {
	t.Helper()
	q, _ := http.NewRequest("POST", "http://"+g.addr+"/some.Service/Method", body)
	q.Host = "shop.test"
	q.Header.Set("Content-Type", kind)
	q.Header.Set("Accept-Encoding", "gzip")
	tr := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	r, err := (&http.Client{Transport: tr, Timeout: soon}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(all)
}

// unpadded is what one or more texts of base64, one behind the other, stand for.
func unpadded(t testing.TB, text string) string {
	t.Helper()
	var all []byte
	for ; text != ""; text = text[4:] {
		p, err := base64.StdEncoding.DecodeString(text[:4])
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, p...)
	}
	return string(all)
}

func TestGRPCWebIsGRPCToTheBackend(t *testing.T) {
	const message = "\x00\x00\x00\x00\x05hello"
	echo := func(c *testkit.H2Conn, r *testkit.H2Request) {
		if kind, te := r.Field("content-type"), r.Field("te"); kind != "application/grpc+proto" && kind != "application/grpc" || te != "trailers" || r.Field("content-length") == "16" {
			t.Errorf("the backend got content-type %q, te %q, content-length %q", kind, te, r.Field("content-length"))
		}
		echoTwo(c, r)
	}
	g := web(t, echo)
	text := base64.StdEncoding.EncodeToString([]byte(message))
	inTwo := base64.StdEncoding.EncodeToString([]byte(message[:4])) + base64.StdEncoding.EncodeToString([]byte(message[4:]))
	for _, test := range []struct{ kind, body, want string }{
		{"application/grpc-web", message, "application/grpc-web"},
		{"application/grpc-web+proto", message, "application/grpc-web"},
		{"application/grpc-web-text", text, "application/grpc-web-text"},
		{"Application/gRPC-Web-Text+proto", inTwo, "application/grpc-web-text"},
	} {
		for name, body := range map[string]io.Reader{"with a length": strings.NewReader(test.body), "streamed": io.MultiReader(strings.NewReader(test.body))} {
			r, got := callWeb(t, g, test.kind, body)
			if strings.Contains(test.want, "text") {
				got = unpadded(t, got)
			}
			want := message + "\x80\x00\x00\x00\x1agrpc-status: 0\r\nx-echo: \r\n"
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != test.want || got != want || len(r.Trailer) > 0 {
				t.Errorf("%s %s: %d %v %q, want %q", test.kind, name, r.StatusCode, r.Header, got, want)
			}
		}
	}
}

// Bodies larger than what is held go through the second goroutine.
func TestALongBodyOfGRPCWebTextIsDecodedAsItComes(t *testing.T) {
	message := bytes.Repeat([]byte("some bytes"), 30<<10)
	text := base64.StdEncoding.EncodeToString(message)
	g := web(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		if got, err := r.Body(); err != nil || got != string(message) {
			t.Errorf("the backend got %d bytes, which are not the %d that were sent: %v", len(got), len(message), err)
		}
		c.Fields(r, false, ":status", "200", "content-type", "application/grpc")
		c.Fields(r, true, "grpc-status", "0")
	})
	for name, body := range map[string]io.Reader{"with a length": strings.NewReader(text), "streamed": io.MultiReader(strings.NewReader(text))} {
		if r, got := callWeb(t, g, "application/grpc-web-text", body); r.StatusCode != 200 || unpadded(t, got) != "\x80\x00\x00\x00\x10grpc-status: 0\r\n" {
			t.Errorf("%s: %d %q", name, r.StatusCode, got)
		}
	}
}

func TestErrorsOfGRPCWeb(t *testing.T) {
	trailersOnly := func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Fields(r, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "gone")
	}
	noStatus := func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Fields(r, false, ":status", "200", "content-type", "application/grpc")
		c.Data(r, "x", true)
	}
	page := func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Fields(r, false, ":status", "404", "content-type", "text/html")
		c.Data(r, "x", true)
	}
	silent := func(c *testkit.H2Conn, r *testkit.H2Request) { <-r.Gone } // or the client's response has begun
	long := strings.Repeat("AAAA", 100<<10)
	for _, test := range []struct {
		name, kind, body     string
		backend              testkit.H2Handler
		status               int
		grpc, want, kindBack string
	}{
		{"trailers in the head", "application/grpc-web", "x", trailersOnly, 200, "5", "", "application/grpc-web"},
		{"no status", "application/grpc-web", "x", noStatus, 200, "", "x" + string(appendTrailerFrame(nil, nil)), "application/grpc-web"},
		{"a page", "application/grpc-web", "x", page, 404, "", "x", "text/html"},
		{"no base64", "application/grpc-web-text", "AA*A", silent, 200, "13", "", "application/grpc-web-text+proto"},
		{"half of it", "application/grpc-web-text", "AAA", silent, 200, "13", "", "application/grpc-web-text+proto"},
		{"at the end of much", "application/grpc-web-text", long + "A", silent, 200, "13", "", "application/grpc-web-text+proto"},
		{"a reset", "application/grpc-web", "x", func(c *testkit.H2Conn, r *testkit.H2Request) { c.Reset(r, 0xb) }, 200, "8", "", "application/grpc-web+proto"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, got := callWeb(t, web(t, test.backend), test.kind, io.MultiReader(strings.NewReader(test.body)))
			if r.StatusCode != test.status || r.Header.Get("Grpc-Status") != test.grpc || got != test.want || r.Header.Get("Content-Type") != test.kindBack {
				t.Errorf("%d %v %q", r.StatusCode, r.Header, got)
			}
		})
	}
}

// Each message must arrive when it was sent, in whatever it is written.
func TestMessagesOfGRPCWebAreSentAtOnce(t *testing.T) {
	for _, kind := range []string{"application/grpc-web", "application/grpc-web-text"} {
		next := make(chan bool)
		g := web(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200", "content-type", "application/grpc")
			for range next {
				c.Data(r, "abcd", false)
			}
			c.Fields(r, true, "grpc-status", "0")
		})
		q, _ := http.NewRequest("POST", "http://"+g.addr+"/", strings.NewReader(""))
		q.Host = "shop.test"
		q.Header.Set("Content-Type", kind)
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		want := "abcd"
		if kind != "application/grpc-web" {
			want = base64.StdEncoding.EncodeToString([]byte(want))
		}
		for range 3 {
			next <- true
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != want {
				t.Errorf("%s: %q %v", kind, got, err)
			}
		}
		close(next)
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
}

// However a text is cut, it stands for the same bytes as to encoding/base64, and
// is refused when that refuses it.
func FuzzBase64Decoder(f *testing.F) {
	for _, text := range []string{"", "AAAA", "QUI=", "QQ==", "QQ==QUI=QUJD", "QR==", "QQ=", "=", "QQ=A", "A\nAAA"} {
		f.Add(text, uint64(0x5a5a))
	}
	f.Fuzz(func(t *testing.T, text string, cuts uint64) {
		want, valid := wholeBase64(text)
		var d base64Decoder
		var got []byte
		ok, left := true, []byte(text)
		for i := 0; ok && len(left) > 0; i++ {
			n := min(1+int(cuts>>(i%60)&0xf), len(left))
			piece := bytes.Clone(left[:n])
			left = left[n:]
			if piece, ok = d.decode(piece); ok {
				got = append(got, piece...)
			}
		}
		if ok = ok && d.whole(); ok != valid || ok && !bytes.Equal(got, want) {
			t.Errorf("%q: %q %t, want %q %t", text, got, ok, want, valid)
		}
	})
}

// wholeBase64 decodes texts, each with its padding, four characters at a time.
func wholeBase64(text string) (all []byte, ok bool) {
	for ; len(text) >= 4; text = text[4:] {
		p, err := base64.StdEncoding.Strict().DecodeString(text[:4])
		if err != nil || strings.ContainsAny(text[:4], "\r\n") {
			return nil, false
		}
		all = append(all, p...)
	}
	return all, text == ""
}
