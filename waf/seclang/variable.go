package seclang

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Variable is one of the things a rule looks at, such as REQUEST_HEADERS:Host.
type Variable struct {
	Name string // in upper case
	// Key selects values by their name; empty: all. It is in lower case unless
	// the names of the variable are told apart by case (ARGS, ARGS_GET,
	// ARGS_POST and their _NAMES) or Negate is set.
	Key   string
	Regex *regexp.Regexp // selects values by their name, instead of Key
	Count bool           // the number of the values, instead of them
	// Negate takes values out of the variables of the same name before it in
	// the list. Names are compared with Key and Regex in lower case then.
	Negate bool
}

// parseVariables reads ARGS|!ARGS:id|&REQUEST_HEADERS:/^x-/|XML:/*.
func parseVariables(text string) (list []Variable, err error) {
	for more := true; more; {
		var v Variable
		if v, text, err = nextVariable(text); err != nil {
			return nil, err
		}
		list = append(list, v)
		text, more = strings.CutPrefix(text, "|")
	}
	return list, nil
}

// nextVariable takes the first variable off a list. What remains is empty or
// begins with a vertical bar.
func nextVariable(text string) (v Variable, rest string, err error) {
	rest = text
	for rest != "" && (rest[0] == '!' || rest[0] == '&') {
		v.Negate, v.Count, rest = v.Negate || rest[0] == '!', v.Count || rest[0] == '&', rest[1:]
	}
	end := strings.IndexAny(rest, ":|")
	if end < 0 {
		end = len(rest)
	}
	name := rest[:end]
	v.Name, rest = strings.ToUpper(name), rest[end:]
	keyed, ok := variableNames[v.Name]
	switch {
	case !ok:
		return v, "", fmt.Errorf("variable %.40q is not known", name)
	case v.Negate && v.Count:
		return v, "", fmt.Errorf("variable %s: ! and & exclude each other", v.Name)
	case rest == "" || rest[0] == '|':
		return v, rest, nil
	case !keyed:
		return v, "", fmt.Errorf("variable %s has one value: nothing can be selected", v.Name)
	}
	key, rest, err := cutKey(rest[1:], name == "XML" || name == "JSON")
	if err == nil {
		err = v.setKey(key)
	}
	if err != nil {
		err = fmt.Errorf("variable %s: %w", v.Name, err)
	}
	return v, rest, err
}

// cutKey takes a key off the beginning of a text: a name, an expression
// between slashes, which may be in quotes, or a path of XML or JSON.
func cutKey(text string, path bool) (key, rest string, err error) {
	bare, quoted := strings.CutPrefix(text, "'")
	switch {
	case !path && strings.HasPrefix(bare, "/"):
		key, rest, err = cutRegex(bare)
		if after, ok := strings.CutPrefix(rest, "'"); quoted && ok {
			rest = after
		} else if quoted && err == nil {
			err = errors.New("the quote before the expression is not closed after it")
		}
	default:
		end := strings.IndexByte(text, '|')
		if end < 0 {
			end = len(text)
		}
		key, rest = text[:end], text[end:]
		if path && strings.HasSuffix(key, "/") || !path && strings.ContainsAny(key, "/'") {
			err = fmt.Errorf("slashes and quotes in %.60q: a slash begins an expression", key)
		}
	}
	switch {
	case err != nil:
		return "", "", err
	case key == "":
		return "", "", errors.New("a colon without a key")
	case rest != "" && rest[0] != '|':
		return "", "", fmt.Errorf("%.40q follows the key", rest)
	}
	return key, rest, nil
}

// cutRegex takes /expression/ off a text. A slash within is written \/ and
// stays so.
func cutRegex(text string) (key, rest string, err error) {
	escaped := false
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '/' && !escaped:
			return text[:i+1], text[i+1:], nil
		case text[i] == '\\':
			escaped = !escaped
		default:
			escaped = false
		}
	}
	return "", "", fmt.Errorf("the expression %.60q has no second slash", text)
}

func (v *Variable) setKey(key string) (err error) {
	fold := !caseMatters(v.Name)
	if expression, ok := betweenSlashes(key); ok {
		if fold {
			expression = strings.ToLower(expression)
		}
		v.Regex, err = regexp.Compile(expression)
		return err
	}
	if v.Key = key; fold && !v.Negate {
		v.Key = strings.ToLower(key)
	}
	return nil
}

// betweenSlashes returns the expression of a key that is one.
func betweenSlashes(key string) (expression string, ok bool) {
	if len(key) < 2 || key[0] != '/' || key[len(key)-1] != '/' {
		return "", false
	}
	expression = key[1 : len(key)-1]
	backslashes := len(expression) - len(strings.TrimRight(expression, `\`))
	return expression, backslashes%2 == 0
}

// caseMatters reports whether the names of the values of a variable are told
// apart by case.
func caseMatters(name string) bool {
	switch name {
	case "ARGS", "ARGS_NAMES", "ARGS_GET", "ARGS_POST", "ARGS_GET_NAMES", "ARGS_POST_NAMES":
		return true
	}
	return false
}
