package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// names are all transformations, sorted.
func names() []string { return slices.Sorted(maps.Keys(methods)) }

// oracle is Coraza with one rule for each transformation, whose operator notes
// what it is given. It is for one goroutine at a time.
type oracle struct {
	waf coraza.WAF
	got *map[string]string
}

// capture is the operator: its argument names the transformation of its rule.
type capture struct {
	name string
	into *map[string]string
}

func (c capture) Evaluate(_ plugintypes.TransactionState, value string) bool {
	(*c.into)[c.name] = value
	return false
}

// captured is where the operator notes values: the registry of operators is
// Coraza's and there is one of it.
var captured = sync.OnceValue(func() *map[string]string {
	into := new(map[string]string)
	plugins.RegisterOperator("capture", func(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
		return capture{name: o.Arguments, into: into}, nil
	})
	return into
})

func newOracle(t testing.TB, names ...string) oracle {
	t.Helper()
	o := oracle{got: captured()}
	rules := "SecRuleEngine On\n"
	for i, name := range names {
		rules += fmt.Sprintf("SecRule ARGS_GET:x \"@capture %s\" \"id:%d,phase:1,pass,nolog,t:none,t:%s\"\n", name, i+1, name)
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(rules))
	if err != nil {
		t.Fatalf("coraza: %v", err)
	}
	o.waf = waf
	return o
}

// transformed is what each transformation makes of a text.
func (o oracle) transformed(text string) map[string]string {
	*o.got = map[string]string{}
	tx := o.waf.NewTransaction()
	defer tx.Close()
	tx.AddGetRequestArgument("x", text)
	tx.ProcessRequestHeaders()
	return *o.got
}

// check compares all transformations of a text with Coraza's.
func (o oracle) check(t testing.TB, text string) {
	t.Helper()
	all := o.transformed(text)
	for _, name := range names() {
		want, ok := all[name]
		if !ok {
			t.Fatalf("Coraza did not evaluate %s of %q", name, text)
		}
		if got := methods[name].run(text); got != want {
			t.Errorf("%s(%q) = %q, want %q", name, text, got, want)
		}
	}
}

func TestTransformationsGiveWhatCorazaGives(t *testing.T) {
	o := newOracle(t, names()...)
	for _, text := range samples {
		o.check(t, text)
	}
	n := 10_000
	if testing.Short() {
		n = 2000
	}
	random := newSource(1)
	for range n {
		o.check(t, random.text())
		if t.Failed() {
			return
		}
	}
}

// Each byte, and each pair of the bytes that mean something, alone and in
// between others.
func TestShortTextsGiveWhatCorazaGives(t *testing.T) {
	o := newOracle(t, names()...)
	for b := range 256 {
		for _, around := range []string{"%s", "a%sb", "\\%s", "%%%s1", "a %s/", "&%slt", " %s "} {
			o.check(t, fmt.Sprintf(around, string([]byte{byte(b)})))
		}
	}
	const telling = "\\/%+.:*-#<>!& \n'xuA07\x85\xa0\xc2\xff"
	for i := range len(telling) {
		for j := range len(telling) {
			for k := range len(telling) {
				o.check(t, string([]byte{telling[i], telling[j], telling[k]}))
			}
		}
	}
}

// All of %uXXXX: the table of best fits has no hole and nothing too much.
func TestEveryCodeOfIISGivesWhatCorazaGives(t *testing.T) {
	o := newOracle(t, "urldecodeuni", "jsdecode", "cssdecode")
	for _, form := range []struct{ name, format string }{
		{"urldecodeuni", "%%u%04X"}, {"jsdecode", `\u%04x`}, {"cssdecode", `\%x`},
	} {
		var all strings.Builder
		for code := range 0x10000 {
			fmt.Fprintf(&all, form.format+"|", code)
		}
		want := strings.Split(o.transformed(all.String())[form.name], "|")
		f, _ := ByName(form.name)
		for i, got := range strings.Split(f(all.String()), "|") {
			if i < len(want) && got != want[i] {
				t.Errorf("%s of code %#x = %q, want %q", form.name, i, got, want[i])
			}
		}
	}
}

// The names of HTML that need no semicolon are looked for before the decoder is
// asked; one that was forgotten would not be decoded.
func TestEveryReferenceWithoutSemicolonIsDecoded(t *testing.T) {
	o := newOracle(t, "htmlentitydecode")
	random := newSource(2)
	for range 5000 {
		name := random.pick(entityNames)
		text := "&" + name[:1+random.n(len(name))] + random.pick([]string{"", ";", "=", "x", " ", "&"})
		want := o.transformed(text)["htmlentitydecode"]
		if got := htmlEntityDecode(text); got != want {
			t.Fatalf("htmlEntityDecode(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzTransformationsGiveWhatCorazaGives(f *testing.F) {
	for _, text := range samples {
		f.Add(text)
	}
	o := newOracle(f, names()...)
	f.Fuzz(func(t *testing.T, text string) {
		o.check(t, text)
		checkUnchanged(t, text)
	})
}
