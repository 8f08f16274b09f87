package http2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// decode reads a block as the library does.
func decode(t *testing.T, block []byte) []hpack.HeaderField {
	t.Helper()
	d := hpack.NewDecoder(0, nil) // there is to be no dynamic table
	fields, err := d.DecodeFull(block)
	if err != nil {
		t.Fatalf("%x: %v", block, err)
	}
	return fields
}

func TestStaticTable(t *testing.T) {
	names := map[string]byte{}
	for i := byte(1); i <= 61; i++ {
		f := decode(t, []byte{0x80 | i})[0]
		if names[f.Name] == 0 {
			names[f.Name] = i
		}
		if got := staticField(f.Name, f.Value); got != 0 && got != i {
			t.Errorf("%s: index %d, not %d", f, got, i)
		}
		if strings.HasPrefix(f.Name, ":status") && staticField(f.Name, f.Value) != i {
			t.Errorf("%s is sent as a literal", f)
		}
	}
	for name, i := range names {
		if got := staticNames[name]; got != i {
			t.Errorf("%s: index %d, not %d", name, got, i)
		}
	}
	if len(names) != len(staticNames) {
		t.Errorf("%d names, not %d", len(staticNames), len(names))
	}
}

func TestFieldsAreWhatTheyWere(t *testing.T) {
	long := strings.Repeat("long ", 10_000)
	for _, f := range [][2]string{{":status", "200"}, {":status", "503"}, {":method", "PATCH"}, {":path", "/"}, {":path", "/a?b"},
		{":scheme", "https"}, {"etag", `"x"`}, {"x-own", ""}, {"", "nobody"}, {"x-long", long}, {long, "\x00\xff~"}, {"vary", long[:127]},
		{"vary", strings.Repeat("\xff", 127)}, {"vary", strings.Repeat("\xff", 300)}} {
		checkField(t, f[0], f[1])
	}
}

func checkField(t *testing.T, name, value string) {
	t.Helper()
	block := appendField([]byte{0x88}, name, value)
	got := decode(t, block)
	if len(got) != 2 || got[0].Value != "200" || got[1].Name != name || got[1].Value != value || got[1].Sensitive {
		t.Errorf("%.50q: %.50q as %x: %v", name, value, block[:min(len(block), 50)], got)
	}
	if most := len(name) + len(value) + 12; len(block) > most {
		t.Errorf("%.50q takes %d bytes", name, len(block))
	}
}

func FuzzField(f *testing.F) {
	f.Add("vary", "Accept")
	f.Add(":status", "404")
	f.Fuzz(func(t *testing.T, name, value string) { checkField(t, name, value) })
}
