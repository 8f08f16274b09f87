package waf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/waf/variables"
)

// FuzzFold compares names as the index of names does with how the standard
// library does it.
func FuzzFold(f *testing.F) {
	for _, pair := range [][2]string{{"id", "ID"}, {"id", "ids"}, {"", ""}, {"kelvin", "\u212aelvin"}, {"\u017f", "S"}, {"\xff", "\xfe"}, {"\xff", "\ufffd"},
		{"ß", "ẞ"}, {"Σ", "ς"}, {"a\x00", "A\x00"}, {"[a]", "{a}"}, {"İ", "i"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if same := fold(a) == fold(b); same != strings.EqualFold(a, b) {
			t.Errorf("%q and %q are the same: %v", a, b, same)
		}
	})
}

func TestSubjectsAreAllOfTheirName(t *testing.T) {
	r := &variables.Request{
		ArgsGet: []variables.Pair{{Name: "q", Value: "1"}, {Name: "Q", Value: "2"}, {Name: "r", Value: "3"}},
		Cookies: []variables.Pair{{Name: "q", Value: "a%20b"}, {Name: "Q", Value: "a=1%20&b=2&c=3"}},
		Headers: []variables.Pair{{Name: "Q", Value: "5"}, {Name: "X", Value: "%20"}},
		Body:    variables.Body{ArgsPost: []variables.Pair{{Name: "q", Value: "4"}}},
	}
	v := view{req: r}
	for range 2 { // it remembers
		for variable, want := range map[string][]subject{
			"ARGS:q":            {{inQuery, "q", "1"}, {inQuery, "Q", "2"}, {inBody, "q", "4"}},
			"ARGS_GET:R":        {{inQuery, "r", "3"}},
			"ARGS_POST:s":       nil,
			"REQUEST_COOKIES:q": {{inHead, "q", "a b"}, {inHead, "Q", "a=1%20&b=2&c=3"}},
			"REQUEST_HEADERS:x": {{inHead, "X", "%20"}},
		} {
			if got := v.subjects(&Value{Variable: variable}); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", variable, got, want)
			}
		}
	}
}

// Asking for each name takes no time that grows with their square.
func TestNamesAreFoundInLinearTime(t *testing.T) {
	const n = 40_000
	r := &variables.Request{}
	for i := range n {
		r.ArgsGet = append(r.ArgsGet, variables.Pair{Name: fmt.Sprintf("name%05d", i), Value: "x"})
	}
	v := view{req: r}
	began := testkit.ProcessorTime(t)
	for i := range n {
		if list := v.subjects(&Value{Variable: "ARGS:" + r.ArgsGet[i].Name}); len(list) != 1 {
			t.Fatalf("%v", list)
		}
	}
	if took := testkit.ProcessorTime(t) - began; took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
