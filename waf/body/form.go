package body

import (
	"strings"

	"gatehouse/waf/variables"
)

// Query reads a query string or an application/x-www-form-urlencoded body:
// pairs between ampersands, percent-decoded once, plus signs as spaces. An
// encoding that is not one stays as it is, for rules to judge; empty pairs
// are passed over. After limit pairs (DefaultArgs if it is zero) it stops,
// and truncated is true if there was another.
func Query(text string, limit int) (pairs []variables.Pair, truncated bool) {
	if text == "" {
		return nil, false
	}
	if limit <= 0 {
		limit = DefaultArgs
	}
	pairs = make([]variables.Pair, 0, min(limit, ampersands(text, limit)+1))
	decoded := arena{chunk: min(len(text), 4096)}
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		if len(pairs) == limit {
			return pairs, true
		}
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, variables.Pair{Name: decoded.percent(name), Value: decoded.percent(value)})
	}
	return pairs, false
}

// ampersands counts the ampersands of text, up to limit.
func ampersands(text string, limit int) (n int) {
	for n < limit {
		i := strings.IndexByte(text, '&')
		if i < 0 {
			break
		}
		text = text[i+1:]
		n++
	}
	return n
}

// percent decodes s, which it returns as it is where nothing is encoded.
func (a *arena) percent(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	start := a.room(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			a.b.WriteByte(' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			a.b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			a.b.WriteByte(c)
		}
	}
	return a.since(start)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
