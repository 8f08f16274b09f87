package custom

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

func (t Transform) text(s string) string {
	out, changed := t.apply(nil, s)
	if !changed {
		return s
	}
	return string(out)
}

func TestTransforms(t *testing.T) {
	tests := []struct {
		name string
		t    Transform
		give string
		want string
	}{
		{"lowercase", Lowercase, "aB[Z@É\xff", "ab[z@É\xff"},
		{"uppercase", Uppercase, "aB{z`é\xff", "AB{Z`é\xff"},
		{"trim", Trim, " \t\r\nx y\v\f ", "x y"},
		{"trim all", Trim, "   ", ""},
		{"url", URLDecode, "a%41%2fb+c", "aA/b c"},
		{"url, once", URLDecode, "%2541", "%41"},
		{"url, broken codes stay", URLDecode, "%%4%zz%u12%", "%%4%zz%u12%"},
		{"url, unicode", URLDecode, "%u0041%uFF1cz%u00e9%u20ac%ud800", "A<z\xe9€\uFFFD"},
		{"url, nothing", URLDecode, "abc", "abc"},
		{"url encode", URLEncode, "aZ9-._~ /é", "aZ9-._~%20%2F%C3%A9"},
		{"nulls", RemoveNulls, "\x00a\x00\x00b\x00", "ab"},
		{"entities", HTMLEntityDecode, "&lt;&#60;&#x3C;&LT&amp;amp;&nosuch;", "<<<<&amp;&nosuch;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.t.text(tt.give); got != tt.want {
				t.Errorf("%s of %q = %q, want %q", tt.t, tt.give, got, tt.want)
			}
		})
	}
}

func TestTransformsDoNotOverwriteTheirOwnInput(t *testing.T) {
	var e Evaluation
	list := []Transform{Lowercase, RemoveNulls, URLDecode, Trim, URLEncode, Uppercase, HTMLEntityDecode, URLDecode}
	s := " A%2541\x00b%26amp; "
	want := s
	for _, tr := range list {
		want = tr.text(want)
	}
	for range 3 {
		if got := e.transform(list, s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzTransforms(f *testing.F) {
	for _, s := range []string{"", "%", "%u", "%uFF1c%u00", "&#0;&#x110000;&notin;", "\x00A\xff+", " %20 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for tr := Lowercase; tr <= HTMLEntityDecode; tr++ {
			out, changed := tr.apply([]byte("kept"), s)
			if !bytes.HasPrefix(out, []byte("kept")) || !changed && len(out) != 4 {
				t.Fatalf("%s of %q does not append: %q", tr, s, out)
			}
			if len(out) > 4+3*len(s) {
				t.Errorf("%s of %d bytes has %d", tr, len(s), len(out)-4)
			}
		}
		for _, tr := range []Transform{Lowercase, Uppercase, Trim, RemoveNulls} {
			if once := tr.text(s); tr.text(once) != once {
				t.Errorf("%s twice is not %s once", tr, tr)
			}
		}
		if got := URLDecode.text(URLEncode.text(s)); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
		if got := Lowercase.text(s); len(got) != len(s) || strings.ContainsAny(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") || !strings.EqualFold(got, s) {
			t.Errorf("%q in lower case is %q", s, got)
		}
	})
}

func FuzzDecimalsCompareAsNumbers(f *testing.F) {
	for _, s := range [][2]string{{"1", "2"}, {"-0", "+0.0"}, {"007.50", "7.5"}, {"-3", "-20"}, {".5", "0.05"}, {"1e3", "x"}, {"9007199254740993", "9007199254740992"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d, ok := parseDecimal(a)
		e, ok2 := parseDecimal(b)
		if !ok || !ok2 || len(a)+len(b) > 1000 {
			return
		}
		x, okx := new(big.Rat).SetString(strings.TrimSuffix(a, "."))
		y, oky := new(big.Rat).SetString(strings.TrimSuffix(b, "."))
		if !okx || !oky {
			t.Fatalf("%q or %q is no number elsewhere", a, b)
		}
		if got, want := sign(d.compare(e)), x.Cmp(y); got != want {
			t.Errorf("%s compared with %s: %d, want %d", a, b, got, want)
		}
	})
}

func sign(n int) int { return min(1, max(-1, n)) }

func FuzzOriginIsTheEndOfTheTarget(f *testing.F) {
	for _, s := range []string{"/", "http://a/b", "http://a", "*", "a:1", "://?", "x://y?z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := (&variables.Request{URI: s}).Origin()
		if !strings.HasSuffix(s, got) && got != "/" {
			t.Errorf("origin of %q is %q", s, got)
		}
		if again := (&variables.Request{URI: got}).Origin(); again != got && got[0] == '/' {
			t.Errorf("origin of %q has an origin", s)
		}
	})
}
