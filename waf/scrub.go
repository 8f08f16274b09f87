package waf

import (
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/waf/body"
)

// hidden replaces what the log must not show.
const hidden = "*******"

// scrubber hides values in the log (Azure: logScrubbing).
type scrubber struct {
	rules []config.ScrubRule
}

func newScrubber(c *config.LogScrubbing) *scrubber {
	s := &scrubber{}
	if c != nil && c.Enabled {
		s.rules = c.Rules
	}
	return s
}

// client is the client's address.
func (s *scrubber) client(addr string) string {
	for i := range s.rules {
		if s.rules[i].Variable == config.ScrubClientIP {
			return hidden
		}
	}
	return addr
}

// target is the request target: without the values of arguments that are
// hidden.
func (s *scrubber) target(target string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok || len(s.rules) == 0 {
		return target
	}
	if strings.Contains(query, ";") && s.hidesPartOf("QUERY_STRING") {
		return path + "?" + hidden // some take ; for &
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, hasValue := strings.Cut(part, "=")
		if hasValue && s.hidesArgument(part) {
			parts[i] = name + "=" + hidden
		}
	}
	return path + "?" + strings.Join(parts, "&")
}

// hidesArgument reports whether a piece of a query, as it was received, has a
// name whose value is hidden: the name that rules see, however it is spelt.
func (s *scrubber) hidesArgument(piece string) bool {
	pairs, _ := body.Query(piece, 1)
	return len(pairs) > 0 && s.hides("ARGS_GET", pairs[0].Name)
}

// value is a value that a rule has matched; hide says that it is hidden.
func (s *scrubber) value(v Value) (text string, hide bool) {
	if len(s.rules) == 0 {
		return v.Text, false
	}
	variable, name, _ := strings.Cut(v.Variable, ":")
	switch {
	case name == "" && (strings.HasPrefix(variable, "ARGS") || variable == "XML" || variable == "REQUEST_XML"): // a whole text: what is in it is not told apart
		return hidden, true
	case s.hides(variable, name), variable == "REMOTE_ADDR" && s.client("") == hidden:
		return hidden, true
	case s.hidesPartOf(variable):
		return hidden, true
	}
	return v.Text, false
}

// hides reports whether the value of a name in a variable is hidden.
func (s *scrubber) hides(variable, name string) bool {
	for i := range s.rules {
		r := &s.rules[i]
		if scrubbed(r.Variable, variable, name) && (r.Operator == config.CompareEqualsAny || sameName(r, name)) {
			return true
		}
	}
	return false
}

// scrubbed reports whether a rule is about a variable.
func scrubbed(v config.ScrubVariable, variable, name string) bool {
	json := strings.HasPrefix(name, "json.")
	switch variable {
	case "REQUEST_HEADERS":
		return v == config.ScrubHeaders || v == config.ScrubCookies && strings.EqualFold(name, "cookie")
	case "REQUEST_COOKIES":
		return v == config.ScrubCookies
	case "ARGS_GET":
		return v == config.ScrubArgs
	case "ARGS_POST":
		return v == config.ScrubPostArgs && !json || v == config.ScrubJSONArgs && json
	case "ARGS":
		return v == config.ScrubArgs || v == config.ScrubPostArgs && !json || v == config.ScrubJSONArgs && json
	}
	return false
}

func sameName(r *config.ScrubRule, name string) bool {
	switch r.Variable {
	case config.ScrubHeaders:
		return strings.EqualFold(r.Selector, name)
	case config.ScrubJSONArgs:
		return slices.ContainsFunc(strings.Split(name, "."), func(part string) bool { return strings.EqualFold(part, r.Selector) })
	}
	return r.Selector == name
}

// hidesPartOf reports whether a variable that is several things at once has
// something hidden in it: then none of it is shown.
func (s *scrubber) hidesPartOf(variable string) bool {
	for i := range s.rules {
		v := s.rules[i].Variable
		switch variable {
		case "REQUEST_BODY", "MATCHED_VAR", "TX":
			return true
		case "REQUEST_URI", "REQUEST_URI_RAW", "QUERY_STRING", "REQUEST_LINE":
			if v == config.ScrubArgs {
				return true
			}
		}
	}
	return false
}

// hit is why a custom rule matched. It is text already: with anything hidden,
// its value is.
func (s *scrubber) hit(why string) lineMatch {
	variable, value, _ := strings.Cut(why, ": ")
	if len(s.rules) > 0 && value != "" {
		value = hidden
	}
	return lineMatch{bounded(variable), bounded(value)}
}
