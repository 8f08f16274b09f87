package body

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/waf/variables"
)

// Bodies made to be expensive must cost a small multiple of their size, and
// time that grows no faster than it. The bounds are far above what is
// needed, and far below what quadratic time or memory would take.
func TestHostileBodiesAreCheap(t *testing.T) {
	const size = 1 << 20
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	part := crlf("--B\nContent-Disposition: form-data; name=a; filename=b\n\n\n")
	tests := []struct {
		name, typ, text string
	}{
		{"form of pairs", formType, fill("a=1&")},
		{"form of escapes", formType, fill("%41+")},
		{"JSON that opens", jsonType, fill("[")},
		{"JSON objects that open", jsonType, fill(`{"a":`)},
		{"JSON that opens and is broken", jsonType, "{]" + fill("[")},
		{"JSON that nests and is broken", jsonType, "[x," + strings.Repeat(strings.Repeat("[", 900)+strings.Repeat("]", 900)+",", size/1801)},
		{"JSON of numbers", jsonType, "[" + fill("1,") + "1]"},
		{"JSON of empty arrays", jsonType, "[" + fill("[],") + "1]"},
		{"JSON of one key", jsonType, "{" + fill(`"a":1,`) + `"a":1}`},
		{"JSON of escapes", jsonType, `["` + fill(`\n`) + `"]`},
		{"JSON of backslashes", jsonType, `["` + fill(`\`)},
		{"JSON of quotes after backslashes", jsonType, fill(`\\"`)},
		{"JSON of long names", jsonType, `{"` + fill("k") + `":[` + strings.Repeat("1,", 900) + "1]}"},
		{"XML that opens", xmlType, fill("<a>")},
		{"XML of attributes", xmlType, "<a " + fill("b='' ") + "/>"},
		{"XML of elements", xmlType, "<a>" + fill("<b/>") + "</a>"},
		{"XML of void elements", xmlType, fill("<br>")},
		{"XML of entities", xmlType, "<a>" + fill("&lt;") + "</a>"},
		{"multipart of parts", multipartType, fill(part) + "--B--"},
		{"multipart of empty parts", multipartType, fill("--B\r\n\r\n\r\n") + "--B--"},
		{"multipart of headers", multipartType, "--B\r\n" + fill("a:b\r\n") + "\r\n\r\n--B--"},
		{"multipart of parameters", multipartType, cd("name=a" + fill(";b=1"))},
		{"multipart of dashes", "multipart/form-data; boundary=" + strings.Repeat("-", 60), fill("-")},
		{"multipart of near boundaries", multipartType, crlf(field("a", fill("\n--"))) + "--B--"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, _, _ := KindOf(tt.typ)
			for _, strict := range []bool{true, false} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := testkit.ProcessorTime(t)
				b, _, _ := Parse(kind, tt.typ, tt.text, Limits{Strict: strict})
				took := testkit.ProcessorTime(t) - start
				runtime.ReadMemStats(&after)
				t.Logf("strict %t: %v, %d bytes allocated for %d: %s", strict, took.Round(time.Millisecond), after.TotalAlloc-before.TotalAlloc, len(tt.text), b.Error)
				if most := uint64(24*len(tt.text) + 4<<20); after.TotalAlloc-before.TotalAlloc > most {
					t.Errorf("strict %t: %d bytes allocated for a body of %d", strict, after.TotalAlloc-before.TotalAlloc, len(tt.text))
				}
				if took > 3*time.Second {
					t.Errorf("strict %t: took %v", strict, took)
				}
			}
		})
	}
}

func TestFilesAreNotKept(t *testing.T) {
	text := crlf("--B\nContent-Disposition: form-data; name=f; filename=x\n\n") + strings.Repeat("x", 8<<20) + "\r\n--B--"
	allocs := testing.AllocsPerRun(5, func() {
		b, _, refused := Parse(variables.Multipart, multipartType, text, Limits{Strict: true})
		if refused != nil || len(b.FileSizes) != 1 || b.FileSizes[0].Value != "8388608" || len(b.ArgsPost) != 0 {
			t.Fatalf("got %v, %v, %v", b.FileSizes, b.ArgsPost, refused)
		}
	})
	if allocs > 20 {
		t.Errorf("%v allocations", allocs)
	}
}
