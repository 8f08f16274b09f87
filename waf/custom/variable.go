package custom

import "strings"

// Variable is a part of a request that rules may look at.
type Variable uint8

const (
	RemoteAddr     Variable = iota // the client's address, as trusted proxies say
	SocketAddr                     // the address at the other end of the connection
	RequestMethod                  // as received, usually in upper case
	QueryString                    // as received, without the question mark
	PostArgs                       // form fields, multipart fields that are no files, and the leaves of JSON
	RequestURI                     // path and query as the backend gets them: variables.Request.Origin
	RequestHeaders                 // values of fields
	RequestBody                    // the body, or where it is kept only in parts (multipart, JSON, XML) each text in it
	RequestCookies                 // values of cookies
)

// String is the variable's name in configurations.
func (v Variable) String() string {
	return name(v, "remoteAddr", "socketAddr", "requestMethod", "queryString", "postArgs", "requestUri",
		"requestHeaders", "requestBody", "requestCookies")
}

func (v Variable) address() bool { return v == RemoteAddr || v == SocketAddr }

// body tells variables that are known only after the body was read.
func (v Variable) body() bool { return v == PostArgs || v == RequestBody }

func (v Variable) selectable() bool {
	return v == RequestHeaders || v == RequestCookies || v == PostArgs
}

// selects reports whether the source picks the pair of that name.
func (s *Source) selects(name string) bool {
	switch {
	case s.Selector == "" || name == s.Selector:
		return true
	case s.Variable == RequestHeaders:
		return len(name) == len(s.Selector) && strings.EqualFold(name, s.Selector)
	case s.Variable == PostArgs:
		path, isJSON := strings.CutPrefix(name, "json.")
		return isJSON && endsPath(path, s.Selector)
	}
	return false
}

// endsPath reports whether a path of names with dots between ends in those of suffix.
func endsPath(path, suffix string) bool {
	before, ok := strings.CutSuffix(path, suffix)
	return ok && (before == "" || before[len(before)-1] == '.')
}
