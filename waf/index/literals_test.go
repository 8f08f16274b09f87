package index

import (
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gatehouse/waf/transform"
)

// generate makes a text that an expression is likely to match.
func generate(re *syntax.Regexp, r *rand.Rand, b *strings.Builder) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				for range r.IntN(3) {
					c = unicode.SimpleFold(c) // also to the relatives of K and S
				}
			}
			b.WriteRune(c)
		}
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return
		}
		i := r.IntN(len(re.Rune)/2) * 2
		lo, hi := re.Rune[i], min(re.Rune[i+1], re.Rune[i]+2000)
		b.WriteRune(lo + rune(r.IntN(int(hi-lo)+1)))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(" aZ0;'\"<(\\/"[r.IntN(11)])
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			generate(sub, r, b)
		}
	case syntax.OpAlternate:
		generate(re.Sub[r.IntN(len(re.Sub))], r, b)
	case syntax.OpStar, syntax.OpQuest, syntax.OpPlus, syntax.OpRepeat:
		lo, hi := repeats(re)
		for range lo + r.IntN(hi-lo+1) {
			generate(re.Sub[0], r, b)
		}
	}
}

func repeats(re *syntax.Regexp) (lo, hi int) {
	switch re.Op {
	case syntax.OpStar:
		return 0, 3
	case syntax.OpQuest:
		return 0, 1
	case syntax.OpPlus:
		return 1, 3
	}
	lo, hi = re.Min, re.Max
	if hi < 0 || hi > lo+3 {
		hi = lo + 3
	}
	return lo, hi
}

// expressions are all @rx of the Core Rule Set that are not negated.
func expressions(t testing.TB) map[string]int {
	list := map[string]int{}
	for _, it := range crs(t, 4) {
		if it.Rule == nil {
			continue
		}
		if o := it.Rule.Operator; o.Name == "rx" && !o.Negate {
			list[o.Argument] = it.Rule.ID
		}
		for i := range it.Rule.Chain {
			if o := it.Rule.Chain[i].Operator; o.Name == "rx" && !o.Negate {
				list[o.Argument] = it.Rule.ID
			}
		}
	}
	if len(list) < 200 {
		t.Fatalf("only %d expressions", len(list))
	}
	return list
}

// satisfied reports whether a text has what a need asks for, as evaluation
// sees it.
func satisfied(n need, a *automaton, text string) bool {
	if !n.bytes.holds(transform.ClassOf(text)) {
		return false
	}
	if len(n.anyOf) == 0 {
		return true
	}
	var h hits
	h.reset(len(n.anyOf))
	a.scan(relativesFolded.Replace(text), &h)
	return len(h.list) > 0
}

// TestWhatAnExpressionMatchesHasWhatItNeeds generates texts from every
// expression of the Core Rule Set: one that matches must be a candidate.
func TestWhatAnExpressionMatchesHasWhatItNeeds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matched, withLiteral := 0, 0
	for pattern, id := range expressions(t) {
		op, n, err := newExpression(pattern, nil)
		if err != nil {
			t.Fatal(id, err)
		}
		parsed, err := syntax.Parse("(?s)"+pattern, syntax.Perl)
		if err != nil {
			t.Fatal(id, err)
		}
		if len(n.anyOf) > 0 {
			withLiteral++
		}
		a := newAutomaton(n.anyOf)
		for range 300 {
			var b strings.Builder
			b.WriteString([]string{"", "", "a ", "x='"}[r.IntN(4)])
			generate(parsed, r, &b)
			text := b.String()
			if !op.Match(text) {
				continue
			}
			matched++
			if !satisfied(n, a, text) {
				t.Fatalf("rule %d matches %q without what it needs: %q, %v", id, text, n.anyOf, n.bytes)
			}
		}
	}
	t.Logf("%d texts matched; %d expressions have literals", matched, withLiteral)
	if matched < 30_000 || withLiteral < 150 {
		t.Errorf("%d texts matched, %d expressions have literals: too few to say anything", matched, withLiteral)
	}
}

func TestNeeds(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		want    []string
	}{
		{`(?i)union\s+select`, []string{"select"}},
		{`<script[^>]*>`, []string{"<script"}},
		{`(?:foo|bar)baz`, []string{"barbaz", "foobaz"}},
		{`a?bc`, []string{"abc", "bc"}},
		{`x*`, nil},
		{`(?:abc|)`, nil},
		{`[a-z]+`, nil},
		{`(?i)ſcript`, []string{"script"}},
		{`(?:abc){2,}`, []string{"abc"}},
		{`.*passwd`, []string{"passwd"}},
		{`^$`, nil},
		{`\bsleep\(`, []string{"sleep("}},
		{`(?:a|b)(?:c|d)`, []string{"ac", "ad", "bc", "bd"}},
	} {
		_, n, err := newExpression(tc.pattern, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(n.anyOf, tc.want) {
			t.Errorf("%s needs %q, want %q", tc.pattern, n.anyOf, tc.want)
		}
	}
}

func TestTheAutomatonFindsWhatASearchFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	word := func(n int) string {
		b := make([]byte, 1+r.IntN(n))
		for i := range b {
			b[i] = "abcS;"[r.IntN(5)]
		}
		return string(b)
	}
	for range 300 {
		var literals []string
		for range 1 + r.IntN(12) {
			literals = append(literals, lowered(word(5)))
		}
		a := newAutomaton(literals)
		for range 20 {
			text := word(40)
			var h hits
			h.reset(len(literals))
			a.scan(text, &h)
			for i, lit := range literals {
				if got, want := slices.Contains(h.list, int32(i)), strings.Contains(lowered(text), lit); got != want {
					t.Fatalf("%q in %q: %v, want %v (of %q)", lit, text, got, want, literals)
				}
			}
		}
	}
}
