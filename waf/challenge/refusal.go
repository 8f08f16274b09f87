package challenge

import (
	_ "embed" // the page
	"strings"

	"gatehouse/waf/variables"
)

//go:embed refusal.html
var refusalHTML string

// advice is what whoever was refused can do.
const advice = "This address is protected by a check that only a browser can pass. " +
	"Open a page of this site in a browser first, then try again: the browser must keep the cookie " + CookieName + ", " +
	"and the address and user agent must stay the same. Programs cannot pass; ask the operator of the site to exempt them."

// Refusal is the answer to a request of which Check says Refused: 403, and
// why, as JSON (RFC 9457), HTML or text, whichever the client accepts.
func (c *Challenger) Refusal(r *variables.Request, result Result) Answer {
	a := Answer{Status: 403, Fields: [][2]string{{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}}
	switch {
	case acceptsHTML(r) && !is(r, "x-requested-with", "XMLHttpRequest"):
		a.ContentType = "text/html; charset=utf-8"
		a.Fields = append(a.Fields, [2]string{"Content-Security-Policy", policy(pageCSS, "")})
		a.Body = []byte(strings.NewReplacer("{style}", pageCSS, "{reason}", result.Reason).Replace(refusalHTML))
	case speaksJSON(r):
		a.ContentType = "application/problem+json"
		a.Body = []byte(`{"title":"A browser has to pass a check first","status":403,"detail":"` +
			advice + `","reason":"` + result.Reason + `"}` + "\n")
	default:
		a.ContentType = "text/plain; charset=utf-8"
		a.Body = []byte("403 Forbidden\n\n" + advice + "\n\nWhy no page was sent that does the check: " + result.Reason + ".\n")
	}
	return a
}

// speaksJSON reports whether a client accepts JSON, or sends it.
func speaksJSON(r *variables.Request) bool {
	if accepts(r, "application/json") || accepts(r, "application/problem+json") {
		return true
	}
	kind, _ := r.Header("content-type")
	kind, _, _ = strings.Cut(kind, ";")
	return strings.EqualFold(strings.Trim(kind, " \t"), "application/json")
}
