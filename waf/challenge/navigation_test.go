package challenge

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

func TestOnlyWhoLooksAtAPageGetsThePage(t *testing.T) {
	get := navigation("192.0.2.1")
	method := func(m string) *variables.Request {
		r := *get
		r.Method = m
		return &r
	}
	tests := []struct {
		name string
		r    *variables.Request
		want string // why not
	}{
		{"page", get, ""},
		{"HEAD of a page", method("HEAD"), ""},
		{"form", method("POST"), "the method"},
		{"preflight", method("OPTIONS"), "the method"},
		{"method in lower case", method("get"), "the method"},
		{"body", with(get, "Content-Length", "3"), "a body"},
		{"empty body", with(get, "Content-Length", "0"), ""},
		{"chunked body", with(get, "Transfer-Encoding", "chunked"), "a body"},
		{"kind of body", with(get, "Content-Type", "application/json"), "a body"},
		{"XMLHttpRequest", with(get, "X-Requested-With", "xmlhttprequest"), "X-Requested-With"},
		{"web view of an app", with(get, "X-Requested-With", "com.example.app"), ""},
		{"anything accepted", with(get, "Accept", "*/*"), "text/html"},
		{"nothing said", with(get, "Accept", ""), "text/html"},
		{"JSON", with(get, "Accept", "application/json"), "text/html"},
		{"HTML refused", with(get, "Accept", "text/html;q=0.0, */*"), "text/html"},
		{"HTML liked less", with(get, "Accept", "application/json, Text/HTML ; level=1; q=0.01"), ""},
		{"XHTML", with(get, "Accept", "application/xhtml+xml"), ""},
		{"name that begins alike", with(get, "Accept", "text/html5"), "text/html"},
		{"navigation", with(with(get, "Sec-Fetch-Mode", "navigate"), "Sec-Fetch-Dest", "document"), ""},
		{"fetch", with(with(get, "Sec-Fetch-Mode", "cors"), "Sec-Fetch-Dest", "empty"), "Sec-Fetch-Mode"},
		{"fetch of little candour", with(get, "Sec-Fetch-Dest", "empty"), "Sec-Fetch-Dest"},
		{"image", with(get, "Sec-Fetch-Dest", "image"), "Sec-Fetch-Dest"},
		{"frame of the same site", with(with(get, "Sec-Fetch-Dest", "iframe"), "Sec-Fetch-Site", "same-site"), ""},
		{"frame of another site", with(with(get, "Sec-Fetch-Dest", "iframe"), "Sec-Fetch-Site", "cross-site"), "frame"},
		{"link in another site", with(with(get, "Sec-Fetch-Dest", "document"), "Sec-Fetch-Site", "cross-site"), ""},
	}
	c := challenger(t, options())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.Check(tt.r, start)
			if tt.want == "" && got.Outcome != Paged {
				t.Errorf("got %+v, want the page", got)
			}
			if tt.want != "" && (got.Outcome != Refused || !strings.Contains(got.Reason, tt.want)) {
				t.Errorf("got %+v, want a refusal: %s", got, tt.want)
			}
		})
	}
}

func TestARefusalSaysWhyInTheLanguageOfTheClient(t *testing.T) {
	get := navigation("192.0.2.1")
	post := *get
	post.Method = "POST"
	tests := []struct {
		name, want string
		r          *variables.Request
	}{
		{"form", "text/html; charset=utf-8", &post},
		{"API", "application/problem+json", with(get, "Accept", "application/json, text/plain;q=0.5")},
		{"API that is sent JSON", "application/problem+json", with(with(&post, "Accept", "*/*"), "Content-Type", "application/json; charset=utf-8")},
		{"script that takes anything", "text/plain; charset=utf-8", with(get, "X-Requested-With", "XMLHttpRequest")},
		{"program", "text/plain; charset=utf-8", with(get, "Accept", "*/*")},
		{"frame elsewhere", "text/html; charset=utf-8", with(with(get, "Sec-Fetch-Dest", "iframe"), "Sec-Fetch-Site", "cross-site")},
	}
	c := challenger(t, options())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := c.Check(tt.r, start)
			a := c.Refusal(tt.r, result)
			if a.Status != 403 || a.ContentType != tt.want {
				t.Errorf("%d %s, want 403 %s", a.Status, a.ContentType, tt.want)
			}
			if result.Outcome != Refused || !strings.Contains(string(a.Body), result.Reason) {
				t.Errorf("%+v; the reason is not in %s", result, a.Body)
			}
			if strings.Contains(string(a.Body), "{") != (tt.want == "application/problem+json" || strings.Contains(tt.want, "html")) {
				t.Errorf("not what it says: %s", a.Body)
			}
			if tt.want == "application/problem+json" && !json.Valid(a.Body) {
				t.Errorf("no JSON: %s", a.Body)
			}
		})
	}
}

// FuzzAccept compares the reading of Accept with a plainer one.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"text/html", "*/*", "text/html;q=0", ",,text/html ;q=0.1,", ";;=,;q", "a,TEXT/HTML; q=0.000", "text/html;q"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		want := false
		for _, item := range strings.Split(accept, ",") {
			parts := strings.Split(item, ";")
			named := strings.EqualFold(strings.Trim(parts[0], " \t"), "text/html")
			for _, p := range parts[1:] {
				name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
				if strings.EqualFold(name, "q") {
					named = named && (value == "" || strings.Trim(value, "0.") != "")
					break
				}
			}
			want = want || named
		}
		if got := listsType(accept, "text/html"); got != want {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	})
}
