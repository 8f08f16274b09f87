package transform

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"gatehouse/internal/testkit"
)

func TestByNameIgnoresCase(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"lowercase", "A", "a"},
		{"LOWERCASE", "A", "a"},
		{"urlDecodeUni", "%u0041", "A"},
		{"utf8toUnicode", "é", "%u00e9"},
		{"normalisePath", "a/../b", "b"},
		{"normalizePath", "a/../b", "b"},
		{"normalisePathWin", `a\..\b`, "b"},
		{"normalizePathWin", `a\..\b`, "b"},
		{"none", "A", "A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := ByName(tt.name)
			if !ok {
				t.Fatal("not found")
			}
			if got := f(tt.text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, name := range []string{"", "lowercase ", "parityEven7bit", "sqlHexDecode"} {
		if f, ok := ByName(name); ok || f != nil {
			t.Errorf("there is a transformation %q", name)
		}
		if Active(name) != everything {
			t.Errorf("Active(%q) is not the full class", name)
		}
	}
}

// A text without any active byte stays as it is; the full class says nothing
// of the empty text.
func TestTextsWithoutActiveBytesStay(t *testing.T) {
	random := newSource(3)
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			f, _ := ByName(name)
			active := Active(name)
			if active == everything {
				return
			}
			stay := func(text string) {
				text = strings.Map(func(r rune) rune { return r }, text) // a copy of its own
				if got := f(text); got != text {
					t.Fatalf("%s(%q) = %q, though it has no active byte", name, text, got)
				}
			}
			stay("")
			for _, text := range samples {
				stay(passive(text, active))
			}
			for range 5000 {
				stay(passive(random.text(), active))
			}
			for range 2000 {
				stay(passive(random.bytes(40), active))
			}
		})
	}
}

// The class is no larger than it must be: each byte of it changes some text
// that has no other byte of it.
func TestEveryActiveByteIsAtWorkAlone(t *testing.T) {
	for _, name := range names() {
		active := Active(name)
		if active == everything {
			continue
		}
		for b := range 256 {
			if c := string([]byte{byte(b)}); active.Contains(byte(b)) && !worksAlone(methods[name].run, c, active) {
				t.Errorf("%s is not set to work by %q alone", name, c)
			}
		}
	}
}

// worksAlone tells whether a byte has an effect where no other active byte is.
func worksAlone(f Func, b string, active Class) bool {
	for _, around := range [][2]string{{"", ""}, {"", b}, {"/", ""}, {"\xc2", ""}, {"", "41"}, {"", "lt"}, {"a", "b"}} {
		before, after := around[0], around[1]
		rest := strings.ReplaceAll(before+after, b, "")
		if text := before + b + after; !ClassOf(rest).Intersects(active) && f(text) != text {
			return true
		}
	}
	return false
}

// passive is what is left of a text without the bytes of a class.
func passive(text string, active Class) string {
	kept := make([]byte, 0, len(text))
	for i := range len(text) {
		if !active.Contains(text[i]) {
			kept = append(kept, text[i])
		}
	}
	return string(kept)
}

func (s source) bytes(limit int) string {
	b := make([]byte, s.n(limit))
	for i := range b {
		b[i] = byte(s.n(256))
	}
	return string(b)
}

func TestAnUnchangedTextIsReturnedItself(t *testing.T) {
	random := newSource(5)
	for _, text := range samples {
		checkUnchanged(t, text)
	}
	for range 20_000 {
		checkUnchanged(t, random.text())
	}
}

// checkUnchanged checks that what is equal to the text is the text.
func checkUnchanged(t testing.TB, text string) {
	t.Helper()
	for _, name := range names() {
		got := methods[name].run(text)
		if got == text && text != "" && unsafe.StringData(got) != unsafe.StringData(text) {
			t.Errorf("%s(%q) is a copy", name, text)
		}
	}
}

// unchanged has texts that look as if there were something to do.
var unchanged = map[string][]string{
	"lowercase":          {"a plain text of some length, 0123456789 {}"},
	"uppercase":          {"A PLAIN TEXT"},
	"urldecode":          {"100%", "%zz%4"},
	"urldecodeuni":       {"100%", "%zz%u12"},
	"htmlentitydecode":   {"a=1&b=2&page=3&&#&#x&;"},
	"jsdecode":           {`trailing\`},
	"escapeseqdecode":    {`trailing\`},
	"cssdecode":          {"no escape"},
	"cmdline":            {"ls -l a/b (c"[:9], "a b c/d"},
	"compresswhitespace": {"a b c à 你"},
	"removewhitespace":   {"àßç你\U0001f600"},
	"replacecomments":    {"a / * b */"},
	"removecommentschar": {"a-b < c / d * e"},
	"removecomments":     {"a-b < c / d */ e"},
	"removenulls":        {"abc"},
	"replacenulls":       {"abc"},
	"normalisepath":      {"/a/b/c.html", "/a/b/", "../a", "a"},
	"normalisepathwin":   {"C:/a b/c.html", "/a/b/"},
	"utf8tounicode":      {"a plain text"},
	"hexdecode":          {"abc", "zz"},
	"length":             {"1"},
	"urlencode":          {"abcABC09*"},
	"trim":               {"a b"},
	"trimleft":           {"a "},
	"trimright":          {" a"},
	"none":               {"A"},
}

func TestUnchangedTextsAllocateNothing(t *testing.T) {
	for _, name := range names() {
		texts := unchanged[strings.Replace(name, "normalize", "normalise", 1)]
		if texts == nil && Active(name) != everything {
			t.Errorf("no text for %s", name)
		}
		f := methods[name].run
		for _, text := range append(texts, "") {
			if got := f(text); text != "" && got != text {
				t.Errorf("%s(%q) = %q, want it unchanged", name, text, got)
			}
			if text == "" && f("") != "" {
				continue
			}
			if n := testing.AllocsPerRun(20, func() { f(text) }); n != 0 {
				t.Errorf("%s(%q) allocates %v times", name, text, n)
			}
		}
	}
}

// A changed text costs one allocation, two where the standard library does it.
func TestChangedTextsAllocateOnce(t *testing.T) {
	const text = "/A/../%41\\x41 \t\x00 /**/ -- é"
	for _, name := range names() {
		ceiling := 2.0
		switch name {
		case "urldecodeuni", "jsdecode", "cssdecode", "cmdline", "replacecomments", "removewhitespace", "compresswhitespace", "removenulls":
			ceiling = 1
		case "utf8tounicode", "urlencode": // they grow
			ceiling = 3
		case "normalisepathwin", "normalizepathwin": // in four steps
			ceiling = 4
		}
		f := methods[name].run
		if n := testing.AllocsPerRun(20, func() { f(text) }); n > ceiling {
			t.Errorf("%s allocates %v times, at most %v are meant", name, n, ceiling)
		}
	}
}

// None looks at what follows again and again: half a mebibyte takes some
// milliseconds, and minutes where it does.
func TestHostileTextsTakeLinearTime(t *testing.T) {
	if testing.Short() {
		t.Skip("half a mebibyte through everything")
	}
	for _, piece := range []string{"/*", "/**/", "<!--", "<!---->", "%", "%u", "&", "&a", "&#1", `\`, `\u{`, "a/..", "/.", " ", " /", ":", ". /", "é", "\xff", "\u00a0", "A"} {
		text := strings.Repeat(piece, 1<<19/len(piece))
		for _, name := range names() {
			start := testkit.ProcessorTime(t)
			methods[name].run(text)
			if d := testkit.ProcessorTime(t) - start; d > time.Second {
				t.Errorf("%s takes %v for repeated %q", name, d, piece)
			}
		}
	}
}

func BenchmarkUnchanged(b *testing.B) {
	texts := map[string]string{
		"short": "9f86d081884c",
		"path":  "/static/js/app.3f2a91.min.js",
		"agent": "mozilla/5.0 (x11; linux x86_64) applewebkit/537.36 (khtml, like gecko) chrome/126.0.0.0 safari/537.36",
	}
	for _, name := range []string{
		"lowercase", "urldecodeuni", "jsdecode", "htmlentitydecode", "utf8tounicode", "removenulls", "cssdecode", "cmdline",
		"removewhitespace", "replacecomments", "normalisepath", "normalisepathwin", "escapeseqdecode", "compresswhitespace", "removecommentschar",
	} {
		f, _ := ByName(name)
		for _, kind := range []string{"short", "path", "agent"} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				text := texts[kind]
				if f(text) != text {
					b.Skip("it changes")
				}
				b.ReportAllocs()
				for b.Loop() {
					f(text)
				}
			})
		}
	}
}

func BenchmarkChanged(b *testing.B) {
	const text = "id=1%20UNION/**/SELECT \\x41,  name&lt;b&gt; FROM /a/../users\x00 é -- comment of some length, twice as long"
	for _, name := range names() {
		f, _ := ByName(name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				f(text)
			}
		})
	}
}
