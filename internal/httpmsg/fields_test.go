package httpmsg

import (
	"strings"
	"testing"
)

func lines(f *Fields) string { return string(f.AppendLines(nil)) }

func TestUntouchedLinesGoOutAsTheyCame(t *testing.T) {
	f := fields("HOST: a", "x-B:   odd", "Host: again", "C: d")
	if got, want := lines(f), string(f.wire); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.DeleteAt(1)
	if got, want := lines(f), "HOST: a\r\nHost: again\r\nC: d\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.SetValueAt(2, f.KeepString("new"))
	f.AddString("X-Added", "1")
	if got, want := lines(f), "HOST: a\r\nHost: new\r\nC: d\r\nX-Added: 1\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFieldsAreFound(t *testing.T) {
	f := fields("Host: a", "Cookie: 1", "X-Odd: b", "cookie: 2")
	if v, ok := f.Get(Cookie); !ok || string(v) != "1" {
		t.Errorf("got %q %v", v, ok)
	}
	if v, ok := f.Lookup("x-oDD"); !ok || string(v) != "b" {
		t.Errorf("got %q %v", v, ok)
	}
	if n := f.Count(Cookie); n != 2 {
		t.Errorf("got %d cookies", n)
	}
	f.Delete(Cookie)
	f.DeleteName([]byte("X-ODD"))
	if _, ok := f.Get(Cookie); ok || f.Count(Cookie) != 0 {
		t.Error("found a deleted field")
	}
	if _, ok := f.Lookup("x-odd"); ok {
		t.Error("found a deleted field by name")
	}
	if id, name, _, ok := f.At(3); ok || id != Other || name != nil {
		t.Error("a deleted field is shown")
	}
	if got := lines(f); got != "Host: a\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestRestatingRemovesOddWhiteSpace(t *testing.T) {
	for _, line := range []string{"A: b", "A:b", "A:\tb", "A:  b", "A: b ", "A:b "} {
		f := new(Fields)
		f.Reset([]byte(line + "\r\n"))
		at := strings.IndexByte(line, 'b')
		f.Parsed(Span{0, 1}, Span{int32(at), 1}, Span{0, int32(len(line)) + 2}, Other)
		f.RestateAt(0)
		if got := lines(f); got != "A: b\r\n" {
			t.Errorf("%q goes out as %q", line, got)
		}
	}
}

func TestTextSurvivesAGrowingArena(t *testing.T) {
	f := fields("Host: a")
	first := f.KeepString("first")
	for range 100 {
		f.Keep([]byte("more and more"))
	}
	if got := string(f.Bytes(first)); got != "first" {
		t.Errorf("got %q", got)
	}
	a := f.Arena()
	n := len(a)
	if got := string(f.Bytes(f.Kept(append(a, "last"...), n))); got != "last" {
		t.Errorf("got %q", got)
	}
	f.Reset([]byte("x"))
	if f.Len() != 0 || string(f.Bytes(Span{0, 1})) != "x" {
		t.Error("reset keeps something")
	}
}

func TestKnownFields(t *testing.T) {
	for id := Other + 1; id < numIDs; id++ {
		name := id.String()
		if name == "" {
			t.Fatalf("%d has no name", id)
		}
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := IDOf(spelling); got != id {
				t.Errorf("%s is %d, want %d", spelling, got, id)
			}
		}
		for i := range len(name) {
			for c := range 256 {
				other := name[:i] + string([]byte{byte(c)}) + name[i+1:]
				if got, want := IDOf(other), slowKnown(other); got != want {
					t.Errorf("%q is %d, want %d", other, got, want)
				}
			}
		}
		for _, other := range []string{name + "x", "x" + name, name[1:], name[:len(name)-1], ""} {
			if got, want := IDOf(other), slowKnown(other); got != want {
				t.Errorf("%q is %d, want %d", other, got, want)
			}
		}
	}
	if ID(200).String() != "" || Other.String() != "" {
		t.Error("names for what is unknown")
	}
}

func slowKnown(name string) ID {
	lower := string(AppendLower(nil, []byte(name)))
	for id := Other + 1; id < numIDs; id++ {
		if lower == names[id] {
			return id
		}
	}
	return Other
}

func TestFoldingIsForLettersOnly(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			want := strings.EqualFold(string(rune(a)), string(rune(b))) && a < 0x80 && b < 0x80 || a == b
			for _, before := range []int{3, 11} {
				x := append(make([]byte, before, 32), byte(a), 'z')
				y := append(make([]byte, before, 32), byte(b), 'Z')
				if got := EqualFold(x, string(y)); got != want {
					t.Errorf("%#x and %#x behind %d bytes: %v", a, b, before, got)
				}
				if got := EqualFoldBytes(x, y); got != want {
					t.Errorf("%#x and %#x behind %d bytes: %v", a, b, before, got)
				}
			}
		}
	}
	if got := string(AppendLower([]byte("A"), []byte("Ab-Z[\xc3"))); got != "Aab-z[\xc3" {
		t.Errorf("got %q", got)
	}
}

func TestMethods(t *testing.T) {
	for m := GET; m <= TRACE; m++ {
		if got := MethodOf([]byte(m.String())); got != m {
			t.Errorf("%v is %v", m, got)
		}
		if got := MethodOf([]byte(strings.ToLower(m.String()))); got != MethodOther {
			t.Errorf("lower case of %v is %v", m, got)
		}
	}
	if MethodOf(nil) != MethodOther || MethodOf([]byte("GETX")) != MethodOther || MethodOther.String() != "OTHER" || Method(99).String() != "OTHER" {
		t.Error("unknown methods are known")
	}
	for m, want := range map[Method]bool{GET: true, HEAD: true, PUT: true, DELETE: true, OPTIONS: true, POST: false, PATCH: false, CONNECT: false, MethodOther: false} {
		if m.Idempotent() != want {
			t.Errorf("%v idempotent: %v", m, !want)
		}
	}
}

func TestResetKeepsNothing(t *testing.T) {
	var r Request
	r.Reset([]byte("x"))
	r.Close, r.HasQuery, r.UpgradeTo, r.Body = true, true, Span{0, 1}, BodyChunked
	r.AddString("A", "b")
	r.Reset([]byte("y"))
	if r.Close || r.HasQuery || r.UpgradeTo.Len != 0 || r.Body != BodyNone || r.Len() != 0 {
		t.Errorf("got %+v", r)
	}
	var s Response
	s.Reset([]byte("x"))
	s.Status, s.Close = 200, true
	s.Reset([]byte("y"))
	if s.Status != 0 || s.Close || s.ContentLength != -1 {
		t.Errorf("got %+v", s)
	}
}

func BenchmarkKnown(b *testing.B) {
	for _, name := range []string{"Host", "User-Agent", "Accept-Encoding", "X-Forwarded-For", "Upgrade-Insecure-Requests"} {
		b.Run(name, func(b *testing.B) {
			n := []byte(name)
			for b.Loop() {
				Known(n)
			}
		})
	}
}
