package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// The values that only web application firewall policies have. Texts that
// reach the rule engine have few characters, so that they cannot say more
// there than here.

// enum is a type whose values count from zero and have a word each.
type enum interface {
	~uint8
	fmt.Stringer
}

// wordsOf is any of an enum's words; a value without one cannot be written.
func wordsOf[E enum]() value[E] {
	var all []E
	for e := E(0); e.String() != unknownWord; e++ {
		if e.String() != "" {
			all = append(all, e)
		}
	}
	return someOf(all...)
}

// someOf is some of an enum's words.
func someOf[E enum](some ...E) value[E] {
	choices := make([]choice[E], len(some))
	for i, e := range some {
		choices[i] = choice[E]{word: e.String(), v: e}
	}
	return oneOf(choices...)
}

// upTo bounds the length of a list.
func upTo[V any](most int, v value[[]V]) value[[]V] {
	s := schema{"maxItems": most}
	for k, x := range v.schema {
		s[k] = x
	}
	return value[[]V]{schema: s, read: func(c cursor) ([]V, bool) {
		if n := len(c.node.Content); c.node.Kind == yaml.SequenceNode && n > most {
			c.errorf("must have at most %d entries, not %d", most, n)
			return nil, false
		}
		return v.read(c)
	}}
}

func geoDatabase() value[string] {
	v := needed(file())
	return value[string]{schema: v.schema, read: func(c cursor) (string, bool) {
		if c.node.Kind == yaml.ScalarNode && c.node.Value == "builtin" {
			return "", true
		}
		return v.read(c)
	}}
}

// ruleSetName knows that the bot rules, a rule set in Azure, are keys of
// their own here.
func ruleSetName() value[RuleSetName] {
	v := wordsOf[RuleSetName]()
	return value[RuleSetName]{schema: v.schema, read: func(c cursor) (RuleSetName, bool) {
		if c.node.Kind == yaml.ScalarNode && c.node.Value == "Microsoft_BotManagerRuleSet" {
			c.errorf("the bot rules are beside the rule set; write botRules: {enabled: true} in the policy")
			return 0, false
		}
		return v.read(c)
	}}
}

// ruleSetVersion may be written as the number that it looks like.
func ruleSetVersion() value[string] {
	s := schema{"enum": []any{"4.25", "3.2", "2.1", "2.2", 4.25, 3.2, 2.1, 2.2}}
	return parsed(`a version such as "4.25"`, s, func(text string) (string, error) {
		if !slices.Contains([]string{"4.25", "3.2", "2.1", "2.2"}, text) {
			return "", fmt.Errorf("must be 4.25 (crs), 3.2 (OWASP), 2.1 or 2.2 (Microsoft_DefaultRuleSet), not %s", quote(text))
		}
		return text, nil
	})
}

// exclusionVariable reads Azure's old names as the values that they mean.
func exclusionVariable() value[ExclusionVariable] {
	choices := []choice[ExclusionVariable]{
		{word: "requestHeaderNames", v: ExcludeHeaderValues},
		{word: "requestCookieNames", v: ExcludeCookieValues},
		{word: "requestArgNames", v: ExcludeArgValues},
	}
	for v := ExcludeHeaderValues; v <= ExcludeArgKeys; v++ {
		choices = append(choices, choice[ExclusionVariable]{word: v.String(), v: v})
	}
	return oneOf(choices...)
}

// ruleID is a rule's number; Azure writes it as text.
func ruleID() value[int] {
	const most = 999_999_999
	s := schema{"type": []string{"integer", "string"}, "minimum": 1, "maximum": most, "pattern": "^[1-9][0-9]{0,8}$"}
	return parsed("a rule's identifier such as 942100", s, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most || strconv.Itoa(n) != text {
			return 0, fmt.Errorf("must be a rule's identifier such as 942100, not %s", quote(text))
		}
		return n, nil
	})
}

// groupName is a name, or the number of a file of the rule set.
func groupName() value[string] {
	const most = 128
	s := schema{"type": []string{"string", "integer"}, "minLength": 1, "maxLength": most}
	return parsed("a group's name such as sqli", s, func(text string) (string, error) {
		if !wellNamed(text, most) {
			return "", fmt.Errorf("must be a group's name such as sqli or REQUEST-942-APPLICATION-ATTACK-SQLI, not %s", quote(text))
		}
		return text, nil
	})
}

// percentage is a share of one, written as 1% or 0.5%.
func percentage() value[float64] {
	s := schema{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$`}
	return parsed("a percentage such as 1%", s, func(text string) (float64, error) {
		digits, ok := strings.CutSuffix(text, "%")
		share, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil || !onlyOf(digits, "0123456789.") || share > 100 || math.IsNaN(share) {
			return 0, fmt.Errorf("must be 0%% to 100%%, such as 0.5%%, not %s", quote(text))
		}
		return share / 100, nil
	})
}

// maxValue bounds a text that requests are compared with.
const maxValue = 4096

// valueList is what a variable is compared with. Whole numbers need no
// quotes: some operators compare numbers, and as text they are what they
// look like.
func valueList(least int) value[[]string] {
	const most = 10_000
	s := schema{"type": []string{"string", "integer"}, "maxLength": maxValue}
	one := value[string]{schema: s, read: func(c cursor) (string, bool) {
		if text, ok := c.scalar("text"); ok && c.node.Tag == "!!int" && isWhole(text) {
			return text, true
		}
		return boundedText(maxValue).read(c)
	}}
	return upTo(most, listOf(one, least))
}

func isWhole(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == s
}

func boundedText(most int) value[string] {
	return textThat(schema{"maxLength": most}, func(s string) (string, error) {
		if len(s) > most {
			return "", fmt.Errorf("must be at most %d bytes, not %d", most, len(s))
		}
		return s, nil
	})
}

func blockBody() value[string] { return boundedText(32 << 10) }

// selectorText is a name that clients choose, or a part of one: nearly any
// character.
func selectorText() value[string] {
	const most = 256
	return textThat(schema{"maxLength": most}, func(s string) (string, error) {
		if len(s) > most {
			return "", fmt.Errorf("must be at most %d bytes, not %d", most, len(s))
		}
		if strings.ContainsFunc(s, isControl) {
			return "", errors.New("must not have control characters")
		}
		return s, nil
	})
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// onlyOf says whether a text has none but these characters.
func onlyOf(s, characters string) bool { return strings.Trim(s, characters) == "" }

const (
	upperCase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lowerCase = "abcdefghijklmnopqrstuvwxyz"
	digits    = "0123456789"
)

func methodName() value[string] {
	return textThat(schema{"pattern": "^[A-Z][A-Z0-9_-]{0,31}$"}, func(s string) (string, error) {
		if s == "" || len(s) > 32 || !onlyOf(s[:1], upperCase) || !onlyOf(s, upperCase+digits+"_-") {
			return "", fmt.Errorf("must be a method in upper case, such as GET, not %s", quote(s))
		}
		return s, nil
	})
}

// mediaType is a type and subtype (RFC 6838 4.2), without parameters.
func mediaType() value[string] {
	const characters = lowerCase + digits + "!#$&-^_.+"
	return textThat(schema{"maxLength": 255}, func(s string) (string, error) {
		lower := strings.ToLower(s)
		kind, sub, ok := strings.Cut(lower, "/")
		if !ok || kind == "" || sub == "" || len(s) > 255 || !onlyOf(kind, characters) || !onlyOf(sub, characters) {
			return "", fmt.Errorf("must be a content type without parameters, such as application/json, not %s", quote(s))
		}
		return lower, nil
	})
}

func httpVersion() value[string] {
	return oneOf(choice[string]{word: "HTTP/1.0", v: "HTTP/1.0"}, choice[string]{word: "HTTP/1.1", v: "HTTP/1.1"},
		choice[string]{word: "HTTP/2", v: "HTTP/2"}, choice[string]{word: "HTTP/2.0", v: "HTTP/2.0"},
		choice[string]{word: "HTTP/3", v: "HTTP/3"}, choice[string]{word: "HTTP/3.0", v: "HTTP/3.0"})
}

// fileExtension may be written without its dot.
func fileExtension() value[string] {
	return textThat(schema{"pattern": `^\.?[A-Za-z0-9_-]{1,32}$`}, func(s string) (string, error) {
		word := strings.ToLower(strings.TrimPrefix(s, "."))
		if word == "" || len(word) > 32 || !onlyOf(word, lowerCase+digits+"_-") {
			return "", fmt.Errorf("must be a file name's extension such as .bak, not %s", quote(s))
		}
		return "." + word, nil
	})
}

func fieldName() value[string] {
	return textThat(schema{"pattern": "^[A-Za-z0-9_-]{1,128}$"}, func(s string) (string, error) {
		lower := strings.ToLower(s)
		if s == "" || len(s) > 128 || !onlyOf(lower, lowerCase+digits+"_-") {
			return "", fmt.Errorf("must be a field's name such as X-Api-Key, not %s", quote(s))
		}
		return lower, nil
	})
}

// contentType is a field value: a media type, perhaps with parameters.
func contentType() value[string] {
	return textThat(schema{"minLength": 3, "maxLength": 256}, func(s string) (string, error) {
		bad := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
		if slash := strings.IndexByte(s, '/'); bad || slash < 1 || slash == len(s)-1 || len(s) > 256 {
			return "", fmt.Errorf("must be a content type such as text/html; charset=utf-8, not %s", quote(s))
		}
		return s, nil
	})
}
