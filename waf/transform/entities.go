package transform

import (
	"strings"

	"golang.org/x/net/html"
)

// htmlEntityDecode decodes the character references of HTML as in text, not as
// in attributes: those that need no semicolon are decoded without one.
func htmlEntityDecode(text string) string {
	if !refers(text) {
		return text
	}
	// The names with a semicolon are not looked up before, so there may be none.
	if decoded := html.UnescapeString(text); decoded != text {
		return decoded
	}
	return text
}

// refers tells whether a text may have a character reference. Most ampersands
// stand between the arguments of a query.
func refers(text string) bool {
	for {
		n := strings.IndexByte(text, '&')
		if n < 0 {
			return false
		}
		text = text[n+1:]
		if numbered(text) || named(text) {
			return true
		}
	}
}

// numbered tells whether what follows an ampersand is a number.
func numbered(text string) bool {
	if len(text) < 2 || text[0] != '#' {
		return false
	}
	if text[1]|0x20 == 'x' {
		return len(text) > 2 && hexDigit[text[2]] >= 0
	}
	return '0' <= text[1] && text[1] <= '9'
}

// named tells whether what follows an ampersand may be a name: it ends in a
// semicolon, or begins with a name that needs none.
func named(text string) bool {
	n := 0
	for n < len(text) && alphanumeric(text[n]) {
		n++
	}
	if n < 2 {
		return false
	}
	if n < len(text) && text[n] == ';' {
		return true
	}
	for i := 2; i <= min(n, 6); i++ {
		if needsNoSemicolon(text[:i]) {
			return true
		}
	}
	return false
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// needsNoSemicolon has the 106 names that are references without a semicolon
// (HTML, section 13.5), of two to six letters.
func needsNoSemicolon(name string) bool {
	switch name {
	case "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY",
		"Ccedil", "ETH", "Eacute", "Ecirc", "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave",
		"Iuml", "LT", "Ntilde", "Oacute", "Ocirc", "Ograve", "Oslash", "Otilde", "Ouml", "QUOT",
		"REG", "THORN", "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute", "aacute", "acirc",
		"acute", "aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil",
		"cedil", "cent", "copy", "curren", "deg", "divide", "eacute", "ecirc", "egrave", "eth",
		"euml", "frac12", "frac14", "frac34", "gt", "iacute", "icirc", "iexcl", "igrave",
		"iquest", "iuml", "laquo", "lt", "macr", "micro", "middot", "nbsp", "not", "ntilde",
		"oacute", "ocirc", "ograve", "ordf", "ordm", "oslash", "otilde", "ouml", "para",
		"plusmn", "pound", "quot", "raquo", "reg", "sect", "shy", "sup1", "sup2", "sup3",
		"szlig", "thorn", "times", "uacute", "ucirc", "ugrave", "uml", "uuml", "yacute", "yen",
		"yuml":
		return true
	}
	return false
}
