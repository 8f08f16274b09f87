package httpmsg

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"testing"
)

var (
	keepSlash = PathOptions{KeepEncodedSlash: true}
	keepDup   = PathOptions{KeepDuplicateSlashes: true}
	keepBoth  = PathOptions{KeepEncodedSlash: true, KeepDuplicateSlashes: true}
)

func TestPathsHaveOneForm(t *testing.T) {
	tests := []struct {
		raw  string
		o    PathOptions
		want string
	}{
		{"/", PathOptions{}, "/"},
		{"/a/b.c/d-e_f~g", PathOptions{}, "/a/b.c/d-e_f~g"},
		{"/a;b=c/d;e", PathOptions{}, "/a;b=c/d;e"},
		{"/;jsessionid=1", PathOptions{}, "/;jsessionid=1"},
		{"/a/;jsessionid=1", PathOptions{}, "/a/;jsessionid=1"},
		{"/.well-known/x", PathOptions{}, "/.well-known/x"},
		{"/..a/...", PathOptions{}, "/..a/..."},
		{"/a/./b", PathOptions{}, "/a/b"},
		{"/a/../b", PathOptions{}, "/b"},
		{"/a/b/..", PathOptions{}, "/a/"},
		{"/a/.", PathOptions{}, "/a/"},
		{"/a/..", PathOptions{}, "/"},
		{"/.", PathOptions{}, "/"},
		{"/a/%2e%2E/b", PathOptions{}, "/b"},
		{"/a/.%2e/b", PathOptions{}, "/b"},
		{"/a/%2e/b", PathOptions{}, "/a/b"},
		{"//a///b//", PathOptions{}, "/a/b/"},
		{"//evil/x", PathOptions{}, "/evil/x"},
		{"//evil/x", keepDup, "//evil/x"},
		{"/a//../b", PathOptions{}, "/b"},
		{"/a//../b", keepDup, "/a/b"},
		{"/x/..//y", keepDup, "//y"},
		{"//..", keepDup, "/"},
		{"//.", keepDup, "//"},
		{"/%61%7E%2d%5F", PathOptions{}, "/a~-_"},
		{"/a%3ab%2c", PathOptions{}, "/a%3Ab%2C"},
		{"/a%20b%23c%3fd", PathOptions{}, "/a%20b%23c%3Fd"},
		{"/%252e%252e/%25%35%63", PathOptions{}, "/%252e%252e/%255c"},
		{"/a%2fb", keepSlash, "/a%2Fb"},
		{"/a%2F%2f/b", keepBoth, "/a%2F%2F/b"},
		{"/caf%c3%a9/%E2%82%ac%F0%9f%98%80", PathOptions{}, "/caf%C3%A9/%E2%82%AC%F0%9F%98%80"},
		{"/%ef%bf%bd", PathOptions{}, "/%EF%BF%BD"},
		{`/a"<>^|{}[]` + "`", PathOptions{}, `/a"<>^|{}[]` + "`"},
		{"/a:b@c!d$e&f'g(h)i*j+k,l=m", PathOptions{}, "/a:b@c!d$e&f'g(h)i*j+k,l=m"},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			dst := []byte("dst")
			got, same, err := CanonicalPath(dst, []byte(tt.raw), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if tt.raw != tt.want {
				want = "dst" + want
			}
			if string(got) != want || same != (tt.raw == tt.want) {
				t.Errorf("got %q, same %v; want %q", got, same, want)
			}
		})
	}
}

// hostilePaths are the paths of the hostile-input list that are refused.
var hostilePaths = []struct {
	raw string
	o   PathOptions
}{
	{"", keepBoth}, {"a", keepBoth}, {"*", keepBoth}, {"%2fa", keepBoth},
	{"/..", PathOptions{}}, {"/../a", keepBoth}, {"/a/../..", PathOptions{}}, {"/%2e%2e/a", PathOptions{}}, {"//..", PathOptions{}},
	{"/a%5cb", keepBoth}, {"/a%5Cb", keepBoth}, {`/a\b`, keepBoth},
	{"/a%2fb", PathOptions{}}, {"/a%2Fb", keepDup},
	{"/%00", keepBoth}, {"/a%0ab", keepBoth}, {"/a%0D", keepBoth}, {"/%1f", keepBoth}, {"/%7f", keepBoth},
	{"/%zz", keepBoth}, {"/%u002f", keepBoth}, {"/%", keepBoth}, {"/%4", keepBoth}, {"/%4/1", keepBoth}, {"/%%32%65", keepBoth},
	{"/%c0%af", keepBoth}, {"/%c0%ae%c0%ae/", keepBoth}, {"/%e0%80%af", keepBoth}, {"/%f8%80%80%80%af", keepBoth},
	{"/%ed%a0%80", keepBoth}, {"/%e9", keepBoth}, {"/%80", keepBoth}, {"/%c3a9", keepBoth}, {"/%c3%2e", keepBoth}, {"/%f4%90%80%80", keepBoth},
	{"/a b", keepBoth}, {"/a\x00", keepBoth}, {"/a\x7f", keepBoth}, {"/caf\xc3\xa9", keepBoth}, {"/a\t", keepBoth},
	{"/a?b", keepBoth}, {"/a#b", keepBoth},
	{"/a/..;/b", keepBoth}, {"/a/..;x=1/b", keepBoth}, {"/a/.;/b", keepBoth}, {"/a/.;x", keepBoth}, {"/a/%2e.;x/b", keepBoth},
	{"/a/..%3b/b", keepBoth}, {"/a/..%3Bx;y", keepBoth}, {"/;/a", keepBoth}, {"/;x/a", keepBoth}, {"/%3bx/a", keepBoth},
	{"/a/..%2fb", keepBoth}, {"/a%2f..", keepBoth}, {"/a%2f../b", keepBoth}, {"/a%2f%2e%2e%2fb", keepBoth}, {"/a%2f.", keepBoth},
	{"/.%2fa", keepBoth}, {"/a%2f..;x/b", keepBoth}, {"/a%2f..;x%2fb", keepBoth},
}

func TestHostilePathsAreRefused(t *testing.T) {
	for _, tt := range hostilePaths {
		t.Run(tt.raw, func(t *testing.T) {
			got, same, err := CanonicalPath([]byte("dst"), []byte(tt.raw), tt.o)
			if err == nil || same || string(got) != "dst" {
				t.Errorf("got %q, same %v, error %v", got, same, err)
			}
		})
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, tt := range hostilePaths {
		f.Add([]byte(tt.raw), uint8(3))
		f.Add([]byte(tt.raw), uint8(0))
	}
	for _, raw := range []string{"/a/./b//c/../d%61%2f", "/%252e%2525", "/a//../b", "/%E2%82%ac/..;", "//.//..//"} {
		f.Add([]byte(raw), uint8(1))
		f.Add([]byte(raw), uint8(2))
	}
	f.Fuzz(func(t *testing.T, raw []byte, options uint8) {
		o := PathOptions{KeepEncodedSlash: options&1 != 0, KeepDuplicateSlashes: options&2 != 0}
		given := bytes.Clone(raw)
		got, same, err := CanonicalPath(nil, raw, o)
		if !bytes.Equal(given, raw) {
			t.Fatal("the raw path was changed")
		}
		if err != nil {
			return
		}
		if same != bytes.Equal(got, raw) {
			t.Fatalf("same is %v for %q", same, got)
		}
		checkCanonical(t, string(got), o)
		if again, same, err := CanonicalPath(nil, got, o); err != nil || !same {
			t.Fatalf("%q becomes %q becomes %q, %v", raw, got, again, err)
		}
		compareWithURL(t, string(raw), string(got), o)
	})
}

// checkCanonical checks what every canonical path must be.
func checkCanonical(t *testing.T, p string, o PathOptions) {
	if p[0] != '/' {
		t.Fatalf("%q does not begin with a slash", p)
	}
	if !o.KeepDuplicateSlashes && strings.Contains(p, "//") {
		t.Fatalf("duplicate slashes in %q", p)
	}
	if !o.KeepEncodedSlash && strings.Contains(strings.ToLower(p), "%2f") {
		t.Fatalf("encoded slash in %q", p)
	}
	decoded, err := url.PathUnescape(p)
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	if i := strings.IndexFunc(decoded, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		t.Fatalf("%q decodes to %q", p, decoded)
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		bare, _, _ := strings.Cut(segment, ";")
		if bare == "." || bare == ".." {
			t.Fatalf("dot segment in %q", p)
		}
	}
}

// compareWithURL checks that net/url reads the raw and the canonical path as
// the same place. It knows no encoded slashes, nor duplicates that matter.
func compareWithURL(t *testing.T, raw, got string, o PathOptions) {
	if o.KeepDuplicateSlashes || strings.Contains(strings.ToLower(raw), "%2f") {
		return
	}
	before, err := url.PathUnescape(raw)
	if err != nil {
		t.Fatalf("net/url refuses %q: %v", raw, err)
	}
	after, err := url.PathUnescape(got)
	if err != nil {
		t.Fatalf("net/url refuses %q: %v", got, err)
	}
	want := path.Clean(before)
	if slash := strings.HasSuffix(after, "/"); slash && want != "/" {
		want += "/"
	}
	if after != want {
		t.Fatalf("%q becomes %q: net/url has %q", raw, got, want)
	}
}

func TestCanonicalPathAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	dst := make([]byte, 0, 256)
	for _, raw := range []string{"/products/shoes/42/details.html", "/a/%41/../b//c%c3%a9"} {
		b := []byte(raw)
		if n := testing.AllocsPerRun(100, func() { CanonicalPath(dst, b, PathOptions{}) }); n != 0 {
			t.Errorf("%q: %v allocations", raw, n)
		}
	}
}

func BenchmarkCanonicalPath(b *testing.B) {
	for _, bench := range []struct{ name, raw string }{
		{"short", "/index.html"},
		{"plain", "/products/shoes/42/details/photos.html"},
		{"encoded", "/products/caf%C3%A9/a%20b"},
		{"dots", "/products/shoes/../%7Euser//x"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			raw, dst := []byte(bench.raw), make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				CanonicalPath(dst, raw, PathOptions{})
			}
		})
	}
}
