package challenge

import (
	"strings"

	"gatehouse/waf/variables"
)

// unfit says why a request has no use for a page; empty: it asks for one, as
// browsers do for what they show.
func unfit(r *variables.Request) string {
	switch {
	case r.Method != "GET" && r.Method != "HEAD":
		return "the method is neither GET nor HEAD"
	case hasBody(r):
		return "the request has a body"
	case is(r, "x-requested-with", "XMLHttpRequest"):
		return "a script asks (X-Requested-With)"
	case !acceptsHTML(r):
		return "text/html is not accepted"
	}
	return unfitFetch(r)
}

// hasBody reports whether a request says that it has a body, or its kind:
// browsers say neither when they look at a page.
func hasBody(r *variables.Request) bool {
	length, ok := r.Header("content-length")
	if ok && length != "0" {
		return true
	}
	if _, ok = r.Header("transfer-encoding"); ok {
		return true
	}
	_, ok = r.Header("content-type")
	return ok
}

// unfitFetch is unfit for what browsers say of where a response goes (Fetch
// Metadata). Not all of them do, and not over plain HTTP.
func unfitFetch(r *variables.Request) string {
	if mode, ok := r.Header("sec-fetch-mode"); ok && mode != "navigate" {
		return "no page is asked for (Sec-Fetch-Mode)"
	}
	dest, ok := r.Header("sec-fetch-dest")
	switch {
	case !ok, dest == "document":
		return ""
	case dest != "iframe" && dest != "frame":
		return "no page is asked for (Sec-Fetch-Dest)"
	case is(r, "sec-fetch-site", "cross-site"):
		return "it is for a frame in another site, where browsers send no cookie that says SameSite=Lax"
	}
	return ""
}

// is reports whether a field has that value, in any case.
func is(r *variables.Request, field, value string) bool {
	v, _ := r.Header(field)
	return strings.EqualFold(v, value)
}

// acceptsHTML reports whether a request names HTML among what it accepts;
// "*/*", which programs send, is not enough.
func acceptsHTML(r *variables.Request) bool {
	return accepts(r, "text/html") || accepts(r, "application/xhtml+xml")
}

// accepts reports whether a media type, in lower case, is accepted by name
// (RFC 9110 section 12.5.1).
func accepts(r *variables.Request, mediaType string) bool {
	for i := range r.Headers {
		if strings.EqualFold(r.Headers[i].Name, "accept") && listsType(r.Headers[i].Value, mediaType) {
			return true
		}
	}
	return false
}

func listsType(accept, mediaType string) bool {
	for accept != "" {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		name, parameters, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.Trim(name, " \t"), mediaType) && !weighsNothing(parameters) {
			return true
		}
	}
	return false
}

// weighsNothing reports whether the parameters of a media range have q=0.
func weighsNothing(parameters string) bool {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if strings.EqualFold(name, "q") {
			return value != "" && strings.Trim(value, "0.") == ""
		}
	}
	return false
}
