package sni

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	table, err := NewTable([]Route{
		{[]string{"*.example", "WWW.example."}, 1},
		{[]string{"a.b.example", "*.b.example"}, 2},
		{[]string{"www.example", "*.example", "*.x.y.z"}, 3},
		{[]string{"single"}, 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"www.example": 1, "other.example": 1, "example": 0, "a.b.example": 2, "c.b.example": 2, "b.example": 1,
		"d.c.b.example": 0, "w.x.y.z": 3, "x.y.z": 0, "single": 4, "a.single": 0, "": 0, ".example": 0, "wwwexample": 0,
	} {
		if got, ok := table.Lookup(name); got != want || ok != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", name, got, ok, want)
		}
	}
	if _, ok := new(Table).Lookup("a.example"); ok {
		t.Error("the zero table has a route")
	}
	if n := testing.AllocsPerRun(100, func() { table.Lookup("c.b.example") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTableRefusesWhatIsNoPattern(t *testing.T) {
	for _, p := range []string{"", "*", "*.", "a.*.example", "a*.example", "?.example", "*.*.example", "a..b", "192.0.2.1", "a.example.."} {
		if _, err := NewTable([]Route{{Patterns: []string{"good.example", p}}}); err == nil || !strings.Contains(err.Error(), `"`+p+`"`) {
			t.Errorf("%q: error %v", p, err)
		}
	}
}
