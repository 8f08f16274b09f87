package waf

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// proseLooked is how many bytes of a text are looked at to tell prose.
const proseLooked = 4096

// interpreted are the words that interpreters have in common with English.
// They are no sign of prose.
var interpreted = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq("select union from where table drop insert into update delete and or not null like order by group having all distinct " +
		"values set exec execute create alter database limit offset case when then else end is in between exists sleep waitfor delay if as on join " +
		"cat ls id whoami uname wget curl bash sh cmd ping echo nc etc passwd true false script alert users user password username admin dual version") {
		set[word] = true
	}
	return set
}()

// isProse reports whether a text is made of words: at least three that no
// interpreter knows, and one of three of all that is between spaces. Texts in
// scripts that write no spaces are prose by their letters.
func isProse(text string) bool {
	words, all := wordsOf(text)
	return words >= 3 && words*3 >= all || ideographs(text) >= 6
}

// phraseForm is words and the punctuation between them, with nothing that quotes,
// compares, comments or calls.
var phraseForm = regexp.MustCompile(`^[\pL\pM][\pL\pM'’]*(?:[,;:&/]? (?:& |- |– |\+ )?[\pL\pM][\pL\pM'’]*)+[.!?…]{0,3}$`)

// isPhrase reports whether a text is a phrase with two words at least that no
// interpreter knows.
func isPhrase(text string) bool {
	words, _ := wordsOf(text)
	return words >= 2 && len(text) <= 200 && phraseForm.MatchString(text)
}

var (
	// searchName are the names of fields for what people look for.
	searchName = regexp.MustCompile(`(?i)(^|[._\[-])(q|query|keywords?|search|term|terms|s|text|find|lookup)\]?$`)
	// qualified is a condition of a search engine: repo:acme/shop, lang:go.
	qualified = regexp.MustCompile(`(?:^|\s)-?[a-z_]+:(?:"[^"]*"|[\w./*<>=@-]+)`)
	// sought is what people ask search engines for: words, phrases between
	// quotes, what must not be there.
	sought = regexp.MustCompile(`^(?:\s*[-+]?(?:"[^"'=;()]*"|[\pL\pM\pN'’.&:/*-]+))+\s*$`)
)

// isSearch reports whether a field for searches has a search of words and
// phrases, or one with qualifiers. Its quotes are in pairs.
func isSearch(s subject) bool {
	if !searchName.MatchString(s.name) || strings.Count(s.text, `"`)%2 != 0 {
		return false
	}
	words, _ := wordsOf(strings.NewReplacer("-", " ", "+", " ").Replace(s.text))
	return words >= 2 && sought.MatchString(s.text) || len(qualified.FindAllString(s.text, 3)) >= 2
}

// tags are what is put around words, in HTML and in forums.
var tags = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,200}>|\[/?[a-z]{1,6}(?:=[^\]]{0,80})?\]`)

// wordsOf counts words, and all that is between spaces, in the beginning of a
// text.
func wordsOf(text string) (words, all int) {
	text = strings.ToValidUTF8(text[:min(len(text), proseLooked)], "")
	for f := range strings.FieldsSeq(tags.ReplaceAllString(text, " ")) {
		all++
		if isWord(f) {
			words++
		}
	}
	return words, all
}

// remarkName are the names of fields for what people write.
var remarkName = regexp.MustCompile(`(?i)(^|[_.\[-])(comment|message|msg|text|note|notes|title|description|desc|summary|subject|review|bio|reason|feedback|body|content|details|caption|steps|question|answer)\d?\]?$`)

// isRemark reports whether a field for what people write holds a few words, or
// prose around code.
func isRemark(s subject) bool {
	if !remarkName.MatchString(s.name) {
		return false
	}
	if words, all := wordsOf(s.text); words >= 2 && words*4 >= all {
		return true
	}
	if _, ok := withoutFences(s.text); ok {
		return true
	}
	rest := withoutQuotes(s.text, true)
	words, all := wordsOf(rest)
	return len(rest)*3 > len(s.text) && words >= 4 && words*3 >= all
}

// isWord reports whether a text is a word, with the punctuation of sentences
// around it. It is not if an interpreter knows it.
func isWord(f string) bool {
	f = strings.Trim(f, `.,;:!?"'()*_[]>`+"«»“”„‘’…–—¿¡、。")
	if f == "" || interpreted[lower(f)] {
		return false
	}
	for i, r := range f {
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			continue
		}
		if r != '\'' && r != '’' && r != '-' || i == 0 {
			return false
		}
	}
	return utf8.RuneCountInString(f) > 1 || f == "a" || f == "I"
}

// ideographs counts letters of scripts that write no spaces between words.
func ideographs(text string) (n int) {
	text = text[:min(len(text), proseLooked)]
	for _, r := range text {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai) {
			n++
		}
	}
	return n
}

// dataScript is an element for a script that holds data and does not run.
var dataScript = regexp.MustCompile(`(?is)<script\s+type\s*=\s*["']?application/(?:ld\+)?json["']?\s*>[^<]*</script\s*>`)

// withoutCode is a text without the code that it quotes, if what is left is
// still prose; with tags also what elements of HTML quote.
func withoutCode(text string, tags bool) string {
	if rest := withoutQuotes(text, tags); isProse(rest) {
		return rest
	}
	if rest, ok := withoutFences(text); ok {
		return rest
	}
	return text
}

// withoutFences is a text without its lines of code, if it has some and words
// before them.
func withoutFences(text string) (rest string, ok bool) {
	at := fenced.FindStringIndex(text)
	if at == nil {
		return text, false
	}
	words, _ := wordsOf(strings.Trim(text[:at[0]], "#*>-: \r\n"))
	return fenced.ReplaceAllString(text, " "), words > 0
}

// fenced is lines of code between fences that stand alone in their lines.
var fenced = regexp.MustCompile("(?s)(?:^|\n)```\\w*\n.*?\n```(?:\n|$)")
