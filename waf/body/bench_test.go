package body

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

type sample struct {
	name   string
	kind   variables.Processor
	typ    string
	text   string
	allocs float64 // at most
}

func samples() []sample {
	var form, doc, soap strings.Builder
	for i := range 70 {
		fmt.Fprintf(&form, "&field%d=some+value+%%C3%%A9+%d", i, i)
		fmt.Fprintf(&doc, `,{"id":%d,"name":"customer %d","tags":["a","b"],"address":{"street":"Main \"Street\" 5","city":"Town","zip":null},"active":true,"balance":12.50,"note":"%s"}`, i, i, strings.Repeat("n", 170))
		fmt.Fprintf(&soap, `<item id="%d"><name>customer %d</name><city>Town &amp; City</city></item>`, i, i)
	}
	return []sample{
		{"form of 200 bytes", variables.URLEncoded, formType, form.String()[1:200], 3},
		{"form of 2 KB", variables.URLEncoded, formType, form.String()[1:2000], 3},
		{"JSON of 200 bytes", variables.JSON, jsonType, doc.String()[1:187] + `xxxxxxxxxxxx"}`, 6},
		{"JSON of 20 KB", variables.JSON, jsonType, "[" + doc.String()[1:] + "]", 12},
		{"XML of 5 KB", variables.XML, xmlType, `<?xml version="1.0" encoding="UTF-8"?><items>` + soap.String() + "</items>", 32},
		{"multipart of 3 fields", variables.Multipart, "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
			strings.ReplaceAll(crlf(field("user", "someone")+field("text", "some text, a little longer")+file), "--B", "------WebKitFormBoundary7MA4YWxkTrZu0gW"), 16},
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range samples() {
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			b.SetBytes(int64(len(s.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, refused := Parse(s.kind, s.typ, s.text, Limits{Strict: true}); refused != nil {
					b.Fatal(refused)
				}
			}
		})
	}
}

func TestParseAllocatesLittle(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			got := testing.AllocsPerRun(20, func() {
				b, _, refused := Parse(s.kind, s.typ, s.text, Limits{Strict: true})
				if refused != nil || len(b.ArgsPost)+len(b.XMLText) == 0 {
					t.Fatalf("refused: %v", refused)
				}
			})
			if got > s.allocs {
				t.Errorf("%v allocations, more than %v", got, s.allocs)
			}
		})
	}
	var into []variables.Pair
	if got := testing.AllocsPerRun(20, func() { into = Cookies("a=1; b=2; c=3", into[:0]) }); got > 0 {
		t.Errorf("cookies: %v allocations", got)
	}
}
