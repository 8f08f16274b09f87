package compression

import (
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

var allCodings = []config.ContentCoding{config.CodingZstd, config.CodingBrotli, config.CodingGzip}

// asking is a request with these Accept-Encoding lines.
func asking(lines ...string) *httpmsg.Request {
	r := &httpmsg.Request{Method: httpmsg.GET}
	r.Reset(nil)
	r.Method = httpmsg.GET
	for _, l := range lines {
		r.AddString("Accept-Encoding", l)
	}
	return r
}

func TestTheClientsPreferenceDecidesThenOurs(t *testing.T) {
	for _, test := range []struct {
		name, accept, want string
		must               bool
	}{
		{name: "a browser", accept: "gzip, deflate, br, zstd", want: "zstd"},
		{name: "one", accept: "gzip", want: "gzip"},
		{name: "case and alias", accept: "X-GZip", want: "gzip"},
		{name: "empty: identity only", accept: "", want: ""},
		{name: "unknown only", accept: "deflate, compress", want: ""},
		{name: "the highest value", accept: "zstd;q=0.5, br;q=0.7, gzip;q=0.6", want: "br"},
		{name: "equal values: our order", accept: "gzip;q=0.8, br;q=0.8", want: "br"},
		{name: "refused", accept: "zstd;q=0, br;q=0.000, gzip", want: "gzip"},
		{name: "everything", accept: "*", want: "zstd"},
		{name: "everything but", accept: "*;q=0.5, zstd;q=0", want: "br"},
		{name: "the named one wins over the rest", accept: "*;q=0.5, gzip", want: "gzip"},
		{name: "identity is liked better", accept: "gzip;q=0.5, identity", want: ""},
		{name: "identity as well", accept: "gzip;q=0.5, identity;q=0.5", want: "gzip"},
		{name: "no identity", accept: "gzip;q=0.1, identity;q=0", want: "gzip", must: true},
		{name: "nothing else", accept: "br, *;q=0", want: "br", must: true},
		{name: "nothing else but identity", accept: "br, *;q=0, identity;q=0.1", want: "br"},
		{name: "nothing at all", accept: "*;q=0", want: "", must: true},
		{name: "white space", accept: " gzip\t;  Q=1.000 , ,", want: "gzip"},
		{name: "no value counts as not wanted", accept: "gzip;q=, br;q=2, zstd;q=0.1234", want: ""},
		{name: "other parameters", accept: "gzip;level=9, br", want: "br"},
		{name: "twice: the lower", accept: "gzip, gzip;q=0", want: ""},
		{name: "negative", accept: "gzip;q=-1", want: ""},
		{name: "above one", accept: "gzip;q=1.001", want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, given := accepts(&asking(test.accept).Fields)
			c, must := a.choose(allCodings)
			if !given || codings[c].token != test.want || must != test.must {
				t.Errorf("%q: %q, must %v", test.accept, codings[c].token, must)
			}
		})
	}
}

func TestLinesOfAcceptEncodingAreOneList(t *testing.T) {
	a, _ := accepts(&asking("gzip;q=0.5", "br;q=0.9").Fields)
	if c, _ := a.choose(allCodings); c != config.CodingBrotli {
		t.Errorf("got %s", codings[c].token)
	}
	if _, given := accepts(&asking().Fields); given {
		t.Error("there is no such field")
	}
}

// What is chosen does not depend on the order of the list, is named by the
// client or covered by *, and never was refused.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0,zstd", "gzip;q=1.0;q=0", ";;,,q=1", "gzip;q=0.\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n\x00") || len(line) > 4096 {
			return
		}
		a, _ := accepts(&asking(line).Fields)
		c, must := a.choose(allCodings)
		parts := strings.Split(line, ",")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		b, _ := accepts(&asking(strings.Join(parts, ",")).Fields)
		if d, also := b.choose(allCodings); c != d || must != also {
			t.Fatalf("%q: %d and %d by order", line, c, d)
		}
		if c == config.CodingNone {
			return
		}
		lower := strings.ToLower(line)
		if !strings.Contains(lower, codings[c].token) && !strings.Contains(lower, "*") {
			t.Fatalf("%q: %s was not offered", line, codings[c].token)
		}
		if a.quality[c] == 0 {
			t.Fatalf("%q: %s was refused", line, codings[c].token)
		}
	})
}
