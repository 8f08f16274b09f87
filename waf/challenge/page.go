package challenge

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"gatehouse/waf/variables"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed solve.js
var solveJS string

// Answer is a response to send instead of forwarding a request. For HEAD its
// body is left out.
type Answer struct {
	Status      int
	ContentType string
	Fields      [][2]string // further fields; not to be changed
	Body        []byte
}

// page is the page in pieces: all of it is the same for everybody, but for
// the token.
type page struct {
	before, after string
	fields        [][2]string
}

// tokenMark is where page.html has the token.
const tokenMark = "{token}"

func newPage(lifetime time.Duration, difficulty int) page {
	text := strings.NewReplacer(
		"{style}", pageCSS,
		"{script}", solveJS,
		"{cookie}", CookieName,
		"{difficulty}", strconv.Itoa(difficulty),
		"{lifetime}", strconv.Itoa(int(lifetime/time.Second)),
		"{solve-time}", strconv.Itoa(int(SolveTime/time.Second)),
	).Replace(pageHTML)
	before, after, _ := strings.Cut(text, tokenMark)
	return page{before: before, after: after, fields: [][2]string{
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", policy(pageCSS, solveJS)},
		{"Referrer-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Robots-Tag", "noindex"},
	}}
}

// policy lets the page's own style and script run, and nothing else.
func policy(style, script string) string {
	p := "default-src 'none'; base-uri 'none'; form-action 'none'"
	if style != "" {
		p += "; style-src " + digest(style)
	}
	if script != "" {
		p += "; script-src " + digest(script)
	}
	return p
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Page is the page that has the client of a request solve the challenge, for
// a request of which Check says Paged. Its status is 403, as the request was
// not served.
func (c *Challenger) Page(r *variables.Request, now time.Time) Answer {
	t := c.issue(r, now)
	body := make([]byte, 0, len(c.page.before)+tokenText+len(c.page.after))
	body = append(body, c.page.before...)
	body = append(body, t.text()...)
	body = append(body, c.page.after...)
	return Answer{Status: 403, ContentType: "text/html; charset=utf-8", Fields: c.page.fields, Body: body}
}
