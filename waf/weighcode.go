package waf

import "strings"

// codeQuote is a way in which texts quote code: what begins it and what ends
// it. An opener that is a tag or a macro may have attributes.
type codeQuote struct {
	open, close string
	tag         bool // of HTML, which runs what is between all the same
}

var codeQuotes = [...]codeQuote{
	{"```", "```", false}, {"~~~", "~~~", false}, {"[code]", "[/code]", false}, {"{code", "{code}", false}, {"{noformat}", "{noformat}", false},
	{"<pre", "</pre>", true}, {"<code", "</code>", true}, {"<syntaxhighlight", "</syntaxhighlight>", true}, {"<source", "</source>", true},
	{"<nowiki>", "</nowiki>", true}, {"<ac:plain-text-body>", "</ac:plain-text-body>", true},
}

// withoutQuotes is a text with a space in the place of the code that it
// quotes. What is opened and not closed is no quote. It looks at each byte a
// few times at most: after one search for an end in vain, none is looked for.
func withoutQuotes(text string, tags bool) string {
	low := asciiLower(text)
	var b strings.Builder
	dead := [len(codeQuotes)]bool{}
	from := 0
	for i := 0; i < len(low); {
		end := quoteEnd(low, i, tags, dead[:])
		if end == 0 {
			i++
			continue
		}
		b.WriteString(text[from:i])
		b.WriteByte(' ')
		i, from = end, end
	}
	if from == 0 {
		return text
	}
	return b.String() + text[from:]
}

// quoteEnd is where the quote that begins at i ends; 0: none begins there.
func quoteEnd(low string, i int, tags bool, dead []bool) int {
	if strings.IndexByte("`~[{<", low[i]) < 0 {
		return 0
	}
	for k := range codeQuotes {
		q := &codeQuotes[k]
		if q.tag && !tags || dead[k] || !strings.HasPrefix(low[i:], q.open) || !q.opens(low[i+len(q.open):]) {
			continue
		}
		at := strings.Index(low[i+len(q.open):], q.close)
		if at < 0 {
			dead[k] = true
			continue
		}
		return i + len(q.open) + at + len(q.close)
	}
	if low[i] == '`' { // in one line
		if at := strings.IndexAny(low[i+1:], "`\n"); at > 0 && low[i+1+at] == '`' {
			return i + 1 + at + 1
		}
	}
	return 0
}

// opens reports whether what follows the opener ends its name.
func (q *codeQuote) opens(rest string) bool {
	switch q.open[len(q.open)-1] {
	case '>', ']', '}', '`', '~':
		return true
	}
	return rest != "" && strings.IndexByte(" >}:\t\r\n", rest[0]) >= 0
}

// asciiLower is a text with the letters of ASCII in lower case, of the same
// length.
func asciiLower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
