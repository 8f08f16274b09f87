package waf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// wrappings are what an attacker can put around a value so that it looks like
// something that deserves the benefit of the doubt.
var wrappings = []struct{ name, before, after string }{
	{"a list", `["`, `"]`}, {"an object", `{"x":"`, `"}`}, {"an object in a list", `[{"a":{"b":"`, `"}}]`}, {"braces", "{", "}"},
	{"a condition", "col=", ""}, {"a condition with a string", "col='", "'"}, {"qualifiers", "a:b c:d ", ""},
	{"a long value", strings.Repeat("a", 50), ""}, {"a long value behind a blank", strings.Repeat("a", 50) + " ", ""},
	{"lines", "aaa\na\nb\nc\n" + strings.Repeat("a", 40) + "\n", ""},
	{"rich text", "<p>hello my dear friend</p>", ""}, {"rich text around", "<div>hello my dear", " friend</div>"},
	{"an element for code", "please put this here <code>", "</code> many thanks friends"}, {"an element for text as it is", "please put this here <pre>", "</pre> many thanks friends"},
}

// wrappedFields are names that the second opinion knows.
var wrappedFields = []string{"q", "filter", "query", "description", "postcode", "couponCode", "comment", "name", "pattern"}

// defused reports whether an attack is one whose point is a quote or a line that the wrapping
// itself closes, so that nothing of it runs there, or one that is given up.
func defused(wrapping, attack string) bool {
	switch {
	case attack == "/etc/passwd", attack[1] == ':', strings.HasPrefix(attack, "file:"), strings.HasPrefix(attack, "php:"):
		return !strings.Contains(wrapping, "list") && !strings.Contains(wrapping, "object") // it must be the beginning
	case strings.Contains(wrapping, "list"), strings.Contains(wrapping, "object"):
		return strings.ContainsAny(attack, `"\`) // no JSON any more
	case strings.HasPrefix(wrapping, "an element"):
		return !strings.Contains(attack, "<") // documented: code in rich text and prose
	}
	return false
}

// TestWrappedAttacksAreBlocked puts what is tried first between what looks
// harmless. Whatever the plain rule set stops is stopped.
func TestWrappedAttacksAreBlocked(t *testing.T) {
	oneGoroutine(t)
	plain := judgeOf(t, func(*config.RuleSet) {})
	j := balancedJudge(t)
	all, passed := 0, 0
	for _, w := range wrappings {
		for i, attack := range firstTried {
			if defused(w.name, attack) {
				continue
			}
			for n, field := range wrappedFields {
				place := places[(i+n)%len(places)]
				r := place.make(field, w.before+attack+w.after)
				if p := verdict(t, plain, r); !p.Blocked {
					continue
				}
				all++
				if jm := verdict(t, j, r); !jm.Blocked {
					passed++
					t.Logf("%s: %s=%s in %s passes: score %d of %d,%s", w.name, field, w.before+attack+w.after, place.name, jm.Score, jm.Unweighed, doubts(&jm))
				}
			}
		}
	}
	// What is left are commands of a word or two in the middle of a text.
	if t.Logf("%d attacks, %d pass", all, passed); passed > 55 || all < 5000 {
		t.Errorf("%d of %d attacks pass", passed, all)
	}
}

// TestWhatASecondOpinionCostsIsBounded judges texts that are hard to
// look through: openers of quotes without an end, and the like.
func TestWhatASecondOpinionCostsIsBounded(t *testing.T) {
	oneGoroutine(t)
	plain := judgeOf(t, func(*config.RuleSet) {})
	j := balancedJudge(t)
	check := func(name, field, text string) {
		body, err := json.Marshal(map[string]string{field: text})
		if err != nil {
			t.Fatal(err)
		}
		r := posted("application/json", string(body))
		took := func(j *judge) time.Duration {
			began := testkit.ProcessorTime(t)
			verdict(t, j, r)
			return testkit.ProcessorTime(t) - began
		}
		first, second := took(plain), took(j)
		if second > 5*first+time.Second {
			t.Errorf("%q: %v, and %v with the second opinion", name, first, second)
		}
		t.Logf("%q: %v, %v", name, first.Round(time.Millisecond), second.Round(time.Millisecond))
	}
	prose := "hello my dear friend this is nice " + strings.Repeat("nice words here ", 300) + "<script>"
	for _, piece := range []string{"<pre>`x`", "<code>", "{code}", "```\n", "`", "~~~", "[code]", "<a ", `"`, "'", "a=b&", "/* ", "%", "&lt;", "x:y ", "$", "${a} ", "\n```x\n", "<![CDATA[", `\"`} {
		check(piece, "comment", prose+strings.Repeat(piece, 100<<10/len(piece)))
	}
	words := " union or and select sleep case exec( <script <svg on ; | ${ $( /etc/ ../ ://  {{ __ _self runtime $_ <% <? process. o: )( <!entity \n"
	check("words of all evidence", "comment", prose+strings.Repeat(words, 100<<10/len(words)))
	parts := func(part string) string { return strings.Repeat(part, 100<<10/len(part)) }
	check("strings of JSON", "data", `["<script>"`+parts(`,"a"`)+`]`)
	check("members of JSON", "data", `{"a":"<script>"`+parts(`,"a":"b"`)+`}`)
	check("JSON in JSON", "data", strings.Repeat("[", 5000)+`"<script>"`+strings.Repeat("]", 5000))
	check("strings of a condition", "filter", `a='union select'`+parts(` or a='b'`))
	check("strings of GraphQL", "query", `{ a(b: "<script>") `+parts(`a(b: "c") `)+`}`)
}
