package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tokenExtra are what names of fields and cookies may have beside letters and
// digits (RFC 9110 5.6.2).
const tokenExtra = "!#$%&'*+-.^_`|~"

func isTokenByte(b byte) bool { return isAlnum(rune(b)) || strings.IndexByte(tokenExtra, b) >= 0 }

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isSafeName reports whether a request's field may have the name: others are
// dropped, as Azure does, before a backend sees them.
func isSafeName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' }) < 0
}

// parseRewriteVariable reads a variable without braces and without a group.
func parseRewriteVariable(s string) (RewriteVariable, error) {
	if name, ok := strings.CutPrefix(s, "http_req_"); ok {
		if !isSafeName(name) {
			return RewriteVariable{}, fmt.Errorf("%s names no field of a request: names have letters, digits and -", quote(s))
		}
		return RewriteVariable{Source: SourceRequestField, Name: name}, nil
	}
	if name, ok := strings.CutPrefix(s, "http_resp_"); ok {
		if !isToken(name) {
			return RewriteVariable{}, fmt.Errorf("%s names no field of a response", quote(s))
		}
		return RewriteVariable{Source: SourceResponseField, Name: name}, nil
	}
	if s == matcherVariable {
		return RewriteVariable{Source: SourceMatcher}, nil
	}
	word, ok := strings.CutPrefix(s, "var_")
	if !ok {
		return RewriteVariable{}, fmt.Errorf("%s is no variable; one begins with var_, http_req_ or http_resp_%s", quote(s), meantVariable(s))
	}
	if name, ok := strings.CutPrefix(word, sourceWords[SourceCookie]); ok && isToken(name) {
		return RewriteVariable{Source: SourceCookie, Name: name}, nil
	}
	for i, known := range sourceWords {
		if known == word && known != "" && RewriteSource(i) != SourceCookie {
			return RewriteVariable{Source: RewriteSource(i)}, nil
		}
	}
	return RewriteVariable{}, fmt.Errorf("there is no server variable %s; %s", quote(s), didYouMean(word, serverVariables()))
}

// serverVariables are the words behind var_.
func serverVariables() []string {
	words := slices.DeleteFunc(slices.Clone(sourceWords[:]), func(w string) bool { return w == "" })
	slices.Sort(words)
	return words
}

// meantVariable is advice about a server variable without var_.
func meantVariable(s string) string {
	if slices.Contains(sourceWords[:], s) && s != "" {
		return "; write var_" + s
	}
	return ""
}

// textParser takes texts of one rule apart.
type textParser struct {
	conditions []RewriteCondition
	groups     []int // of each condition's pattern; -1: it was refused
	matcher    int   // groups of the field's matcher; -1: it has none
	response   bool  // the text is for the response
}

// parse takes a text apart. A brace that no variable follows stands for
// itself.
func (p *textParser) parse(text string) ([]RewritePart, error) {
	var parts []RewritePart
	literal := ""
	for text != "" {
		at := strings.IndexByte(text, '{')
		if at < 0 {
			literal += text
			break
		}
		literal, text = literal+text[:at], text[at+1:]
		n := 0
		for n < len(text) && isTokenByte(text[n]) {
			n++
		}
		word, closed := text[:n], n < len(text) && text[n] == '}'
		switch {
		case word == "" || !closed && !beginsVariable(word):
			literal += "{"
			continue
		case !closed:
			return nil, fmt.Errorf("{%s has no } behind it", word)
		}
		part, err := p.reference(word)
		if err != nil {
			return nil, err
		}
		if literal != "" {
			parts = append(parts, RewritePart{Text: literal})
		}
		parts, literal, text = append(parts, part), "", text[n+1:]
	}
	if literal != "" {
		parts = append(parts, RewritePart{Text: literal})
	}
	return parts, nil
}

func beginsVariable(word string) bool {
	for _, prefix := range []string{"var_", "http_req_", "http_resp_", "capt_"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// reference is what stands between braces.
func (p *textParser) reference(word string) (RewritePart, error) {
	part, err := p.resolve(word)
	switch {
	case err != nil:
		return part, err
	case !p.response && part.Variable.Source.OfResponse():
		return part, fmt.Errorf("{%s} is known only once a backend has answered; use it in responseHeaders", word)
	case part.Variable.Source == SourceMatcher && part.Group == 0:
		return part, fmt.Errorf("{%s} has groups only: {%s_1}", word, word)
	}
	return part, nil
}

func (p *textParser) resolve(word string) (RewritePart, error) {
	base, group, ok := cutGroup(word)
	if !ok {
		v, err := parseRewriteVariable(word)
		return RewritePart{Variable: v}, err
	}
	v, err := parseRewriteVariable(base)
	if err != nil {
		return RewritePart{}, err
	}
	if v.Source == SourceMatcher {
		if p.matcher < group {
			return RewritePart{}, fmt.Errorf("{%s}: there is no valueMatcher with so many groups", word)
		}
		return RewritePart{Variable: v, Group: group}, nil
	}
	looked := false
	for i := range p.conditions {
		c := &p.conditions[i]
		if c.Variable.is(v) && !c.Negate && (p.groups[i] < 0 || p.groups[i] >= group) {
			return RewritePart{Variable: v, Group: group, Condition: i}, nil
		}
		looked = looked || c.Variable.is(v)
	}
	if v.Source == SourceCookie && !looked { // its name ends so
		v, err := parseRewriteVariable(word)
		return RewritePart{Variable: v}, err
	}
	return RewritePart{}, fmt.Errorf("{%s}: no condition of this rule finds a group %d in %s; a pattern has groups in ( ), a negated one has none", word, group, base)
}

// cutGroup cuts the number of a group off.
func cutGroup(word string) (base string, group int, ok bool) {
	at := strings.LastIndexByte(word, '_')
	if at < 0 {
		return word, 0, false
	}
	n, err := strconv.Atoi(word[at+1:])
	if err != nil || n < 1 || n > 1000 || strconv.Itoa(n) != word[at+1:] {
		return word, 0, false
	}
	return word[:at], n, true
}

// checkPathText checks a new path as far as it is known: the rest is refused
// when it is made.
func checkPathText(parts []RewritePart) error {
	if len(parts) == 0 {
		return errors.New("must not be empty; a path begins with /")
	}
	if first := parts[0]; first.Variable.Source == SourceNone && first.Text[0] != '/' {
		return fmt.Errorf("must begin with /, not %s", quote(first.Text))
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Variable.Source != SourceNone {
			all.WriteByte('x')
			continue
		}
		if err := checkPath("/"+strings.TrimPrefix(p.Text, "/"), "*"); err != nil {
			return err
		}
		all.WriteString(p.Text)
	}
	upper := strings.ToUpper(all.String())
	for _, never := range []string{"%2F", "%5C", "%00"} {
		if strings.Contains(upper, never) {
			return fmt.Errorf("has %s, which paths must not have", never)
		}
	}
	for seg := range strings.SplitSeq(strings.ReplaceAll(upper, "%2E", "."), "/") {
		if seg == "." || seg == ".." {
			return fmt.Errorf("has a %s segment; write the path without it", seg)
		}
	}
	return nil
}

// checkQueryText checks what is known of a new query (RFC 3986 3.4).
func checkQueryText(parts []RewritePart) error {
	for i, p := range parts {
		for j := range len(p.Text) {
			switch b := p.Text[j]; {
			case i == 0 && j == 0 && b == '?':
				return errors.New("must not begin with ?, which is put in front of it")
			case b == '%' && !isEscape(p.Text[j:]):
				return errors.New("has a % without two hexadecimal digits; write %25 for the character itself")
			case b <= ' ' || b >= 0x7f || strings.IndexByte("#\"<>\\", b) >= 0:
				return fmt.Errorf("has a character that a query cannot have; percent-encode it: %%%02X", b)
			}
		}
	}
	return nil
}

// checkValueText checks what is known of a field's value (RFC 9110 5.5).
func checkValueText(parts []RewritePart) error {
	for _, p := range parts {
		if strings.ContainsFunc(p.Text, isControl) {
			return errors.New("must not have control characters, line breaks among them")
		}
	}
	return nil
}
