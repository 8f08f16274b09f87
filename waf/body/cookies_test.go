package body

import (
	"slices"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"gatehouse/waf/variables"
)

var cookieSeeds = []string{
	"", "a=1", "a=1; b=2", " a = 1 ;b", "=x; =; a==1", ";;a=1;;", "a\v=\t'", "a=1;a=2;A=3", "\x01\x02=bar", "a=\"b;c\"", "a=b, c=d",
	"$Version=1; a=%41", "\xffa=\x85", "a=1\x7f;\x7fb=2", strings.Repeat("\x00", 100) + "a=1", "a", "a;b;c",
}

func TestCookiesKeepOrder(t *testing.T) {
	got := Cookies(" b = 1 ; =x;; a; = ;b=2=3", []variables.Pair{{Name: "before"}})
	want := []variables.Pair{{Name: "before"}, {Name: "b", Value: "1"}, {Value: "x"}, {Name: "a"}, {Name: "b", Value: "2=3"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzCookies(f *testing.F) {
	for _, text := range cookieSeeds {
		f.Add(text)
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives("SecRuleEngine On"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tx := waf.NewTransaction()
		defer tx.Close()
		tx.AddRequestHeader("Cookie", text)
		v := tx.(interface {
			Variables() plugintypes.TransactionVariables
		}).Variables()
		got, want := Cookies(text, nil), pairs(v.RequestCookies())
		if !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}
