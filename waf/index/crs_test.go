package index

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"gatehouse/waf/seclang"
	"gatehouse/waf/variables"
)

// base is the least that the Core Rule Set wants to be told.
const base = `
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecDefaultAction "phase:3,log,auditlog,pass"
SecDefaultAction "phase:4,log,auditlog,pass"
SecAction "id:900990,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4250,setvar:tx.enforce_bodyproc_urlencoded=1,setvar:tx.blocking_paranoia_level=%d,setvar:tx.max_num_args=255"
`

// crs is the Core Rule Set at a paranoia level.
func crs(t testing.TB, paranoia int) []seclang.Item {
	files := []seclang.File{{Name: "base", Text: fmt.Sprintf(base, paranoia)}}
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.conf")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, n := range names {
		text, err := fs.ReadFile(coreruleset.FS, n)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, seclang.File{Name: path.Base(n), Text: string(text)})
	}
	directives, err := seclang.Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	items, err := seclang.Apply(directives)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func crsFile(name string) ([]byte, error) { return fs.ReadFile(coreruleset.FS, "@owasp_crs/"+name) }

func crsIndex(t testing.TB, paranoia int) *Index {
	ix, err := Compile(crs(t, paranoia), Options{File: crsFile})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// browser is an ordinary request.
func browser() *variables.Request {
	r := &variables.Request{Method: "GET", Target: "/shop/search?q=garden+chairs&page=2", Protocol: "HTTP/1.1",
		URI: "/shop/search?q=garden+chairs&page=2", Path: "/shop/search", Basename: "search", Query: "q=garden+chairs&page=2", Host: "shop.example",
		Headers: []variables.Pair{
			{Name: "Host", Value: "shop.example"},
			{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
			{Name: "Accept", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
			{Name: "Accept-Language", Value: "en-US,en;q=0.5"}, {Name: "Accept-Encoding", Value: "gzip, deflate, br, zstd"},
			{Name: "Referer", Value: "https://shop.example/shop/"}, {Name: "Connection", Value: "keep-alive"},
			{Name: "Cookie", Value: "session=0b7c1a2f9d; cart=3f29ac; theme=dark"},
			{Name: "Upgrade-Insecure-Requests", Value: "1"}, {Name: "Sec-Fetch-Dest", Value: "document"},
			{Name: "Sec-Fetch-Mode", Value: "navigate"}, {Name: "Sec-Fetch-Site", Value: "same-origin"},
		}}
	r.Line = r.Method + " " + r.Target + " " + r.Protocol
	r.Cookies = []variables.Pair{{Name: "session", Value: "0b7c1a2f9d"}, {Name: "cart", Value: "3f29ac"}, {Name: "theme", Value: "dark"}}
	r.ArgsGet = []variables.Pair{{Name: "q", Value: "garden chairs"}, {Name: "page", Value: "2"}}
	return r
}

func TestAnOrdinaryRequestIsClean(t *testing.T) {
	for level := 1; level <= 2; level++ {
		var e Evaluation
		ix := crsIndex(t, level)
		e.Run(ix, browser(), nil)
		for id := range e.Candidates {
			t.Errorf("level %d: rule %d", level, id)
		}
		t.Log(level, len(ix.rules), len(ix.counting), len(ix.byLiteral), len(ix.words.hits), ix.words.width, len(ix.steps.list), ix.dirty)
	}
}

func TestAttacksAreCandidates(t *testing.T) {
	ix := crsIndex(t, 1)
	for _, tc := range []struct {
		arg  string
		want int
	}{
		{"<script>alert(1)</script>", 941110}, {"1' or '1'='1", 942100}, {"../../etc/passwd", 930120}, {"${jndi:ldap://x/a}", 944150},
	} {
		r := browser()
		r.ArgsGet = append(r.ArgsGet, variables.Pair{Name: "x", Value: tc.arg})
		var e Evaluation
		e.Run(ix, r, nil)
		var got []string
		found := false
		for id := range e.Candidates {
			got = append(got, fmt.Sprint(id))
			found = found || id == tc.want
		}
		if !found {
			t.Errorf("%s: rule %d is not among %s", tc.arg, tc.want, strings.Join(got, " "))
		}
	}
}

func BenchmarkOrdinaryRequest(b *testing.B) {
	ix := crsIndex(b, 1)
	r := browser()
	var e Evaluation
	b.ReportAllocs()
	for b.Loop() {
		e.Run(ix, r, nil)
	}
}

// fresh is the same request with a search, a cookie and a referer that were
// not seen before.
func fresh(r *variables.Request, n int) {
	words := [...]string{"garden", "chairs", "teak", "cushion", "table", "lamp", "oak", "wicker"}
	q := words[n%8] + " " + words[n/8%8] + " " + strconv.Itoa(n)
	r.ArgsGet[0].Value = q
	r.Query = "q=" + strings.ReplaceAll(q, " ", "+") + "&page=2"
	r.Target = "/shop/search?" + r.Query
	r.URI, r.Line = r.Target, r.Method+" "+r.Target+" "+r.Protocol
	r.Cookies[0].Value = strconv.Itoa(n*7919) + "c1a2f9d"
	r.Headers[5].Value = "https://shop.example/shop/?" + r.Query
	r.Headers[7].Value = "session=" + r.Cookies[0].Value + "; cart=3f29ac; theme=dark"
}

func BenchmarkFreshRequest(b *testing.B) {
	ix := crsIndex(b, 1)
	r := browser()
	var e Evaluation
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		fresh(r, n)
		e.Run(ix, r, nil)
	}
}
