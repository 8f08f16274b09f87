package body

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

const formType = "application/x-www-form-urlencoded"

var formSeeds = []string{
	"", "a=1", "a=1&b=2", "a=1&a=2&A=3", "a", "=", "=x", "&&a=1&&", "a=b=c", "a+b=c+d", "%61=%62", "a=%", "a=%4", "a=%zz&b=%2",
	"a=%00%0d%0a", "a=%25%34%31", "a;b=1;c", "a[]=1&a[]=2", "\xff=\xfe", "a=%u0041", "+=+", "%=%",
	strings.Repeat("a=1&", 1000), strings.Repeat("a=1&", 1001), strings.Repeat("a=1&", 1000) + "&&&", strings.Repeat("&", 5000),
	strings.Repeat("a=%41&", 900) + strings.Repeat("b", 5000) + "=%42",
}

func TestFormIsReadAsCorazaReadsIt(t *testing.T) {
	differAll(t, variables.URLEncoded, formType, formSeeds)
}

// Coraza loses a form field when another follows whose name differs only in
// case. Rules must see both.
func TestFieldsThatDifferInCaseAreBothKept(t *testing.T) {
	b, _, _ := Parse(variables.URLEncoded, formType, "a=attack&A=harmless", Limits{})
	want := []variables.Pair{{Name: "a", Value: "attack"}, {Name: "A", Value: "harmless"}}
	if !slices.Equal(b.ArgsPost, want) {
		t.Errorf("got %q, want %q", b.ArgsPost, want)
	}
}

func FuzzForm(f *testing.F) {
	for _, text := range formSeeds {
		f.Add(text)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, text string) { differ(t, o, variables.URLEncoded, formType, text) })
}

func TestQueryKeepsOrder(t *testing.T) {
	got, truncated := Query("b=1&a=%20&b=&&c+=x", 0)
	want := []variables.Pair{{Name: "b", Value: "1"}, {Name: "a", Value: " "}, {Name: "b"}, {Name: "c ", Value: "x"}}
	if !slices.Equal(got, want) || truncated {
		t.Errorf("got %q, %t, want %q", got, truncated, want)
	}
}

func TestQueryStopsAtItsLimit(t *testing.T) {
	tests := []struct {
		name, text string
		limit      int
		want       int
		truncated  bool
	}{
		{"one more", "a=1&b=2&c=3", 2, 2, true},
		{"as many", "a=1&b=2", 2, 2, false},
		{"nothing after the last", "a=1&b=2&&", 2, 2, false},
		{"default", strings.Repeat("a&", 1001), 0, 1000, true},
		{"ten megabytes", strings.Repeat("a=1&", 10<<20/4), 0, 1000, true},
		{"ten megabytes of ampersands", strings.Repeat("&", 10<<20), 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, truncated := Query(tt.text, tt.limit)
			if len(got) != tt.want || truncated != tt.truncated {
				t.Errorf("got %d pairs, %t, want %d, %t", len(got), truncated, tt.want, tt.truncated)
			}
		})
	}
}

// What was decoded into one arena must stay as it was when more follows.
func TestDecodedTextsDoNotOverlap(t *testing.T) {
	var text strings.Builder
	var want []variables.Pair
	for i := range 900 {
		name := strings.Repeat(string(rune('a'+i%26)), 1+i%40)
		text.WriteString("%20" + name + "=" + name + "+&")
		want = append(want, variables.Pair{Name: " " + name, Value: name + " "})
	}
	if got, _ := Query(text.String(), 0); !slices.Equal(got, want) {
		t.Error("names or values were overwritten")
	}
}
