package index

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func dfaOf(t testing.TB, pattern string, room int64) *dfa {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	budget := &atomic.Int64{}
	budget.Store(room)
	d, err := newDFA(parsed, budget)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAutomataMatchWhatExpressionsMatch(t *testing.T) {
	texts := []string{"", "a", "ab", "\n", "a\n", "\na", "ab\ncd", " ab ", "aab", "K", "\u212a", "ſ", "s", "\xff", "a\xff", "\xffa", "é", "日本", "_a", "a_", "0", "abc-def", "AB"}
	for _, pattern := range []string{``, `^`, `$`, `^$`, `a`, `^a`, `a$`, `^a$`, `(?m)^a`, `(?m)a$`, `(?m)^$`, `\ba`, `a\b`, `\Ba`, `a\B`, `\b`, `\B`, `(?i)k`, `(?i)s`, `(?i)ab`, `.`, `(?s).`,
		`a.b`, `(?s)a.b`, `[^a]`, `[^a-z]`, `é`, `[à-ü]`, `\x{FFFD}`, `a*`, `a+b`, `a?b`, `(?:ab|cd)$`, `\bab\b`, `a{2}`, `(?:a|b)*c`, `^(?:a|ab)(?:c|bcd)`, `\d`, `\w+-\w+`, `\A`, `\z`, `a\z`} {
		re, d := regexp.MustCompile(pattern), dfaOf(t, pattern, 1<<20)
		for _, text := range texts {
			got, ok := d.match(text)
			if want := re.MatchString(text); !ok || got != want {
				t.Errorf("%q on %q: %v %v, want %v", pattern, text, got, ok, want)
			}
		}
	}
}

// TestAutomataOfTheRuleSet compares every expression of the Core Rule Set with
// package regexp, on texts made from the expressions and broken in places.
func TestAutomataOfTheRuleSet(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	matchedTexts, undecided, total := 0, 0, 0
	for pattern, id := range expressions(t) {
		if arbitraryBytes(pattern) {
			continue
		}
		re := regexp.MustCompile("(?s)" + pattern)
		parsed, _ := syntax.Parse("(?s)"+pattern, syntax.Perl)
		d := dfaOf(t, "(?s)"+pattern, 4<<20)
		for range 60 {
			var b strings.Builder
			b.WriteString([]string{"", "x ", "a='", "\n"}[r.IntN(4)])
			generate(parsed, r, &b)
			text := []byte(b.String())
			for n := r.IntN(3); n > 0 && len(text) > 0; n-- {
				text[r.IntN(len(text))] = "a ;'(\n\xff\x00<"[r.IntN(9)]
			}
			total++
			got, ok := d.match(string(text))
			if !ok {
				undecided++
				continue
			}
			want := re.Match(text)
			if got != want {
				t.Fatalf("rule %d on %q: %v, want %v", id, text, got, want)
			}
			if want {
				matchedTexts++
			}
		}
	}
	t.Logf("%d texts, %d matched, %d left to package regexp", total, matchedTexts, undecided)
	if matchedTexts < 3000 || undecided*10 > total {
		t.Error("too few texts matched, or too many were not decided")
	}
}

func FuzzAutomata(f *testing.F) {
	f.Add(`(?i)\b(?:a|bc)+\s*=\s*'`, "ABC = 'x'")
	f.Add(`(?m)^a$|\Bb`, "x\na\nb")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 200 {
			return
		}
		got, ok := dfaOf(t, pattern, 1<<20).match(text)
		if ok && got != re.MatchString(text) {
			t.Fatalf("%q on %q: %v", pattern, text, got)
		}
	})
}

func TestAutomataStayInTheirBudget(t *testing.T) {
	d := dfaOf(t, `(?s)[ab].{12}c`, 100<<10)
	r := rand.New(rand.NewPCG(7, 8))
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = "abx"[r.IntN(3)]
	}
	if _, ok := d.match(string(text)); ok {
		t.Error("a text that needs thousands of states was decided in little room")
	}
	if n := len(d.states); n > 400 {
		t.Errorf("%d states", n)
	}
	if found, ok := d.match("a"); !ok || found { // what is worked out stays of use
		t.Error("a short text is not decided any more")
	}
}

func TestAutomataGrowUnderManyHands(t *testing.T) {
	d := dfaOf(t, `(?i)(?:select|union)\s+\w+\s+from`, 1<<20)
	var hands sync.WaitGroup
	for i := range 4 {
		hands.Go(func() {
			for n := range 200 {
				text := strings.Repeat("x", n%7+i) + " SELECT a" + strings.Repeat("b", n%5) + " from t"
				if found, ok := d.match(text); !ok || !found {
					t.Errorf("%q: %v %v", text, found, ok)
				}
			}
		})
	}
	hands.Wait()
}
