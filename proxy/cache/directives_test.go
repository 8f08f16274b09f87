package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// text writes directives as a field that means the same.
func text(d *Directives) string {
	var parts []string
	for i, name := range directiveNames {
		is := Directive(1 << i)
		switch at := d.number(is); {
		case !d.Has(is):
		case at == nil:
			parts = append(parts, name)
		default:
			parts = append(parts, fmt.Sprintf("%s=%d", name, *at))
		}
	}
	for _, list := range d.named[:d.nNamed] {
		parts = append(parts, fmt.Sprintf("no-cache=%q", list))
	}
	return strings.Join(parts, ", ")
}

func TestRFC9111Section52Directives(t *testing.T) {
	for _, w := range []struct{ name, field, want string }{
		{"usual", "public, max-age=60", "public, max-age=60"},
		{"any case and space", "Max-Age=60 ,\t PUBLIC,,", "public, max-age=60"},
		{"quoted number", `max-age="60"`, "max-age=60"},
		{"no number", "max-age=x, s-maxage, public=", "max-age=0, s-maxage=0"},
		{"negative", "max-age=-1", "max-age=0"},
		{"float", "max-age=1.5", "max-age=0"},
		{"too large", "max-age=99999999999999999999999", "max-age=2147483647"},
		{"twice", "max-age=60, max-age=30", "max-age=30"},
		{"the shorter first", "max-age=30, max-age=60", "max-age=30"},
		{"min-fresh twice", "min-fresh=30, min-fresh=60", "min-fresh=60"},
		{"fields", `private="X-A, x-b", no-cache=set-cookie`, `no-cache="X-A, x-b", no-cache="set-cookie"`},
		{"no fields", `private="", no-cache=" "`, "no-cache, private"},
		{"fields without an end", `max-age=60, private="x`, "private, max-age=60"},
		{"an escape in fields", `private="a\"b", max-age=5`, "private, max-age=5"},
		{"too many fields", `private=a, private=b, private=c, private=d, private=e`, `private, no-cache="a", no-cache="b", no-cache="c", no-cache="d"`},
		{"something behind", "no-store; x, public; y, max-age=3 4", "no-store, max-age=0"},
		{"a comma in a quoted string", `foo="max-age=60, public", no-store`, "no-store"},
		{"max-stale alone", "max-stale", "max-stale=2147483647"},
		{"max-stale of nonsense", "max-stale=x", ""},
		{"unknown", "immutable, community=\"UCI\"", ""},
		{"no name", "=60, ;, max-age=1", "max-age=1"},
		{"two of them", "stale-while-revalidate=5, stale-if-error=6", "stale-while-revalidate=5, stale-if-error=6"},
	} {
		t.Run(w.name, func(t *testing.T) {
			var d Directives
			if d.Add([]byte(w.field)); text(&d) != w.want {
				t.Errorf("%q means %q, want %q", w.field, text(&d), w.want)
			}
		})
	}
}

// What was read and written again means the same, and no restriction gets lost
// because of what stands beside it.
func FuzzDirectives(f *testing.F) {
	for _, s := range []string{"public, max-age=60", `private="a", no-cache=b`, "max-stale", "no-store;", `x="\""`, "max-age=60,no-store"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		var d, again Directives
		d.Add([]byte(field))
		if again.Add([]byte(text(&d))); d.nNamed == 0 && text(&again) != text(&d) {
			t.Errorf("%q became %q, and that %q", field, text(&d), text(&again))
		}
		var with Directives
		if with.Add([]byte("no-store, " + field)); !with.Has(NoStore) {
			t.Errorf("no-store is lost before %q", field)
		}
		simple := slices.Equal(strings.Split(field, ","), []string{field}) && !strings.ContainsAny(field, "\"=; \t\\")
		if simple && strings.EqualFold(field, "private") && !d.Has(Private) {
			t.Errorf("%q is not private", field)
		}
	})
}
